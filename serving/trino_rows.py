"""What a plan needs of the runs as a query to Trino, which gives the fewest rows that come to the same answer. Pure.

All that the plan asks is asked of these rows again, in the database, with those of speed. So rows that come over
although no answer needs them cost time and change nothing. What Trino merges is what it merges to the bit; states of
floating numbers and sketches come as they are stored.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from dovetail.serving.answer import MOST_GROUPS
from dovetail.serving.buckets import MICROS
from dovetail.serving.query import Plan
from dovetail.serving.shape import BUCKET, ROWS, Shape
from dovetail.serving.timeline import calendar_of
from dovetail.serving.where import COMPARED, Condition
from dovetail.shared.errors import QueryError
from dovetail.shared.measures.numeric import Count, Max, Min, Sum
from dovetail.shared.trino.names import literal, quoted

MERGED = (Count, Sum, Min, Max)
LONGEST = 50_000
"""Characters of a condition beyond which Trino is not told it."""
SINCE_1970 = f"date_diff('millisecond', TIMESTAMP '1970-01-01 00:00:00 UTC', {quoted(BUCKET)}) * 1000"


@dataclass(frozen=True)
class Column:
    """One of a query: `apart` where rows are merged only if they are alike in it."""

    name: str
    sql: str
    apart: bool = False


@dataclass(frozen=True)
class Query:
    """A statement, and the names of what its columns hold, in their order."""

    sql: str
    names: tuple[str, ...]


def needed(shape: Shape, plan: Plan, tables: Sequence[str]) -> Query:
    """What a plan needs of these tables.

    Raises:
        QueryError: a key or a measure of it is a time, of which Trino would lose a part.
    """
    told = {c: text for c in _conditions(shape, plan) if len(text := _condition(c)) <= LONGEST}
    apart = _apart(shape, plan, told)
    alike = [name for name in dict.fromkeys(c.name for c in told) if name not in apart]
    states = plan.states(shape)
    _check_times(shape, plan, [*apart, *alike])
    merges = _merges(shape, [*apart, *alike], states)
    columns = [Column(key, quoted(key), True) for key in apart]
    # Each of them holds of every row that is left, so of any one value.
    columns += [Column(key, f"any_value({quoted(key)})" if merges else quoted(key)) for key in alike]
    columns += _bucket(shape, plan, merges=merges)
    columns += [Column(c, shape.kinds[c].merge(quoted(c)) if merges else quoted(c)) for c in states]
    columns += [Column(ROWS, f"sum({ROWS})" if merges else ROWS)] if plan.seen.floor else []
    read = [quoted(c.name) for c in columns]
    read += [quoted(BUCKET)] if _timed(plan) and quoted(BUCKET) not in read else []
    where = [*told.values(), *(f"{quoted(BUCKET)} {sign} from_unixtime({us // MICROS})" for sign, us in _bounds(plan))]
    union = " UNION ALL ".join(f"SELECT {', '.join(read)} FROM {table}" for table in tables)  # noqa: S608  quoted
    sql = f"SELECT {', '.join(c.sql for c in columns)} FROM ({union}) r"  # noqa: S608  as above
    sql += f" WHERE {' AND '.join(where)}" if where else ""
    sql += _grouping(columns) if merges else ""
    return Query(f"{sql} LIMIT {MOST_GROUPS + 1}", tuple(c.name for c in columns))


def _apart(shape: Shape, plan: Plan, told: Container[Condition]) -> list[str]:
    """The keys by which rows are told apart, whatever Trino has been told: what else is asked of them is asked here."""
    if plan.seen.floor or plan.keys is not None:
        return [*shape.keys]
    asked, seen = plan.where, plan.seen.only
    attributes = [shape.attribute(c.name) for c in seen]
    dimensions = [*plan.dimensions(shape), *(a.dimension for a in attributes if a)]
    here = [c.name for c in asked if c not in told or c.name in plan.seen.masks]
    here += [c.name for c in seen if c not in told]
    return [k for k in shape.keys if k in plan.by or k in here or k in {d.key for d in dimensions}]


def _conditions(shape: Shape, plan: Plan) -> list[Condition]:
    """Those that are of stored keys as they are stored, where equal and above are the same everywhere."""
    masks = plan.seen.masks
    of_keys = [
        Condition(key, "in", tuple({k[i] for k in plan.keys or ()})) for i, key in enumerate(shape.keys) if plan.keys
    ]
    asked = [c for c in (*plan.where, *of_keys) if c.name not in masks]
    return [
        c
        for c in dict.fromkeys((*asked, *plan.seen.only))
        if c.name in shape.keys and shape.attribute(c.name) is None and not pa.types.is_floating(shape.keys[c.name])
    ]


def _condition(condition: Condition) -> str:
    column, values = quoted(condition.name), [_literal(v) for v in condition.values if v is not None]
    if condition.op == "prefix":
        return f"starts_with({column}, {values[0]})"
    if condition.op in COMPARED:
        return f"{column} {COMPARED[condition.op]} {values[0]}"
    within = f"{column} IN ({', '.join(values)})" if values else "FALSE"
    null = None in condition.values
    if condition.op == "in":
        return f"({within} OR {column} IS NULL)" if null else f"({within})"
    return f"({column} IS NOT NULL AND NOT ({within}))" if null else f"({column} IS NULL OR NOT ({within}))"


def _literal(value: Any) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case Decimal():
            return f"DECIMAL '{value:f}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case bytes():
            return f"from_hex('{value.hex()}')"
    return literal(value)


def _bucket(shape: Shape, plan: Plan, *, merges: bool) -> list[Column]:
    """The bucket in microseconds since 1970: of the answer's where those are a grid, which takes the fewest rows."""
    if not (_timed(plan) or (plan.seen.floor and shape.bucket_seconds)):
        return []
    if not merges:
        return [Column(BUCKET, SINCE_1970)]
    if plan.bucket is None and not plan.seen.floor:
        return [Column(BUCKET, f"min({SINCE_1970})")]  # any of them lies between start and end
    buckets = calendar_of(shape, plan)
    if buckets is None or buckets.grid is None or plan.seen.floor:
        return [Column(BUCKET, SINCE_1970, True)]
    width, origin = buckets.grid
    if plan.since is not None and (plan.since - origin) % width:  # its first bucket begins before `since`
        return [Column(BUCKET, SINCE_1970, True)]
    left = f"mod(mod({SINCE_1970} - {origin}, {width}) + {width}, {width})"
    return [Column(BUCKET, f"{SINCE_1970} - {left}", True)]


