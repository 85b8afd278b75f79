"""What tests of several folders share: a Spark session, and helpers that are imported by their plain names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


for folder in (Path(__file__).parent, Path(__file__).parent / "serving"):
    sys.path.insert(0, str(folder))


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
