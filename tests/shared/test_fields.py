"""A suggested type takes every value that it was told from, by the decoder itself. Real Spark."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from dovetail.shared.decode import RAW, REASON, decode
from dovetail.shared.fields import Fields
from dovetail.shared.position import RecordId

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]

VALUES = """
1; 2147483648
9223372036854775807; 9223372036854775808
1; 1.5; -0.25
123456789012.25; 1
0.123456789; 1
1.5; 2e3
1; NaN
true; null; false
"a"; "b"
"2026-10-01"; "1999-12-31"
"2026-10-01T09:20:00Z"; "2026-10-01 09:20"; "2026-10-01T09:20:00.123456+02:00"
"2026-10-01"; "2026-10-01T09:20:00Z"
1; "one"; true
[1]; [2.5, null]
[]; [[1], []]
{"a": 1}; {"b": [true]}
{"a": {"b": 1}}; {"a": null}
{}; {"a-b": 1}
[[[[[[[[1]]]]]]]]
[{"a": 1}, {"a": "one"}]
null
"""


def test_what_is_suggested_decodes_whatever_a_field_held(spark: SparkSession) -> None:
    columns = {f"f{n}": line.split("; ") for n, line in enumerate(VALUES.strip().splitlines())}
    records = [f'{{"{name}": {text}}}'.encode() for name, texts in columns.items() for text in texts]
    fields = Fields()
    for offset, value in enumerate(records):
        fields.take(RecordId(0, offset), value)
    schema = {field.name: field.type for field in fields.others({})}
    assert len(schema) == len(columns) > 15
    rows = [(0, n, datetime(2026, 11, 1), None, bytearray(value), None) for n, value in enumerate(records)]
    decoder = {"format": "json", "schema": schema, "event_time": None}
    found = decode(spark.createDataFrame(rows, RAW), decoder).where(f"{REASON} is not null").select("_value", REASON)
    assert [(bytes(value), reason) for value, reason in found.collect()] == []
