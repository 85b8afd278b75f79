"""Values as text in a question and as JSON in an answer."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving.buckets import instant, iso
from dovetail.serving.shape import held_type, type_name
from dovetail.shared.errors import QueryError

GOOD = {
    pa.bool_(): "true", pa.date32(): "2026-03-01", pa.binary(): "eA==", pa.timestamp("us"): "2026-03-01T06:00",
    pa.timestamp("us", tz="UTC"): "2026-03-01T06:00Z",
}  # fmt: skip
"""How a value of a type is written; all others are numbers."""
PLAIN_DIGITS = 6
"""Decimals with so many digits after the point are never written with an exponent by Arrow, which is the faster one."""


def typed(text: str, kind: pa.DataType, *, key: str, tz: str) -> Any:
    """The value that `text` writes, as it is held in memory; `key` is what the question calls it.

    Raises:
        QueryError: it is none of that type, or the type cannot be asked for.
    """
    try:
        return _reader(kind, tz)(text)
    except QueryError:
        with naming(key, text, next=f"{key}={GOOD.get(kind, '1')}"):
            raise
    except (ValueError, InvalidOperation, pa.ArrowInvalid):
        raise QueryError(
            f"{key}: '{text}' is not of type {type_name(kind)}", next=f"{key}={GOOD.get(kind, '1')}"
        ) from None


@contextmanager
def naming(name: str, given: str, *, next: str) -> Iterator[None]:  # noqa: A002
    """Has each QueryError within say `name` and `given`, and what is `next` where it does not."""
    try:
        yield
    except QueryError as error:
        if name not in error.what or given not in error.what:
            error.what = f"{name}={given}: {error.what}" if given else f"{name}: {error.what}"
        error.next = error.next or next
        raise


def rendered(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> list[Any]:
    """A column of Arrow type `kind`, as held in memory, as values that JSON knows.

    Decimals, dates and timestamps are strings, as are NaN and the infinities; bytes are base64.
    """
    if (texts := texts_of(column, kind)) is not None:
        return list(texts.to_pylist())
    values = column.to_pylist()
    if pa.types.is_decimal(kind):
        return [None if v is None else format(v, "f") for v in values]
    if pa.types.is_timestamp(kind):
        return _instants(values, kind.tz)
    if pa.types.is_floating(kind):
        return [v if v is None or math.isfinite(v) else _not_finite(v) for v in values]
    if pa.types.is_list(kind):
        return [
            None if v is None else rendered(pa.array(v, held_type(kind.value_type)), kind.value_type) for v in values
        ]
    if pa.types.is_struct(kind):
        fields = [rendered(pc.struct_field(column, f.name), f.type) for f in kind]
        names = [f.name for f in kind]
        return [
            None if v is None else dict(zip(names, row, strict=True)) for v, *row in zip(values, *fields, strict=True)
        ]
    if pa.types.is_binary(kind):
        return [None if v is None else base64.b64encode(v).decode() for v in values]
    return list(values)


def texts_of(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray | None:
    """The same of dates and most decimals, as a column; None of other types, which Arrow does not write as we do."""
    if pa.types.is_date(kind) or (pa.types.is_decimal(kind) and column.type.scale <= PLAIN_DIGITS):
        return column.cast(pa.string())
    return None


def _instants(values: list[int | None], tz: str | None) -> list[str | None]:
    # Each once: an answer by time has the same instants over and over.
    shown = {v: None if v is None else iso(v, tz) if tz else iso(v).removesuffix("Z") for v in {*values}}
    return [shown[v] for v in values]


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@lru_cache(1_000)
def _reader(kind: pa.DataType, tz: str) -> Callable[[str], Any]:
    if pa.types.is_integer(kind):
        return partial(_integer, largest=(1 << (kind.bit_width - 1)) - 1)
    if pa.types.is_decimal(kind):
        return lambda text: _decimal(text, kind)
    if pa.types.is_timestamp(kind):
        return lambda text: instant(text, tz if kind.tz else "UTC")
    if pa.types.is_floating(kind):
        return lambda text: pa.scalar(float(text), kind).as_py()
    simple: dict[pa.DataType, Callable[[str], Any]] = {
        pa.string(): str,
        pa.bool_(): _boolean,
        pa.date32(): _date,
        pa.binary(): lambda text: base64.b64decode(text, validate=True),
    }
    return simple[kind]


def _integer(text: str, largest: int) -> int:
    digits = text.lstrip("+-")
    if not digits.isascii() or not digits.isdigit() or len(text) > 20:
        raise ValueError(text)
    value = int(text)
    if not -largest - 1 <= value <= largest:
        raise ValueError(text)
    return value


def _decimal(text: str, kind: pa.DataType) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    exact: Decimal = pa.scalar(value, pa.decimal128(kind.precision, kind.scale)).as_py()
    return exact


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _date(text: str) -> date:
    return date.fromisoformat(text)
