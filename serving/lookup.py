"""Many groups of keys looked up in one question: a row for each, in the order asked for, with or without records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from dovetail.serving import query
from dovetail.serving.answer import TOO_LARGE, Rows, Shown, presented, too_large
from dovetail.serving.fields import Fields, as_text
from dovetail.serving.kept import Kept, Key, render
from dovetail.serving.query import Asked, Plan
from dovetail.serving.rows import stored, where
from dovetail.serving.seen import ALL, Seen
from dovetail.serving.shape import Shape, held_type, quoted
from dovetail.serving.values import rendered, typed
from dovetail.shared.errors import QueryError, unknown
from dovetail.shared.measures import GatheredKind

MOST = 1_000
"""Keys in one lookup."""
REMEMBERED, BRIEF = 100_000, 1_000
"""Keys whose plans are remembered, and the characters of the longest of them."""
TEXT = pa.string()
EXAMPLE = '{"keys": [{"country": "FR", "product": 1}], "measures": ["revenue"]}'
TAKEN = ("measures", "start", "end", "tz", "at_least", "max_age", "timeout", "complete", "as_of")
"""What a lookup takes besides its keys."""

States = tuple[Any, ...]


def asked(shape: Shape, keys: Any, fields: Fields, seen: Seen = ALL) -> Asked:
    """Checks a lookup against what the view holds.

    Args:
        keys: what the body has as `keys`: a list of objects, each with a value for every key of the view.

    Raises:
        QueryError: a key is not named or not of its type, or something is asked that a lookup does not have.
    """
    conditions = [f"{kind}.{name}" for kind in ("where", "having") for name in getattr(fields, kind)]
    for name in (*fields.scalars, *fields.lists, *conditions):
        if name not in TAKEN:
            raise QueryError(f"{name} is of a query, not of a lookup", next=f"a lookup takes keys, {', '.join(TAKEN)}")
    found = query.plan(shape, fields, seen)
    return replace(found, plan=replace(found.plan, keys=_keys(shape, keys, fields.scalars.get("tz", "UTC"), seen)))


def groups_of_keys(
    shape: Shape, plan: Plan, tables: Sequence[str], cursor: duckdb.DuckDBPyConnection
) -> Mapping[Key, States]:
    """The merged states of each of the plan's keys; those without records are left out."""
    keys = plan.keys or ()
    names = [f"_key{i}" for i in range(len(shape.keys))]  # no key begins with an underscore
    columns = [pa.array([k[i] for k in keys], held_type(t)) for i, t in enumerate(_types(shape, plan.seen).values())]
    cursor.register("_asked", pa.table([pa.array(range(len(keys))), *columns], names=["_n", *names]))
    same = [f"r.{quoted(key)} IS NOT DISTINCT FROM {name}" for key, name in zip(shape.keys, names, strict=True)]
    merged = ", ".join(shape.merged(c) for c in plan.states(shape))
    rows = stored(shape, plan, tables) + f" JOIN _asked ON {' AND '.join(same)}" + where(shape, plan)
    statement = f"SELECT _n, {merged} FROM {rows.text} GROUP BY _n"  # noqa: S608  names are the bundle's, values are bound
    try:
        found = cursor.execute(statement, [*rows.values]).fetchall()
    except TOO_LARGE as error:
        raise too_large(plan) from error
    kinds = [shape.kinds[c] for c in plan.states(shape)]
    return {
        keys[n]: tuple(
            k.merge_values(s or ()) if isinstance(k, GatheredKind) else s for k, s in zip(kinds, states, strict=True)
        )
        for n, *states in found
    }


def shown_of_keys(shape: Shape, plan: Plan, found: Mapping[Key, States]) -> Shown:
    """A row for each of the plan's keys."""
    keys, columns = plan.keys or (), plan.states(shape)
    none = _none(shape, plan)
    states = [found.get(key, none) for key in keys]
    of_keys = {
        name: pa.array([k[i] for k in keys], held_type(t))
        for i, (name, t) in enumerate(_types(shape, plan.seen).items())
    }
    merged = {c: pa.array([s[i] for s in states], held_type(shape.states[c])) for i, c in enumerate(columns)}
    return presented(shape, replace(plan, by=tuple(shape.keys)), pa.table({**of_keys, **merged}))


