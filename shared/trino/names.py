"""Names, literals and types in Trino's SQL."""

from __future__ import annotations

import pyarrow as pa

TYPES = {
    pa.bool_(): "boolean", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "integer", pa.int64(): "bigint",
    pa.float32(): "real", pa.float64(): "double", pa.string(): "varchar", pa.binary(): "varbinary",
    pa.date32(): "date",
}  # fmt: skip


def quoted(*names: str) -> str:
    """The names as one identifier, whatever they hold.

    >>> print(quoted("lake", 'a"b', "select"))
    "lake"."a""b"."select"
    """
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """The text as a literal.

    >>> print(literal("it's"))
    'it''s'
    """
    return "'" + text.replace("'", "''") + "'"


def sql_type(kind: pa.DataType) -> str | None:
    """What Trino calls the type of a stored column; None for one that no answer has as a key."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp(3) with time zone" if kind.tz else "timestamp(6)"
    return TYPES.get(kind)
