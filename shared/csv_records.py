"""A record's line of CSV as columns: SQL on the texts of its fields, which are `_csv`. Without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.shared.conditions import quoted
from dovetail.shared.ddl import DECIMAL

NUMBER = r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?|NaN|[+-]?Infinity"
"""Java takes more for a number, as the d in 1d."""


def fields_type(decoder: Mapping[str, Any]) -> str:
    """The type that the line is read with: its fields as texts, and `corrupt`, set where they are not as many."""
    return ", ".join([*(f"`{column}` string" for column in decoder["schema"]), "corrupt string"])


def options(decoder: Mapping[str, Any]) -> dict[str, str]:
    """How Spark is to take the line apart."""
    how = decoder["csv"]
    return {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "corrupt",
        "sep": how["delimiter"],
        "quote": how["quote"],
        "escape": how["quote"],
        "maxCharsPerColumn": "-1",
    }


def columns(decoder: Mapping[str, Any]) -> list[str]:
    """SQL of each column."""
    return [f"{_value(column, kind)} as `{column}`" for column, kind in decoder["schema"].items()]


def unreadable(decoder: Mapping[str, Any]) -> list[tuple[str, str]]:
    """SQL conditions in their order, and what each says is wrong with a record's line."""
    clashes = [
        (f"_csv.`{column}` is not null and {_value(column, kind)} is null", f"{column} is not {kind}")
        for column, kind in decoder["schema"].items()
    ]
    fields = len(decoder["schema"])
    return [
        ("contains(_line, char(10)) or contains(_line, char(13))", "more than one line"),
        ("_line = ''", "an empty line"),
        ("_csv is null or _csv.corrupt is not null", f"not {fields} field{'' if fields == 1 else 's'}"),
        *clashes,
    ]


def _value(column: str, kind: str) -> str:
    text, base = f"_csv.`{column}`", kind.lower()
    cast = f"try_cast({text} as {kind})"
    if base == "string":
        return text
    if base == "binary":
        return f"cast({text} as binary)"
    if base == "boolean":
        return f"if(lower({text}) in ('true', 'false'), {cast}, null)"
    if base == "date":
        return f"if({text} like '____-__-__', {cast}, null)"
    if base.startswith("timestamp"):  # a text of a time alone would be taken for today's
        return f"if({text} like '____-__-__%', {cast}, null)"
    if base in ("float", "real", "double"):
        return f"if({text} rlike {quoted(f'^({NUMBER})$')}, {cast}, null)"
    if base.startswith(("decimal", "dec", "numeric")):
        found = DECIMAL.fullmatch(kind)
        scale = (found[2] or 0) if found else 0
        return f"if({text} rlike {quoted(f'^[+-]?[0-9]*([.][0-9]{{0,{scale}}}0*)?$')}, {cast}, null)"
    return f"if({text} rlike '^[+-]?[0-9]+$', {cast}, null)"
