"""Reads the columns of a schema written as Spark DDL, so that declarations are checked without Java."""

from __future__ import annotations

import re

from dovetail.shared.errors import DeclarationError, unknown

SIMPLE = frozenset(
    "boolean tinyint byte smallint short int integer bigint long float real double string binary date timestamp "
    "timestamp_ntz decimal dec numeric".split()
)
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
        base = re.split(r"[(<\s]", kind.lower())[0]
        if base not in SIMPLE and not kind.lower().startswith(NESTED):
            raise DeclarationError(f"column {name}: {unknown('type', kind, SIMPLE)}", where=where)
        if name.startswith("_"):
            raise DeclarationError(f"column {name}: names that begin with _ are Dovetail's own", where=where)
        if name.lower() in (n.lower() for n in found):
            raise DeclarationError(f"column {name} is declared twice", where=where)
        found[name] = re.sub(r"\s+", "", kind) if "<" not in kind else kind
    if not found:
        raise DeclarationError("the schema has no columns", where=where)
    return found


def split(text: str) -> list[str]:
    """`text` cut at its top-level commas, those outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "<(") - (c in ">)")
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [p for p in [*parts, text[start:].strip()] if p]
