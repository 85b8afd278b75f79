"""The seam to the engine: a session that speaks PySpark's DataFrame API. Only this file knows which one and how it starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from dovetail.shared.errors import UsageError
from dovetail.shared.jars import ensure
from dovetail.shared.java import find_java
from dovetail.shared.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SLICES = 8
CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    "spark.sql.shuffle.partitions": "4",
    # More than this in one answer to the driver fails the job; the caller then asks in slices.
    "spark.driver.maxResultSize": "256m",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.streaming.metricsEnabled": "false",
}


def start(
    settings: Settings,
    app: str,
    *,
    conf: dict[str, str] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> SparkSession:
    """A session with Delta and Kafka on its class path.

    Raises:
        ServiceMissing: no Java ≥ 17, or jars that cannot be fetched.
        UsageError: pyspark is not installed.
    """
    java = find_java()
    jars = ensure("spark", on_progress=on_progress)
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise UsageError("pyspark is not installed", next="pip install 'dovetail[spark]'") from None
    os.environ["JAVA_HOME"] = str(Path(java.executable).resolve().parent.parent)
    builder = SparkSession.builder.appName(f"dovetail {app}").master(settings.spark.master)  # type: ignore[attr-defined]
    every = {
        **CONF,
        "spark.jars": ",".join(str(j) for j in jars),
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.sql.warehouse.dir": str(settings.storage.path / "scratch" / "warehouse"),
        **(conf or {}),
        **settings.spark.resolved_conf(),
    }
    for name, value in every.items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    return session


def arrow(frame: DataFrame) -> pa.Table:
    """The rows of `frame` as Arrow, brought to this process: for what is known to be small."""
    table: pa.Table = frame.toArrow()
    return table


def arrow_slices(frame: DataFrame, keys: Sequence[str], *, parts: int = 1, part: int = 0) -> Iterator[pa.Table]:
    """The rows of `frame` as Arrow, in one table where the driver's limit allows, else in slices by a hash of `keys`."""
    piece = frame.where(f"pmod({_hash(keys)}, {parts}) = {part}") if parts > 1 else frame
    try:
        table = arrow(piece)
    except Exception as error:
        if "maxResultSize" not in str(error) or parts >= SLICES**5 or not keys:
            raise
        for k in range(SLICES):  # a hash that is `part` modulo `parts` is one of these modulo SLICES times as many
            yield from arrow_slices(frame, keys, parts=parts * SLICES, part=part + k * parts)
        return
    yield table


def _hash(keys: Sequence[str]) -> str:
    return f"xxhash64({', '.join(f'`{k}`' for k in keys)})"


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """The Arrow schema of `frame`, without running it."""
    from pyspark.sql.pandas.types import to_arrow_schema

    schema: pa.Schema = to_arrow_schema(frame.schema, timezone="UTC")
    return schema
