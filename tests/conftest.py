"""What tests of several folders share: a Spark session and one process for it, and helpers imported by plain names."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


for folder in (Path(__file__).parent, Path(__file__).parent / "serving"):
    sys.path.insert(0, str(folder))


class OneSpark(LoadFileScheduling):
    """A file to a process, but all that need Spark to one: a session is slow to start and slow at all it does first."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "spark" if _asks_for_spark(self.config.rootpath / file) else file


@cache
def _asks_for_spark(file: Path) -> bool:
    """Whether a test or a fixture of it does; those of the transforms do through a fixture of theirs."""
    asks = re.search(r"def .*\(.*\bspark\b|^    spark: ", file.read_text("utf-8"), re.MULTILINE)
    return file.parent.name == "transforms" or asks is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return OneSpark(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One session with Delta and Kafka for all tests that need Spark: its start costs ten seconds and more."""
    from dovetail.shared import class_archive, engine, settings

    class_archive.NICENESS = 0  # where it is not there yet: all the processes that the tests start go faster with it
    folder = tmp_path_factory.mktemp("spark")
    root = os.environ.get("DOVETAIL_TEST_ROOT", "data")  # see tests/s3_store.py
    (folder / "dovetail.toml").write_text(f'[spark]\nmaster = "local[2]"\n[storage]\nroot = "{root}"\n')
    session = engine.start(
        settings.load(folder),
        "tests",
        conf={"spark.sql.shuffle.partitions": "2"},
    )
    gateway: Any = session.sparkContext._gateway
    yield session
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(30)
