"""A question as it came, in a URL or as JSON: its form is checked, nothing of it is understood yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from dovetail.serving.values import naming
from dovetail.serving.where import OPS, Given, split
from dovetail.shared.errors import QueryError, unknown

SCALARS: Mapping[str, str] = {
    "start": "2026-03-01", "end": "2026-03-02T06:00Z", "bucket": "1h", "window": "7d", "fill": "zero",
    "tz": "Europe/Paris", "limit": "100", "cursor": "s1.38.4d1f0a9b2c3d4e~1000", "at_least": "2@3141", "max_age": "30s",
    "timeout": "5", "as_of": "s1.38.4d1f0a9b2c3d4e", "complete": "required", "layer": "speed",
}  # fmt: skip
"""What has one value, with a good one."""
LISTS = ("by", "measures", "order_by")
CONDITIONS = ("where", "having")
"""`where.KEY` is of stored rows, `having.MEASURE` of an answer's."""
NULL = ".null"
EXAMPLE = '{"by": ["country"], "where": {"country": ["FR", null], "price": {"gte": 10}}}'

DEEPEST, LONGEST_LIST = 32, 1_000
"""How far a body may be nested, and how many values one list of it may have."""

Conditions = Mapping[str, Given]


@dataclass(frozen=True)
class Fields:
    """A question as it came. Conditions hold values by key and operator; None among them is null."""

    scalars: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: Conditions = field(default_factory=dict)
    having: Conditions = field(default_factory=dict)


def from_url(query: str, *, also: Sequence[str] = ()) -> Fields:
    """Reads a query string.

    Lists are separated by commas, and a repeated list goes on. In a value of `where.KEY` a backslash keeps the next
    character as it is, so `a\\,b` is one value. `where.KEY.null=true` lets null match too, `where.KEY.not.null=true`
    leaves it out. `also` are further scalars. Raises QueryError for a parameter that there is none of.
    """
    scalars: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    conditions: dict[str, dict[str, dict[str, list[str | None]]]] = {kind: {} for kind in CONDITIONS}
    for name, text in parse_qsl(query, keep_blank_values=True):
        kind, _, of = name.partition(".")
        if name in LISTS:
            lists.setdefault(name, []).extend(part.strip() for part in text.split(",") if part.strip())
        elif of and kind in CONDITIONS:
            null = of.endswith(NULL)
            key, op = split(of.removesuffix(NULL) if null else of)
            values: list[str | None] = [None] if null and _null(name, text) else [*_split(text)]
            conditions[kind].setdefault(key, {}).setdefault(op, []).extend(values)
        else:
            _known(name, also)
            if name in scalars:
                raise QueryError(f"{name} is given twice", why=f"as '{scalars[name]}' and as '{text}'", next="once")
            scalars[name] = text
    return _bounded(Fields(scalars, lists, **conditions))


def from_json(body: bytes) -> Fields:
    """Reads the same fields as a JSON object: lists as lists, null as null, conditions as objects.

    A condition is a value, a list of values, or an object of these by operator: `{"gte": 10, "not": [11, null]}`.
    """
    return from_object(parsed(body))


def parsed(body: bytes, *, example: str = EXAMPLE) -> dict[str, Any]:
    """A body as the JSON object that it must be."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise QueryError(f"the body is not JSON: {error}", next=example) from None
    if not isinstance(given, dict):
        raise QueryError("the body is not a JSON object", next=example)
    _check_depth(given)
    return given


def _check_depth(given: Any) -> None:
    level, depth = [given], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise QueryError(f"the body is nested more than {DEEPEST} deep", next=EXAMPLE)
        inside = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list))
        level = [v for values in inside for v in values]


def from_object(given: dict[str, Any]) -> Fields:
    """The same of a body that has been parsed."""
    conditions = {kind: _conditions(kind, given.pop(kind, {})) for kind in CONDITIONS}
    for name in given:
        if name not in LISTS:
            _known(name)
    scalars = {n: as_text(n, v) for n, v in given.items() if n in SCALARS and v is not None}
    lists = {n: [as_text(n, v) for v in _listed(v)] for n, v in given.items() if n in LISTS and v is not None}
    return _bounded(Fields(scalars, lists, **conditions))


def _bounded(fields: Fields) -> Fields:
    """The same; raises QueryError where a list of it is too long."""
    conditions = [
        (f"{kind}.{key}", v) for kind in CONDITIONS for key, by in getattr(fields, kind).items() for v in by.values()
    ]
    for name, values in (*fields.lists.items(), *conditions):
        if len(values) > LONGEST_LIST:
            raise QueryError(f"{name} has {len(values)} values, {LONGEST_LIST} at most", next="ask in parts")
    return fields


def _conditions(kind: str, given: Any) -> Conditions:
    if not isinstance(given, dict):
        raise QueryError(f"{kind}: {_told(given)} is not an object", next=EXAMPLE)
    return {key: _by_operator(f"{kind}.{key}", each) for key, each in given.items()}


def _by_operator(name: str, given: Any) -> Given:
    if given == {}:
        raise QueryError(f"{name}: {{}} names no operator", next=EXAMPLE)
    by_operator = given if isinstance(given, dict) else {"in": given}
    return {op: [None if v is None else as_text(name, v) for v in _listed(vs)] for op, vs in by_operator.items()}


def _known(name: str, also: Sequence[str] = ()) -> None:
    if name not in (*SCALARS, *also):
        raise QueryError(
            unknown("parameter", name, (*SCALARS, *also, *LISTS, "where.KEY", "where.KEY.null", "having.MEASURE")),
            next=f"a key is asked for as where.KEY=value, or as where.KEY.OPERATOR with one of {', '.join(OPS)}",
        )


def _null(name: str, text: str) -> bool:
    if text != "true":
        raise QueryError(f"{name}={text}: only {name}=true can be asked", next=f"{name}=true, or leave it out")
    return True


def _split(text: str) -> list[str]:
    parts, escaped = [""], False
    for c in text:
        if escaped or c not in ",\\":
            parts[-1] += c
            escaped = False
        elif c == "\\":
            escaped = True
        else:
            parts.append("")
    return parts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def as_text(name: str, value: Any) -> str:
    """A scalar of a JSON body as a URL would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise QueryError(f"{name}: {_told(value)} is not a text, a number or a truth value", next=EXAMPLE)


def _told(value: Any) -> str:
    return orjson.dumps(value).decode()


def about(name: str, given: str = "", *, next: str = "") -> AbstractContextManager[None]:  # noqa: A002
    """Has each refusal within name the parameter and what was given as it, and say what to do: to write a good one."""
    return naming(name, given, next=next or f"{name}={SCALARS.get(name, '…')}")
