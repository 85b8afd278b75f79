"""Rows made as JSON column by column are, byte for byte, the rows made one by one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.serving import json_rows
from dovetail.serving.answer import Shown
from dovetail.serving.shape import held_type

DECIMALS = st.integers(-(10**20), 10**20)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(1 << 63), (1 << 63) - 1),
    pa.int8(): st.integers(-128, 127),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.string(): st.text(),
    pa.binary(): st.binary(),
    pa.date32(): st.dates(),
    pa.decimal128(30, 2): DECIMALS.map(lambda n: Decimal(n).scaleb(-2)),
    pa.decimal128(38, 18): DECIMALS.map(lambda n: Decimal(n).scaleb(-18)),
    pa.timestamp("us"): st.integers(-(10**15), 10**15),
    pa.timestamp("us", tz="UTC"): st.integers(-(10**15), 10**15),
    pa.timestamp("us", tz="Europe/Berlin"): st.integers(-(10**15), 10**15),
    pa.list_(pa.string()): st.lists(st.text(), max_size=3),
    pa.list_(pa.timestamp("us", tz="UTC")): st.lists(st.integers(0, 10**15), max_size=3),
    pa.struct({"lower": pa.float64(), "n": pa.int64()}): st.fixed_dictionaries(
        {"lower": st.floats(), "n": st.integers(-9, 9)}
    ),
}
"""By type, values as held in memory."""


def both(columns: Mapping[str, tuple[pa.DataType, list[Any]]]) -> None:
    kinds = {name: kind for name, (kind, _) in columns.items()}
    table = pa.table({name: pa.array(values, held_type(kind)) for name, (kind, values) in columns.items()})
    rows = Shown(table, kinds, more=False).as_dicts()
    with patch.object(json_rows, "AT_ONCE", 2):
        assert json_rows.array_of(table, kinds) == orjson.dumps(rows)
        assert json_rows.lines_of(table, kinds) == b"".join(orjson.dumps(row) + b"\n" for row in rows)


@pytest.mark.parametrize("kind", VALUES, ids=str)
@given(st.data())
def test_values_of_every_type(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | VALUES[kind], max_size=5))
    both({"a": (kind, values), 'a "b",': (kind, values)})


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\0", "\x1f", "\x7f", "é", "😀", "}, {", "null", ""])
def test_texts_that_json_has_to_escape_or_has_not(text: str) -> None:
    both({"a": (pa.string(), [text, None, "plain"]), "n": (pa.int64(), [1, None, -1])})


def test_nothing() -> None:
    both({"a": (pa.int64(), [])})
