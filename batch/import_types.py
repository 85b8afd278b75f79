"""What a typed column of a file may become: a column of the schema, or a refusal that names both types."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from dovetail.shared.lines import cell
from dovetail.shared.rule_arguments import base_type

FAMILIES = {
    "whole": "tinyint byte smallint short int integer bigint long", "number": "float real double decimal dec numeric",
    "text": "string", "boolean": "boolean", "time": "date timestamp timestamp_ntz", "bytes": "binary",
    "nested": "array map struct",
}  # fmt: skip
FAMILY = {kind: family for family, kinds in FAMILIES.items() for kind in kinds.split()}
TAKES = {
    "whole": ("whole", "number", "text"), "number": ("whole", "number", "text"), "boolean": ("boolean", "text"),
    "time": ("time", "text"), "bytes": ("bytes", "text"), "nested": ("nested", "text"),
    "text": tuple(FAMILIES),
}  # fmt: skip
"""By family of the declared type, those whose values may be of it. A whole number is no time: of seconds? of what?"""


def misfit(given: pa.DataType, kind: str) -> str:
    """The type of a file's column of which no value can be of the declared type; nothing where some can.

    >>> misfit(pa.int64(), "timestamp"), misfit(pa.string(), "bigint")
    ('int64', '')
    """
    family = _family(given)
    return "" if family == "null" or family in TAKES[FAMILY[base_type(kind)]] else str(given)


def converter(given: pa.DataType, kind: str | None) -> Callable[[Any], Any]:
    """From a value of a file's column to one that JSON has, for a column of this declared type, or of none.

    >>> converter(pa.float64(), "int")(12.0), converter(pa.float64(), "int")(12.5), converter(pa.string(), "int")("x")
    (12, 12.5, 'x')
    """
    family, target = _family(given), FAMILY[base_type(kind)] if kind else ""
    if family == "number" and target == "whole":
        return _nullable(lambda v: int(v) if math.isfinite(v) and v == int(v) else _number(v))
    if family == "number":
        return _nullable(_number)
    if family == "text" and target in ("whole", "number", "boolean", "nested"):
        return _nullable(lambda v: _cast(v, cell(kind or "")))
    if family == "bytes":
        return _nullable(bytes.decode if target == "text" else lambda v: base64.b64encode(v).decode())
    if pa.types.is_map(given):
        return _nullable(dict)
    return lambda v: v


def _family(given: pa.DataType) -> str:
    types = pa.types
    if types.is_dictionary(given):
        return _family(given.value_type)
    if types.is_integer(given):
        return "whole"
    if types.is_floating(given) or types.is_decimal(given):
        return "number"
    if types.is_string(given) or types.is_large_string(given) or types.is_string_view(given):
        return "text"
    if types.is_timestamp(given) or types.is_date(given):
        return "time"
    if types.is_binary(given) or types.is_large_binary(given) or types.is_fixed_size_binary(given):
        return "bytes"
    return "boolean" if types.is_boolean(given) else "null" if types.is_null(given) else "nested"


def _number(value: float | Decimal) -> Any:
    """The digits as they are written, so that no decimal passes through a float; what is no number as its name."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _cast(text: str, into: Callable[[str], Any]) -> Any:
    try:
        return into(text)
    except ValueError:
        return text


def _nullable(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else make(value)
