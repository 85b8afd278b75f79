"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One session with Delta and Kafka for all tests that need Spark: its start costs ten seconds and more."""
    from dovetail.shared import engine, settings

    folder = tmp_path_factory.mktemp("spark")
    (folder / "dovetail.toml").write_text('[spark]\nmaster = "local[2]"\n')
    session = engine.start(settings.load(folder), "tests", conf={"spark.sql.shuffle.partitions": "2"})
    gateway: Any = session.sparkContext._gateway
    yield session
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(30)
