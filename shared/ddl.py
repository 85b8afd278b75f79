"""Reads the columns of a schema written as Spark DDL, so that declarations are checked without Java."""

from __future__ import annotations

import re

from dovetail.shared.errors import DeclarationError, unknown

SIMPLE = frozenset(
    "boolean tinyint byte smallint short int integer bigint long float real double string binary date timestamp "
    "timestamp_ntz decimal dec numeric".split()
)
DECIMAL = re.compile(r"(?:decimal|dec|numeric)\((\d+)(?:,(\d+))?\)", re.IGNORECASE)
NESTED = ("array<", "map<", "struct<")


def columns(schema: str, *, where: str = "") -> dict[str, str]:
    """Column name to type, in order. Raises DeclarationError for what is no column, an unknown type or a repeat.

    >>> columns("a int, b decimal(10, 2), c array<struct<x: int, y: string>>")
    {'a': 'int', 'b': 'decimal(10,2)', 'c': 'array<struct<x: int, y: string>>'}
    """
    found: dict[str, str] = {}
    for part in split(schema):
        match = re.fullmatch(
            r"(`[^`]+`|[A-Za-z_]\w*)\s*:?\s+(.+?)(\s+NOT\s+NULL)?(\s+COMMENT\s+'.*')?", part, re.I | re.S
        )
        if not match:
            raise DeclarationError(f"'{part}' is not a column: write `name type`", where=where)
        name, kind = match[1].strip("`"), match[2].strip()
        kind = type_of(kind, subject=f"column {name}", where=where)
        if name.startswith("_"):
            raise DeclarationError(f"column {name}: names that begin with _ are Dovetail's own", where=where)
        if name.lower() in (n.lower() for n in found):
            raise DeclarationError(f"column {name} is declared twice", where=where)
        found[name] = kind
    if not found:
        raise DeclarationError("the schema has no columns", where=where)
    return found


def type_of(text: str, *, subject: str, where: str = "") -> str:
    """A Spark type, without blanks where it is not nested; DeclarationError about `subject` for any other text.

    >>> type_of("decimal(10, 2)", subject="column price")
    'decimal(10,2)'
    """
    kind = text.strip()
    if kind.lower().startswith(NESTED):
        return kind
    kind = re.sub(r"\s*([(),])\s*", r"\1", kind)
    decimal = DECIMAL.fullmatch(kind)
    if decimal and not int(decimal[2] or 0) <= int(decimal[1]) <= 38:
        raise DeclarationError(f"{subject}: {kind} has more than 38 digits, or more after its point", where=where)
    if not decimal and kind.lower() not in SIMPLE:
        raise DeclarationError(f"{subject}: {unknown('type', kind, SIMPLE)}", where=where)
    return kind


def split(text: str) -> list[str]:
    """`text` cut at its top-level commas, those outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "<(") - (c in ">)")
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [p for p in [*parts, text[start:].strip()] if p]
