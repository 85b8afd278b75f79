"""Records that make a version raise are left out one by one, with their bytes; real Spark."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from dovetail.shared.decode import RAW, decode
from dovetail.shared.engine import arrow
from dovetail.shared.failing import sparing
from dovetail.shared.ledger import VersionFails, VersionId

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.java

A = VersionId("sales@a")
DECODER = {"format": "json", "schema": {"n": "bigint"}, "event_time": None}


def rows(spark: SparkSession, *numbers: int) -> DataFrame:
    raw = [
        (0, i, datetime(2026, 11, 1), None, bytearray(f'{{"n": {n}}}', "utf-8"), None) for i, n in enumerate(numbers)
    ]
    return decode(spark.createDataFrame(raw, RAW), DECODER)


def attempt(sql: str):
    def attempted(some: DataFrame) -> pa.Table:
        return arrow(some.selectExpr(f"{sql} as x"))

    return attempted


def test_a_record_that_raises_is_left_out_and_given_with_its_bytes(spark: SparkSession) -> None:
    found, failing = sparing(rows(spark, 1, 0, 2, 0, 4), A, attempt("4 div n"))
    assert sorted(found["x"].to_pylist()) == [1, 2, 4]
    told = sorted(failing.to_pylist(), key=lambda r: r["offset"])
    assert [(r["offset"], r["value"], r["version"]) for r in told] == [(1, b'{"n": 0}', A), (3, b'{"n": 0}', A)]
    assert {r["reason"] for r in told} == {"sales raised DIVIDE_BY_ZERO"}


def test_where_no_record_raises_none_is_left_out(spark: SparkSession) -> None:
    found, failing = sparing(rows(spark, 1, 2), A, attempt("4 div n"))
    assert (sorted(found["x"].to_pylist()), failing) == ([2, 4], None)


def test_what_only_all_of_them_raise_is_the_version_s_fault(spark: SparkSession) -> None:
    largest = 2**63 - 1
    with pytest.raises(VersionFails, match="ARITHMETIC_OVERFLOW, and no few records are at fault"):
        sparing(rows(spark, largest, largest), A, attempt("sum(n)"))
