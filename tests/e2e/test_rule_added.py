"""A rule that is added while a view answers: its version goes on without it, and counts nothing twice for that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_system import SETTLE_S, System, Topic, free_port

from dovetail.batch.prove import prove
from dovetail.shared.log import Log
from dovetail.shared.position import Position
from dovetail.shared.quarantine import Quarantine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(400)]

RULE = ', rules=[dv.rule("n > 0", otherwise="quarantine")]'
VIEWS = """
import dovetail as dv

ruled = dv.source("ruled", schema="id bigint, n int", event_id="id")
totals = dv.view("totals", source=ruled, measures={"rows": dv.count(), "total": dv.sum("n")})
"""


class Event:
    key = None

    def __init__(self, id_: int, n: int) -> None:
        self.value = json.dumps({"id": id_, "n": n}).encode()


def answered(running: System) -> tuple[int, int]:
    """What is answered once all that was sent is in it."""

    def reached() -> bool:
        return Position.from_json(running.ask("totals")["receipt"]["position"]).reaches(running.topic.end)

    running.stack.wait("the answer to all that was sent", reached, seconds=SETTLE_S)
    (row,) = running.ask("totals")["rows"]
    return row["rows"], row["total"]


def test_what_only_the_version_in_force_takes_counts_once_however_often_it_comes(
    log: Log, spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "dovetail.toml").write_text(
        f'views = ["views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n[serving]\nport = {free_port()}\n'
    )
    views = tmp_path / "views.py"
    views.write_text(VIEWS)
    with System(tmp_path, Topic(log, "ruled", partitions=2), {}) as running:
        running.topic.send([Event(1, 0), Event(2, 5)], partition=0)
        running.speed_here(spark)
        running.archive_here(spark)
        running.batch(spark)
        views.write_text(VIEWS.replace('event_id="id"', 'event_id="id"' + RULE))
        running.reload()
        assert running.source.rules

        running.topic.send([Event(1, 0), Event(3, 0), Event(2, 5)], partition=1)
        running.topic.send([Event(3, 0)], partition=0)
        running.speed_here(spark)
        running.serve()
        assert answered(running) == (3, 5)
        running.topic.send([Event(1, 0), Event(3, 0), Event(4, 7)], partition=1)
        running.speed_here(spark)
        assert answered(running) == (4, 12), "by the index as it was kept"
        shutil.rmtree(running.project.layout.seen("ruled"))
        running.topic.send([Event(1, 0), Event(3, 0), Event(4, 7)], partition=0)
        running.speed_here(spark)
        assert answered(running) == (4, 12), "and by one that was made anew"

        running.archive_here(spark)
        running.batch(spark)
        assert answered(running) == (4, 12)
        proof = prove(running.project, running.source, log, spark)
        assert proof is not None
        assert (proof.problems, proof.lost, proof.doubled) == ([], 0, 0)
        running.batch(spark, full=True)
        assert answered(running) == (2, 12), "the version with the rule takes two"
        proof = prove(running.project, running.source, log, spark)
        assert proof is not None
        assert (proof.problems, proof.lost, proof.doubled) == ([], 0, 0)
        assert sum(group.records for group in Quarantine(running.project.layout, "ruled").groups()) > 3
