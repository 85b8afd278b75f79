"""A small table from the bytes of a file; what is wrong with them is a ValueError that says so."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from dovetail.shared import ddl
from dovetail.shared.errors import unknown

TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    **dict.fromkeys(("tinyint", "byte"), pa.int8()),
    **dict.fromkeys(("smallint", "short"), pa.int16()),
    **dict.fromkeys(("int", "integer"), pa.int32()),
    **dict.fromkeys(("bigint", "long"), pa.int64()),
    **dict.fromkeys(("float", "real"), pa.float32()),
    "double": pa.float64(),
    **dict.fromkeys(("decimal", "dec", "numeric"), pa.decimal128(10, 0)),
    "date": pa.date32(),
}
"""Spark's types as Arrow's, of those that a file of text can hold."""


def read(content: bytes, kind: str, *, schema: Sequence[tuple[str, str]] | None) -> pa.Table:
    """The table, with the columns and Spark types of `schema` where it is given."""
    table = READERS[kind](content)
    if repeated := {name for name in table.column_names if table.column_names.count(name) > 1}:
        raise ValueError(f"two columns are called '{min(repeated)}'")
    if schema is None:
        return table
    return pa.table({name: _typed(_column(table, name), name, kind) for name, kind in schema})


def check(table: pa.Table, *, keys: Sequence[str], limit: int) -> None:
    """Raises ValueError where a key is null or there twice, or where the rows take more than `limit` bytes."""
    if table.nbytes > limit:
        raise ValueError(f"its rows take {table.nbytes:,} bytes, and {limit:,} are the most")
    seen: set[tuple[Any, ...]] = set()
    for number, key in enumerate(zip(*[_column(table, name).to_pylist() for name in keys], strict=True), start=1):
        said = ", ".join([str(part) for part in key])
        if None in key:
            raise ValueError(f"row {number} has no key {', '.join(keys)}")
        if key in seen:
            raise ValueError(f"the key {said} is there twice, the second time in row {number}")
        seen.add(key)


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise ValueError(unknown("column", name, table.column_names))
    return table[name]


def _typed(values: pa.ChunkedArray, name: str, kind: str) -> pa.ChunkedArray:
    decimal = ddl.DECIMAL.fullmatch(kind)
    wanted = pa.decimal128(int(decimal[1]), int(decimal[2] or 0)) if decimal else TYPES.get(kind.lower())
    if wanted is None:
        raise ValueError(f"column {name}: {unknown('type', kind, TYPES)}")
    if decimal and pa.types.is_integer(values.type):
        values = pc.cast(values, pa.string())  # 7 fits decimal(3,2), but Arrow regards what the type could hold
    try:
        return pc.cast(values, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {name} is no {kind}: {str(error).splitlines()[0]}") from None


def _csv(content: bytes) -> pa.Table:
    lines = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    try:
        rows = [line for line in lines if line]
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}") from None
    if not rows:
        raise ValueError("it is empty: write a header")
    header = rows.pop(0)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} fields, and the header {len(header)}")
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return pa.Table.from_arrays([pa.array([v or None for v in c], pa.string()) for c in columns], names=header)


def _json(content: bytes) -> pa.Table:
    rows = json.loads(_decoded(content), parse_float=Decimal)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError('it holds no list of objects, as in [{"code": "FR", "name": "France"}]')
    names = dict.fromkeys([name for row in rows for name in row])
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _parquet(content: bytes) -> pa.Table:
    return parquet.read_table(pa.BufferReader(content))


READERS: dict[str, Callable[[bytes], pa.Table]] = {"csv": _csv, "json": _json, "parquet": _parquet}
