"""The delivery, from files of positions to the wait in each zone: a feeder is killed, a batch cuts, all stays true."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from delivery_truth import DELIVERY
from e2e_log import committed
from e2e_system import System

from dovetail.batch.prove import prove
from dovetail.shared.log import Log
from dovetail.shared.position import RecordId

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(900)]


def feed(system: System, *, failpoint: str = "") -> int:
    """Feeds what lies in the inbox, in a process of its own; gives its exit code."""
    armed = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": failpoint} if failpoint else {}
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", "feed", "trackers", "--once"],
        cwd=system.folder, env={**os.environ, **armed}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def remember(system: System) -> list[bytes]:
    """Makes what was fed what the system knows as sent; gives it."""
    records = committed(system.topic.log, system.topic.name)
    system.topic.sent = {RecordId(r.partition, r.offset): r.value for r in records}
    return [r.value for r in records]


def test_the_wait_in_each_zone_is_true_before_and_after_a_batch(log: Log, spark: SparkSession, tmp_path: Path) -> None:
    with System.create(DELIVERY, tmp_path / "delivery", log, topic="delivery.test", partitions=2) as system:
        generator, inbox = importlib.import_module("generator"), system.folder / "inbox"
        inbox.mkdir()
        positions, written = generator.lines(seed=5), list[bytes]()

        def arrive(name: str, n: int) -> None:
            lines = list(islice(positions, n))
            generator.write(inbox, name, lines)
            written.extend(lines)

        arrive("1.jsonl", 700)
        assert feed(system, failpoint="feed.sent:crash") == -signal.SIGKILL
        assert feed(system) == 0
        assert sorted(remember(system)) == sorted(written)
        system.dimensions_here(spark)
        system.speed_here(spark)
        system.archive_here(spark)
        arrive("2.jsonl", 500)
        assert feed(system, failpoint="feed.committed:crash") == -signal.SIGKILL
        assert feed(system) == 0
        assert sorted(remember(system)) == sorted(written)
        system.speed_here(spark)
        system.serve()
        system.exact()
        before = asked(system)
        system.batch(spark)
        system.exact()
        assert asked(system) == before
        assert {row["district"] for row in before["rows"]} == {"North", "South", None}
        assert "average" in httpx_page(system)
        system.archive_here(spark)
        found = prove(system.project, system.source, log, spark, sample=1.0)
        assert found is not None
        assert found.holds


def test_its_own_tests_pass(tmp_path: Path) -> None:
    shutil.copytree(DELIVERY.folder, tmp_path / "delivery", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "delivery", capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def asked(system: System) -> dict[str, Any]:
    answer = system.ask("eta", by="district", bucket="1h", measures="average,longest,positions")
    return {"rows": answer["rows"]}


def httpx_page(system: System) -> str:
    """How the interface that the page is made from describes the view."""
    return httpx.get(str(system._http.base_url) + "eta").text
