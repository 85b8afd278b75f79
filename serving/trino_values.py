"""Values as Trino's protocol writes them in JSON, as columns of the types that they are stored as."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

Reader = Callable[[Any], Any]


def arrow(page: Sequence[Sequence[Any]], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows as a table; raises ArrowInvalid for a value beyond its type."""
    columns = zip(kinds.values(), zip(*page, strict=True), strict=True)
    return pa.table([_column(values, kind) for kind, values in columns], [*kinds])


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind) or pa.types.is_date(kind):
        return pa.array(values, pa.string()).cast(kind)
    read = _reader(kind)
    return pa.array(values if read is None else [None if v is None else read(v) for v in values], kind)


def _reader(kind: pa.DataType) -> Reader | None:
    """What makes a value of what is not null; None where it is one already."""
    if pa.types.is_floating(kind):
        return float  # also of "NaN" and "Infinity", which JSON has no numbers for
    if pa.types.is_binary(kind):
        return base64.b64decode
    if pa.types.is_decimal(kind):
        return Decimal
    if pa.types.is_date(kind):
        return date.fromisoformat
    if pa.types.is_list(kind):
        each = _or_null(kind.value_type)
        return lambda values: [each(v) for v in values]
    if pa.types.is_struct(kind):
        fields = [(f.name, _or_null(f.type)) for f in kind]
        return lambda values: {name: read(v) for (name, read), v in zip(fields, values, strict=True)}
    return None


def _or_null(kind: pa.DataType) -> Reader:
    read = _reader(kind)
    return lambda value: value if value is None or read is None else read(value)
