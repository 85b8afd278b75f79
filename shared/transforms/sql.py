"""Names and values as Spark SQL text, whatever they hold.

Transforms are planned anew in every micro-batch, where a piece of SQL costs one call to the engine and a tree of
Column objects one for each of its nodes.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

Value: TypeAlias = str | int | float | Decimal | bool | date | None

KINDS = {
    **dict.fromkeys(("string", "char", "varchar"), "text"),
    **dict.fromkeys(("byte", "short", "integer", "long", "float", "double", "decimal"), "number"),
    "boolean": "boolean",
    "date": "date",
    **dict.fromkeys(("timestamp", "timestamp_ntz"), "timestamp"),
    "struct": "struct",
    "array": "array",
}
"""Kinds of columns by what pyspark calls their types (`DataType.typeName`)."""


def identifier(*path: str) -> str:
    """A column, or a field of structs.

    >>> print(identifier("address", "zip`code"))
    `address`.`zip``code`
    """
    return ".".join(["`" + part.replace("`", "``") + "`" for part in path])


def text(value: str) -> str:
    r"""A text.

    >>> print(text("it's \\d and ${env:HOME}"))
    'it\'s \\d and \u0024{env:HOME}'
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("${", "\\u0024{") + "'"  # Spark replaces `${…}` by a setting, also inside a text


def literal(value: Value) -> str:
    """A value.

    Raises:
        ValueError: SQL has no such number.

    >>> [literal(v) for v in (None, True, -1, 1.5, Decimal("1.10"), "a", date(2026, 3, 1))]
    ['NULL', 'TRUE', '-1', '1.5D', '1.10BD', "'a'", "DATE'2026-03-01'"]
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return text(value)
    if isinstance(value, date):
        return f"DATE'{value.isoformat()}'"
    return _number(value)


def kind(value: Value) -> str:
    """The kind of columns, of those in KINDS, that hold such a value; `null` for None, empty for what is no value.

    >>> kind("a"), kind(True), kind(1.5), kind(None), kind([])
    ('text', 'boolean', 'number', 'null', '')
    """
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return ""
    kinds = ((bool, "boolean"), (str, "text"), (date, "date"), (int | float | Decimal, "number"))
    return next((kind for python, kind in kinds if isinstance(value, python)), "")


def _number(value: float | Decimal) -> str:
    if isinstance(value, float):
        return f"{value!r}D" if math.isfinite(value) else f"double('{value}')"
    written = format(value, "f") if isinstance(value, Decimal) else str(value)
    if not Decimal(written).is_finite() or len(written.lstrip("-").replace(".", "").lstrip("0")) > 38:
        raise ValueError(f"{value} is no number of at most 38 digits")
    return f"{written}BD" if isinstance(value, Decimal) else written
