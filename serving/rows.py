"""Which stored rows a plan is about, and what of them may be seen: as SQL with the values that are bound in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.serving.dimensions import Joined
from dovetail.serving.query import Plan
from dovetail.serving.seen import unmasked
from dovetail.serving.shape import BUCKET, ROWS, Shape, alias, held_as, quoted, sql_type
from dovetail.serving.where import Condition


@dataclass(frozen=True)
class Sql:
    """A piece of a statement and the values of its question marks, in their order."""

    text: str
    values: tuple[Any, ...] = ()

    def __add__(self, other: Sql | str) -> Sql:
        text, values = (other, ()) if isinstance(other, str) else (other.text, other.values)
        return Sql(self.text + text, self.values + values)


def stored(shape: Shape, plan: Plan, tables: Sequence[str]) -> Sql:
    """The rows of a plan as `r`: the keys that it needs as they may be seen, the bucket, states; and its dimensions."""
    named = [*plan.by, *(c.name for c in plan.where), *(shape.keys if plan.keys is not None else ())]
    dimensions = plan.dimensions(shape)
    keys = dict.fromkeys([*(n for n in named if n in shape.keys), *(d.key for d in dimensions)])
    timed = plan.bucket is not None or plan.start is not None or plan.end is not None
    columns = [*keys, *([BUCKET] if timed else []), *plan.states(shape)]
    rows = Sql(_union(tables, columns)) if plan.seen.whole else _seen(shape, plan, tables, columns)
    joined = [_joined(shape, plan, d) for d in dimensions]
    return sum(joined, rows + " AS r")


def where(shape: Shape, plan: Plan) -> Sql:
    """The WHERE of a plan: on what is seen."""
    parts = [Sql(c.sql(column(shape, c.name)), tuple(c.bound)) for c in plan.where]
    bounds = ((plan.since, ">="), (plan.end, "<"))
    return _all([*parts, *(Sql(f"{BUCKET} {sign} ?", (bound,)) for bound, sign in bounds if bound is not None)])


def column(shape: Shape, name: str) -> str:
    """What a key or an attribute is called in a statement over `stored`."""
    found = shape.attribute(name)
    return f"r.{quoted(name)}" if found is None else found.sql


def matches(shape: Shape, dimension: Joined, key: str) -> str:
    """The SQL condition that a row of a dimension is that of the key `key` of the row `r`."""
    of_dimension = f"{alias(dimension.name)}.{quoted(held_as(dimension.key))}"
    # A CSV's keys are text, whatever the view's are.
    return f"TRY_CAST({of_dimension} AS {sql_type(shape.keys[dimension.key])}) = r.{key}"


def _seen(shape: Shape, plan: Plan, tables: Sequence[str], columns: Sequence[str]) -> Sql:
    """The stored rows with nothing in them that may not be seen: whatever is asked of them, no more comes out."""
    seen = plan.seen
    others = [c for c in shape.columns if c not in shape.keys and (c not in shape.states or c in columns)]
    shown = ", ".join(map("r.{}".format, map(quoted, others)))
    masked = sum((_shown(shape, plan, key) + ", " for key in shape.keys), Sql("SELECT ")) + shown
    rows = masked + f" FROM {_union(tables, [*shape.keys, *others])} AS r"
    for d in _of(shape, seen.only):
        rows += f" LEFT JOIN {d.table} AS {alias(d.name)} ON {matches(shape, d, quoted(d.key))}"
    rows += _all([Sql(c.sql(column(shape, c.name)), tuple(c.bound)) for c in seen.only])
    if not seen.floor:
        return Sql("(") + rows + ")"
    group = ", ".join(map(quoted, [*shape.keys, *([BUCKET] if shape.bucket_seconds else [])])) or "1"
    counted = Sql(f"SELECT *, sum({ROWS}) OVER (PARTITION BY {group}) AS _records FROM (") + rows + ")"  # noqa: S608
    return Sql("(SELECT * FROM (") + counted + f") WHERE _records >= {seen.floor})"  # noqa: S608


def _shown(shape: Shape, plan: Plan, key: str) -> Sql:
    """A key under its own name as it is seen, and as it is stored under another."""
    text, values = plan.seen.column(shape, key, f"r.{quoted(key)}")
    return Sql(f"{text} AS {quoted(key)}, r.{quoted(key)} AS {unmasked(key)}", tuple(values))


def _joined(shape: Shape, plan: Plan, dimension: Joined) -> Sql:
    """The join of a dimension, its columns as they are seen."""
    masked = Sql(f" LEFT JOIN (SELECT {quoted(held_as(dimension.key))}")
    for name in dimension.types:
        text, values = plan.seen.column(shape, f"{dimension.name}.{name}", quoted(held_as(name)))
        masked += Sql(f", {text} AS {quoted(held_as(name))}", tuple(values))
    key = quoted(dimension.key) if plan.seen.whole else unmasked(dimension.key)
    return masked + f" FROM {dimension.table}) AS {alias(dimension.name)} ON {matches(shape, dimension, key)}"


def _of(shape: Shape, conditions: Sequence[Condition]) -> list[Joined]:
    found = [shape.attribute(c.name) for c in conditions]
    return list({a.dimension.name: a.dimension for a in found if a}.values())


def _union(tables: Sequence[str], columns: Sequence[str]) -> str:
    selected = ", ".join(map(quoted, columns))
    return f"({' UNION ALL '.join(f'SELECT {selected} FROM {t}' for t in tables)})"  # noqa: S608  our own names


def _all(parts: Sequence[Sql]) -> Sql:
    found = Sql("")
    for i, part in enumerate(parts):
        found += Sql(" AND " if i else " WHERE ") + part
    return found
