"""Which fields records hold, whatever their source declares: how often, and of which types. Needs no engine."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dovetail.shared.position import RecordId

EXAMPLES, LONGEST = 100, 64
"""So many nested values, and characters of a text, are kept of a field to tell its type from."""
DEEPEST, WIDEST = 6, 50
"""A nested value of more levels or names than these is suggested as text."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
Place = tuple[int, int]


@dataclass
class Field:
    """One field as records hold it.

    `held` are the places of the records that have it, null or not; `kinds` counts its values that are not null by kind,
    `scales` its numbers, also those in text, by their digits after the point.
    """

    name: str
    held: set[Place] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    scales: Counter[int] = field(default_factory=Counter)
    _examples: list[Any] = field(default_factory=list)

    @property
    def values(self) -> int:
        return self.kinds.total()

    @property
    def first(self) -> RecordId:
        return RecordId(*min(self.held))

    @property
    def type(self) -> str:
        """The Spark type that would hold its values."""
        return type_of(self._examples)

    def take(self, place: Place, value: Any) -> None:
        self.held.add(place)
        if value is None:
            return
        kind = _KINDS[type(value)]
        self.kinds[kind] += 1
        if (scale := _scale(value)) is not None:
            self.scales[scale] += 1
        if kind not in ("array", "object") or self.kinds[kind] <= EXAMPLES:
            self._examples.append(value[:LONGEST] if isinstance(value, str) else value)


class Fields:
    """The fields at the top of a sample's records, those that are objects."""

    def __init__(self) -> None:
        self._places: set[Place] = set()
        self._named: dict[str, Field] = {}

    def take(self, place: RecordId, value: bytes | None) -> None:
        """Looks at one record."""
        record, at = _object(value), (place.partition, place.offset)
        if record is None:
            return
        self._places.add(at)
        for name, each in record.items():
            self._named.setdefault(name, Field(name)).take(at, each)

    @property
    def records(self) -> int:
        return len(self._places)

    def get(self, name: str) -> Field | None:
        return self._named.get(name)

    def others(self, columns: Mapping[str, str]) -> list[Field]:
        """The fields that are none of `columns`; those that most records hold come first."""
        found = [f for f in self._named.values() if f.name not in columns]
        return sorted(found, key=lambda f: -len(f.held))

    def after(self, field: Field) -> list[RecordId]:
        """The records after the last one that holds the field, in each partition."""
        last = dict(sorted(field.held))  # of each partition the largest offset
        return [RecordId(p, o) for p, o in sorted(self._places) if o > last.get(p, -1)]


def type_of(values: Sequence[Any]) -> str:
    """The Spark type that holds all of these values of JSON; string where no other does.

    >>> type_of([1, None, 2**40]), type_of([1, Decimal("12.50")]), type_of(["2026-10-01T09:20:00Z"])
    ('bigint', 'decimal(10,2)', 'timestamp')
    >>> type_of([{"a": 1}, {"a": 2, "b": [True]}]), type_of([1, "one"])
    ('struct<a: bigint, b: array<boolean>>', 'string')
    """
    return _type_of(values, DEEPEST)


def column(name: str, kind: str) -> str:
    """A column as a schema declares it; empty where none can have that name.

    >>> column("channel", "string"), column("sales-channel", "string"), column("_id", "string")
    ('channel string', '`sales-channel` string', '')
    """
    if not name or name.startswith("_") or "`" in name:
        return ""
    return f"{name} {kind}" if _NAME.fullmatch(name) else f"`{name}` {kind}"


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads((value or b"").decode(), parse_float=Decimal, parse_constant=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _type_of(values: Sequence[Any], levels: int) -> str:
    there = [v for v in values if v is not None]
    kinds = {type(v) for v in there}
    if kinds == {bool}:
        return "boolean"
    if kinds and kinds <= {int, Decimal}:
        return _number(there)
    if kinds == {str}:
        return _text(there)
    if kinds == {list} and levels:
        return f"array<{_type_of([v for each in there for v in each], levels - 1)}>"
    if kinds == {dict} and levels:
        return _struct(there, levels)
    return "string"


def _number(values: Sequence[int | Decimal]) -> str:
    if all(isinstance(v, int) for v in values):
        return "bigint" if all(-(2**63) <= v < 2**63 for v in values) else "decimal(38,0)"
    scales = [_scale(v) for v in values]
    scale = max((s for s in scales if s is not None), default=0)
    whole = max(len(str(abs(int(v)))) for v, s in zip(values, scales, strict=True) if s is not None) if scale else 0
    if None in scales or not 0 < scale <= 6 or whole + scale > 38:
        return "double"
    return f"decimal({max(10, whole + scale)},{scale})"


def _text(values: Sequence[str]) -> str:
    for kind, form in (("date", _DATE), ("timestamp", _TIME)):
        if all(form.fullmatch(v) for v in values):
            return kind
    return "string"


def _struct(values: Sequence[Mapping[str, Any]], levels: int) -> str:
    names = dict.fromkeys(name for each in values for name in each)
    if not 0 < len(names) <= WIDEST or not all(map(_NAME.fullmatch, names)):
        return "string"
    fields = (f"{name}: {_type_of([each.get(name) for each in values], levels - 1)}" for name in names)
    return f"struct<{', '.join(fields)}>"


def _scale(value: Any) -> int | None:
    """The digits after the point of a number, or of one in text; None for what is none, or is written with a power."""
    if isinstance(value, str) and len(value) <= 40 and re.fullmatch(r"-?\d+\.\d+", value, re.ASCII):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return -exponent if isinstance(exponent, int) and exponent <= 0 else None


_KINDS = {bool: "boolean", int: "integer", Decimal: "decimal", str: "text", list: "array", dict: "object"}