def _timed(plan: Plan) -> bool:
    return plan.bucket is not None or plan.start is not None or plan.end is not None


def _bounds(plan: Plan) -> list[tuple[str, int]]:
    return [(sign, us) for sign, us in ((">=", plan.since), ("<", plan.end)) if us is not None]


def _merges(shape: Shape, keys: Sequence[str], states: Sequence[str]) -> bool:
    """Whether Trino merges as the database does. Equal floating keys are not written alike."""
    floating = any(pa.types.is_floating(shape.keys[key]) for key in keys)
    return not floating and all(type(shape.kinds[c]) in MERGED and _exact(shape.states[c]) for c in states)


def _exact(kind: pa.DataType) -> bool:
    return not (pa.types.is_floating(kind) or pa.types.is_nested(kind))


def _grouping(columns: Sequence[Column]) -> str:
    places = [str(i) for i, column in enumerate(columns, 1) if column.apart]
    return f" GROUP BY {', '.join(places)}" if places else " HAVING count(*) > 0"  # no row of no rows


def _check_times(shape: Shape, plan: Plan, keys: Sequence[str]) -> None:
    for key in keys:
        if _holds_time(shape.keys[key]):
            raise _lost(shape, f"key {key}", "ask by other keys")
    lost = {m for m in shape.measures if any(_holds_time(shape.states[c]) for c in shape.presented(m).columns)}
    for name in plan.measures:
        if name.partition(".")[0] in lost:
            others = ",".join(m for m in shape.measures if m not in lost)
            raise _lost(shape, f"measure {name}", f"measures={others}" if others else "")


def _lost(shape: Shape, what: str, next_: str) -> QueryError:
    return QueryError(
        f"{what} of {shape.view} cannot be asked here",
        why="it holds a time, which Trino, where this server keeps the runs, reads to the millisecond only",
        next=next_ or 'a server with [serving] engine = "duckdb" answers it',
    )


def _holds_time(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_holds_time(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_timestamp(kind))
