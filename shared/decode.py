"""From a record's bytes to columns: the same expression in both layers, so that equal bytes give equal rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

META = ("_partition", "_offset", "_timestamp", "_key", "_value", "_headers")
POSITION = META[:2]
REASON = "_reason"
"""Why a record goes to quarantine; null for a decoded one."""


def named(records: DataFrame) -> DataFrame:
    """Spark's Kafka columns under the names of the master dataset."""
    return records.select(
        F.col("partition").alias("_partition"),
        F.col("offset").alias("_offset"),
        F.col("timestamp").alias("_timestamp"),
        F.col("key").alias("_key"),
        F.col("value").alias("_value"),
        F.col("headers").alias("_headers"),
    )


def decode(records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    """Adds the columns of `decoder["schema"]` and `_reason` to records with the columns of META.

    Args:
        decoder: what a bundle stores of its source: format, schema (name to Spark type), event_time.
    """
    columns: dict[str, str] = decoder["schema"]
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    parsed = F.from_json(
        F.col("_value").cast("string"),
        f"{ddl}, `_corrupt` string",
        {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt", "timeZone": "UTC"},
    )
    rows = records.withColumn("_json", parsed)
    return rows.select(
        *(F.col(name) for name in records.columns),
        *(F.col("_json")[name].alias(name) for name in columns),
        _reason(decoder).alias(REASON),
    )


def decoded(rows: DataFrame, decoder: Mapping[str, Any], *, placed: bool = False) -> DataFrame:
    """The rows a transform sees: the declared columns of those that are not in quarantine.

    Args:
        placed: with `_partition` and `_offset`, for measures that need them.
    """
    columns = [*decoder["schema"], *(POSITION if placed else ())]
    return rows.where(f"{REASON} is null").selectExpr(*(f"`{name}`" for name in columns))


def _reason(decoder: Mapping[str, Any]) -> Column:
    json = F.col("_json")
    reason = (
        F.when(F.col("_value").isNull(), "no value")
        .when(~F.expr("is_valid_utf8(_value)"), "not UTF-8")
        .when(json.isNull(), "not a JSON object")
        .when(json["_corrupt"].isNotNull(), "not a JSON object of these columns and types")
    )
    event_time = decoder["event_time"]
    if event_time in decoder["schema"]:
        reason = reason.when(json[event_time].isNull(), f"no {event_time}")
    return reason
