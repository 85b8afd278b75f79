"""Decoding: what becomes columns and what goes to quarantine, and why. Real Spark."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from dovetail.shared.decode import REASON, decode, decoded
from dovetail.shared.inforce import RAW

pytestmark = pytest.mark.java

DECODER = {
    "format": "json",
    "schema": {"n": "bigint", "name": "string", "at": "timestamp", "day": "date", "price": "decimal(10,2)"},
    "event_time": "at",
}
GOOD = b'{"n": 1, "name": "a", "at": "2026-10-01T09:20:00Z", "day": "2026-10-01", "price": "1.25"}'
AT = '"at": "2026-10-01T09:20:00Z"'
UNFIT = "not a JSON object of these columns and types"
BAD = {
    b'{"n": 1,': UNFIT,
    b"[1, 2]": UNFIT,
    b'[{"n": 1}]': UNFIT,
    b'"text"': UNFIT,
    b"42": UNFIT,
    b"null": UNFIT,
    b"": "not a JSON object",
    b"\xff\xfe": "not UTF-8",
    None: "no value",
    b'{"n": "one", ' + AT.encode() + b"}": UNFIT,
    b'{"n": 1.5, ' + AT.encode() + b"}": UNFIT,
    b'{"n": 99999999999999999999, ' + AT.encode() + b"}": UNFIT,
    b'{"price": 123456789012.5, ' + AT.encode() + b"}": UNFIT,
    b'{"at": "yesterday"}': UNFIT,
    b'{"n": 1}': "no at",
}


def records(spark, values):
    rows = [(0, i, datetime(2026, 11, 1), None, v and bytearray(v), None) for i, v in enumerate(values)]
    return spark.createDataFrame(rows, RAW)


@pytest.fixture(scope="module")
def reasons(spark):
    """Each bad value and the reason it was given, decoded in one go."""
    rows = decode(records(spark, list(BAD)), DECODER).select("_offset", REASON).collect()
    return {list(BAD)[row["_offset"]]: row[REASON] for row in rows}


@pytest.mark.parametrize("value", BAD, ids=repr)
def test_what_is_no_record_of_the_source_gets_a_reason(reasons, value):
    assert reasons[value] == BAD[value]


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