def kept_of_keys(shape: Shape, plan: Plan, found: Mapping[Key, States]) -> list[Kept]:
    """The answers about each key alone, as they are kept, all rendered."""
    none, plans = _none(shape, plan), of_each_key(shape, plan)
    kept = [Kept(shape, one, key, {None: found.get(key, none)}) for key, one in plans.items()]
    render(shape, kept)
    return kept


def of_each_key(shape: Shape, plan: Plan) -> dict[Key, Plan]:
    """The questions about each key alone."""
    names, each = tuple(shape.keys), replace(plan, keys=None)
    if not each.brief:
        return {key: each.of_key(names, key) for key in plan.keys or ()}
    each = _one_of(each)
    return {key: of_key(names, each, key) if _brief(key) else each.of_key(names, key) for key in plan.keys or ()}


def rows_of_kept(shape: Shape, plan: Plan, kept: Mapping[Key, Kept]) -> Rows:
    """The answer to a lookup, put together from those about each key alone."""
    _name(shape, [one for one in kept.values() if not one.named])
    return Rows(b"[" + b",".join([kept[key].named for key in plan.keys or ()]) + b"]", more=False)


def _name(shape: Shape, kept: Sequence[Kept]) -> None:
    """Puts before the row of each what its keys are."""
    columns = [rendered(pa.array([k.key[i] for k in kept], held_type(t)), t) for i, t in enumerate(shape.keys.values())]
    for one, values in zip(kept, zip(*columns, strict=True), strict=True):
        keys = orjson.dumps(dict(zip(shape.keys, values, strict=True)))
        one.named = keys[:-1] + b"," + one.rows().json[2:-1]


@lru_cache(REMEMBERED)
def of_key(names: tuple[str, ...], each: Plan, key: Key) -> Plan:
    """The question about one key alone. Remembered, with its digest: else that would be most of what a lookup costs."""
    return each.of_key(names, key)


def _brief(key: Key) -> bool:
    return sum(len(value) for value in key if isinstance(value, str | bytes)) <= BRIEF


@lru_cache(1_000)
def _one_of(plan: Plan) -> Plan:
    """The first of equal plans: the same object is found in a cache without comparing its every field."""
    return plan


def _none(shape: Shape, plan: Plan) -> States:
    """The states of a key without records."""
    kinds = (shape.kinds[c] for c in plan.states(shape))
    return tuple(k.merge_values(()) if isinstance(k, GatheredKind) else None for k in kinds)


def _types(shape: Shape, seen: Seen) -> dict[str, pa.DataType]:
    return {name: seen.type(shape, name) for name in shape.keys}


def _keys(shape: Shape, given: Any, tz: str, seen: Seen) -> tuple[Key, ...]:
    if not shape.keys:
        raise QueryError(f"{shape.view} has no keys to look up", next=f"GET /v1/views/{shape.view}/query")
    if any(pa.types.is_floating(kind) for kind in _types(shape, seen).values()):
        raise QueryError("a key of floating numbers cannot be looked up", next=f"GET /v1/views/{shape.view}/query")
    if not isinstance(given, list) or not given:
        raise QueryError("keys is not a list of keys", next=EXAMPLE)
    if len(given) > MOST:
        raise QueryError(f"{len(given)} keys are asked for, {MOST} at most", next="ask in parts")
    types = _types(shape, seen)
    return tuple(_key(types, one, tz) for one in given)


def _key(types: Mapping[str, pa.DataType], given: Any, tz: str) -> Key:
    if not isinstance(given, dict):
        raise QueryError("one of keys is not an object", next=EXAMPLE)
    if given.keys() != types.keys():
        for name in given:
            if name not in types:
                raise QueryError(f"keys: {unknown('key', name, types)}", next="name all keys, and no others")
        lacking = ", ".join(name for name in types if name not in given)
        raise QueryError(f"one of keys does not say {lacking}", next="name all keys, or ask a query")
    return tuple([_value(name, given[name], kind, tz) for name, kind in types.items()])


def _value(name: str, given: Any, kind: pa.DataType, tz: str) -> Any:
    if given is None or (type(given) is str and kind == TEXT):
        return given
    return typed(as_text(f"keys.{name}", given), kind, key=f"keys.{name}", tz=tz)
