"""Decoding: what becomes columns and what goes to quarantine, and why. Real Spark."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from poison import HARMLESS, POISON, SCHEMA

from dovetail.shared.decode import RAW, REASON, decode, decoded

pytestmark = pytest.mark.java

DECODER = {
    "format": "json",
    "schema": {"n": "bigint", "name": "string", "at": "timestamp", "day": "date", "price": "decimal(10,2)"},
    "event_time": "at",
}
GOOD = b'{"n": 1, "name": "a", "at": "2026-10-01T09:20:00Z", "day": "2026-10-01", "price": "1.25"}'
AT = '"at": "2026-10-01T09:20:00Z"'


def shortened(value):
    return repr(value)[:60]


def records(spark, values):
    rows = [(0, i, datetime(2026, 11, 1), None, v and bytearray(v), None) for i, v in enumerate(values)]
    return spark.createDataFrame(rows, RAW)


@pytest.fixture(scope="module")
def reasons(spark):
    """Each value of the corpus and the reason it was given, decoded in one go."""
    values = [*POISON, *HARMLESS]
    rows = decode(records(spark, values), {**DECODER, "schema": SCHEMA}).select("_offset", REASON).collect()
    return {values[row["_offset"]]: row[REASON] for row in rows}


@pytest.mark.parametrize("value", POISON, ids=shortened)
def test_what_is_no_record_of_the_source_gets_a_reason(reasons, value):
    assert reasons[value] == POISON[value]


@pytest.mark.parametrize("value", HARMLESS, ids=shortened)
def test_what_looks_odd_and_is_good_gets_none(reasons, value):
    assert reasons[value] is None


def test_what_is_read_of_odd_values(spark):
    values = [b'{"n": 1, "n": 2, ' + AT.encode() + b"}", b'{"price": "-12.50", ' + AT.encode() + b"}"]
    rows = decode(records(spark, values), DECODER).orderBy("_offset").collect()
    assert [(row["n"], row["price"]) for row in rows] == [(2, None), (None, Decimal("-12.50"))]


def test_a_good_record_becomes_columns_and_keeps_its_bytes(spark):
    row = decode(records(spark, [GOOD]), DECODER).collect()[0]
    assert row[REASON] is None
    assert bytes(row["_value"]) == GOOD
    assert (row["n"], row["name"], row["at"], row["day"], row["price"]) == (
        1, "a", datetime(2026, 10, 1, 9, 20), date(2026, 10, 1), Decimal("1.25"),
    )  # fmt: skip


def test_a_field_that_is_missing_is_null_and_one_that_is_not_declared_is_ignored(spark):
    row = decode(records(spark, [b'{"extra": {"deep": [1]}, ' + AT.encode() + b"}"]), DECODER).collect()[0]
    assert (row[REASON], row["n"], row["name"]) == (None, None, None)


def test_a_transform_sees_the_declared_columns_of_good_records_only(spark):
    seen = decoded(decode(records(spark, [GOOD, b"{", None]), DECODER), DECODER)
    assert seen.columns == list(DECODER["schema"])
    assert seen.count() == 1
