"""What fields of records say of the schema they are read with: added, missing, renamed, of another type."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dovetail.shared.ddl import DECIMAL
from dovetail.shared.fields import Field, Fields, column
from dovetail.shared.position import RecordId
from dovetail.shared.quarantine import inert
from dovetail.shared.rule_arguments import FAMILIES, base_type

SHOWN = 20
"""Fields that are named one by one."""
SPARSE = 0.95
"""A column that is null in this share of the records is told."""
CEASED = 3
"""Newest records without a field that all before them hold, from which on it has ceased."""

Level = Literal["ok", "note", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that a sample says of a declaration: `records` is how many it is about, `first` the first of them.

    A note changes nothing for anybody, a warning may not be meant, and `fail` is to be mended before it runs.
    """

    level: Level
    kind: str
    message: str
    column: str = ""
    records: int = 0
    first: RecordId | None = None
    next: str = ""
    where: str = ""


def drift(columns: Mapping[str, str], fields: Fields) -> Iterator[Finding]:
    """What is to be said of a schema's columns and of the fields that are not among them."""
    if not fields.records:
        return
    taken = renamed(columns, fields)
    for name, other in taken.items():
        yield _renamed(name, other, fields)
    others = [f for f in fields.others(columns) if f not in taken.values()]
    yield from (_undeclared(f, columns, fields) for f in others[:SHOWN])
    if len(others) > SHOWN:
        yield Finding("note", "undeclared", f"and {len(others) - SHOWN:,} more fields that are not declared")
    for name, kind in columns.items():
        if name not in taken:
            yield from _column(name, kind, fields)


def renamed(columns: Mapping[str, str], fields: Fields) -> dict[str, Field]:
    """Columns that have probably got another name, with the field of it: each record holds one of the two, none both.

    And both are of like types. Where several fields could be it, the one whose name is most alike.
    """
    pairs = sorted(
        (-_alike(name, other.name), n, name, other)
        for n, other in enumerate(fields.others(columns))
        for name, kind in columns.items()
        if _in_place_of(fields.get(name), other, fields) and _family(other.type) in _families(kind)
    )
    found: dict[str, Field] = {}
    for *_, name, other in pairs:
        if name not in found and other not in found.values():
            found[name] = other
    return found


def _in_place_of(held: Field | None, other: Field, fields: Fields) -> bool:
    before = held.held if held else set[int]()
    apart = not before & other.held and len(before) + len(other.held) == fields.records
    return apart and other.values > 0


def _renamed(name: str, other: Field, fields: Fields) -> Finding:
    new, n = inert(other.name), len(other.held)
    message = f"{name} is in none of {fields.records:,} records, and {new}, which is not declared, in all of them"
    if n < fields.records:
        message = f"{name} gives way to {new}, which is not declared, in {_of(n, fields)}, first {other.first}"
    return Finding(
        "warn", "renamed", f"{message}: did you mean {new}?", name, n, other.first,
        f"declare {new}, or have the producer call it {name}; until then {name} is null there",
    )  # fmt: skip


def _undeclared(found: Field, columns: Mapping[str, str], fields: Fields) -> Finding:
    n, name = len(found.held), inert(found.name)
    kind = found.type if found.values else "null"
    spelt = next((c for c in columns if c.lower() == found.name.lower()), "")
    declared = column(name, kind) if found.values and not spelt else ""
    message = f"{name} is not declared: {kind} in {_of(n, fields)}, ignored"
    return Finding(
        "note", "undeclared", message + (f"; {spelt} is" if spelt else ""), name, n, found.first,
        f"to keep it add to the schema: {inert(declared)}" if declared else "",
    )  # fmt: skip


def _column(name: str, kind: str, fields: Fields) -> Iterator[Finding]:
    found = fields.get(name)
    values = found.values if found else 0
    nulls = fields.records - values
    after = fields.after(found) if found else []
    if found and len(after) >= CEASED and len(after) + len(found.held) == fields.records:
        message = f"{name} is missing in the newest {_of(len(after), fields)}, first {after[0]}; all before hold it"
        yield Finding("warn", "missing", message, name, len(after), after[0])
    elif not values:
        how = "null" if found else "missing"
        yield Finding("note", "missing", f"{name} is {how} in all of {fields.records:,} records", name, nulls)
    elif nulls >= SPARSE * fields.records:
        yield Finding("note", "sparse", f"{name} is null or missing in {_of(nulls, fields)}", name, nulls)
    if found is None:
        return
    if kind.lower() == "string" and (other := values - found.kinds["text"]):
        what = " and ".join(sorted(k for k in found.kinds if k != "text"))
        message = f"{name} is declared string and is {what} in {_of(other, fields)}: read as text"
        yield Finding("note", "type", message, name, other)
    decimal = DECIMAL.fullmatch(kind)
    scale = int(decimal[2] or 0) if decimal else 0
    if decimal and (n := sum(count for digits, count in found.scales.items() if digits > scale)):
        message = f"{name} is {kind} and has more digits after the point in {_of(n, fields)}: rounded"
        wider = f"decimal({min(38, int(decimal[1]) + max(found.scales) - scale)},{max(found.scales)})"
        yield Finding("warn", "rounded", message, name, n, next=f"declare {name} {wider} to keep them")


def _of(n: int, fields: Fields) -> str:
    """`312 of 1,000 records`"""
    return f"{n:,} of {fields.records:,} records"


def _alike(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()


def _family(kind: str) -> str:
    base = base_type(kind)
    return next((family for family, types in FAMILIES.items() if base in types), base)


def _families(kind: str) -> tuple[str, ...]:
    """What a field may look like that is meant to be a column of this type: times and bytes come as text."""
    family = _family(kind)
    return {"text": ("text", "time"), "binary": ("text",), "map": ("struct",)}.get(family, (family,))
