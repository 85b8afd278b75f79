"""Runs a plan: which stored rows, merged into which groups, presented, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving import json_rows
from dovetail.serving.buckets import Calendar
from dovetail.serving.problems import TooMuch
from dovetail.serving.query import Fill, Plan
from dovetail.serving.rows import Sql, column, stored, where
from dovetail.serving.shape import BUCKET, Shape, held_type, quoted, typed
from dovetail.serving.timeline import calendar_of, filled, stand_in, windows
from dovetail.serving.values import rendered
from dovetail.shared.duration import Span
from dovetail.shared.errors import QueryError
from dovetail.shared.measures import GatheredKind

MOST_GROUPS = 1_000_000
"""Groups that one answer is made of, before any are cut off: they are presented and ordered in memory."""
FEW = 500
"""Rows that are made one by one: that is the faster way for few, and holds Python's lock a millisecond."""
FAR = 1 << 62
"""Microseconds, 146,000 years: no bucket begins so long before 1970."""
TOO_LARGE = (duckdb.OutOfRangeException, duckdb.ConversionException)


@dataclass(frozen=True)
class Rows:
    """The rows of an answer as a JSON array, and whether the limit cut some off."""

    json: bytes
    more: bool
    unmatched: Mapping[str, int] = field(default_factory=dict)
    """Per dimension that was asked for: how many of the view's keys it lacks."""


@dataclass(frozen=True)
class Shown:
    """The rows of an answer in their order, as columns: values as held in memory, of the types in `kinds`."""

    table: pa.Table
    kinds: Mapping[str, pa.DataType]
    more: bool
    unmatched: Mapping[str, int] = field(default_factory=dict)

    def as_dicts(self) -> list[dict[str, Any]]:
        """The rows with values that JSON knows."""
        columns = [rendered(self.table[name], kind) for name, kind in self.kinds.items()]
        return [dict(zip(self.kinds, row, strict=True)) for row in zip(*columns, strict=True)]

    def as_json(self) -> Rows:
        few = self.table.num_rows <= FEW
        json = orjson.dumps(self.as_dicts()) if few else json_rows.array_of(self.table, self.kinds)
        return Rows(json, self.more, self.unmatched)


def groups(shape: Shape, plan: Plan, tables: Sequence[str], cursor: duckdb.DuckDBPyConnection) -> pa.Table:
    """The groups of a plan with merged states: the columns of `by`, `_bucket` as the start of its bucket, states.

    Only the first `limit` and one more where the order can be known before presenting.

    Raises:
        QueryError: the stored buckets cannot answer it, or a merged state does not fit its type.
    """
    rows, condition = stored(shape, plan, tables), where(shape, plan)
    bucket, joined = _bucket(shape, plan, rows + condition, cursor)
    source = rows + joined + condition
    statement = _merging(shape, plan, [column(shape, n) for n in plan.by], bucket, source.text)
    values = [*source.values]
    buckets = calendar_of(shape, plan)
    if plan.window is None or buckets is None:
        return _run(shape, plan, statement, values, cursor)
    own = _run(shape, plan, statement, values, cursor, whole=True)
    cursor.register("_owns", own)  # no key begins with an underscore
    cursor.register("_windows", _of_windows(plan, buckets, own[BUCKET]))
    statement = _merging(shape, plan, [*map(quoted, plan.by)], "_start", f"_owns JOIN _windows ON _own = {BUCKET}")
    return _run(shape, plan, statement, [], cursor)


def groups_of_key(
    shape: Shape, plan: Plan, tables: Sequence[str], cursor: duckdb.DuckDBPyConnection
) -> dict[int | None, tuple[Any, ...]]:
    """The same for a plan that fixes every key: bucket start (None without one) to merged states, each of its own
    records alone also where a window is asked for.

    Without grouping by what is one value anyway, and without Arrow: half the work, which is all there is to few rows.
    """
    rows, condition = stored(shape, plan, tables), where(shape, plan)
    bucket, joined = _bucket(shape, plan, rows + condition, cursor)
    source = rows + joined + condition
    merged = ", ".join(shape.merged(c) for c in plan.states(shape))
    grouping = f" GROUP BY {bucket}" if bucket else ""
    statement = f"SELECT {bucket or 'NULL'}, count(*), {merged} FROM {source.text}{grouping}"  # noqa: S608  as above
    try:
        found = cursor.execute(statement, [*source.values]).fetchall()
    except TOO_LARGE as error:
        raise too_large(plan) from error
    kinds = [shape.kinds[c] for c in plan.states(shape)]
    return {
        start: tuple(
            k.merge_values(s or ()) if isinstance(k, GatheredKind) else s for k, s in zip(kinds, states, strict=True)
        )
        for start, n, *states in found
        if n or not plan.by
    }


def finished(shape: Shape, plan: Plan, merged: pa.Table) -> Shown:
    """Presents, orders and cuts groups with merged states."""
    answer = _answer(shape, plan, merged)
    buckets = calendar_of(shape, plan)
    if plan.fill and buckets:
        answer = filled(plan, buckets, answer, _stand_ins(shape, plan, plan.fill))
    for condition in plan.having:
        answer = answer.filter(condition.mask(answer[condition.name]))
    if answer.num_rows > 1:
        keys = [(name, "descending" if down else "ascending") for name, down in plan.order_by]
        answer = answer.take(pc.sort_indices(answer, sort_keys=keys)) if keys else answer
    more = answer.num_rows > plan.offset + plan.limit
    return Shown(answer.slice(plan.offset, plan.limit), _kinds(shape, plan), more)


def presented(shape: Shape, plan: Plan, merged: pa.Table) -> Shown:
    """Presents groups with merged states, each as it stands there."""
    return Shown(_answer(shape, plan, merged), _kinds(shape, plan), more=False)


def finished_apart(shape: Shape, plan: Plan, merged: pa.Table) -> list[Rows]:
    """The same for groups without a bucket that are an answer each, to the same question of other keys."""
    return [Rows(orjson.dumps([row]), False) for row in presented(shape, plan, merged).as_dicts()]


def _answer(shape: Shape, plan: Plan, merged: pa.Table) -> pa.Table:
    columns = {name: merged[name] for name in plan.by}
    if plan.bucket:
        columns["bucket"] = merged[BUCKET]
    measures = {name: _presented(shape, name, merged) for name in plan.measures}
    hidden = {name: pa.nulls(len(merged), m.type) for name, m in measures.items() if plan.seen.hides(name)}
    return pa.table({**columns, **measures, **hidden})


def _kinds(shape: Shape, plan: Plan) -> dict[str, pa.DataType]:
    """The types of an answer's columns; that of a bucket names the zone that it is shown in."""
    kinds = {name: plan.seen.type(shape, name) for name in plan.by}
    if plan.bucket:
        kinds["bucket"] = pa.timestamp("us", tz=plan.tz)
    return {**kinds, **{name: shape.presented(name).result for name in plan.measures}}


def too_large(plan: Plan) -> QueryError:
    return QueryError(
        "a sum in this answer is too large for its type",
        where=f"measures {', '.join(plan.measures)}",
        next="group by more keys or ask for a shorter time, or declare the measure over a wider type",
    )


def _merging(shape: Shape, plan: Plan, by: Sequence[str], bucket: str, rows: str) -> str:
    grouped = [*by, *([bucket] if bucket else [])]
    named = [f"{column} AS {quoted(name)}" for column, name in zip(by, plan.by, strict=True)]
    shown = [*named, *([f"{bucket} AS {BUCKET}"] if bucket else [])]
    merged = [f"{shape.merged(c)} AS {quoted(c)}" for c in plan.states(shape)]
    grouping = f" GROUP BY {', '.join(grouped)}" if grouped else ""
    return f"SELECT {', '.join([*shown, *merged])} FROM {rows}{grouping}"  # noqa: S608  names are the bundle's, values are bound


def _run(
    shape: Shape, plan: Plan, statement: str, values: list[Any], cursor: duckdb.DuckDBPyConnection, *,
    whole: bool = False,
) -> pa.Table:  # fmt: skip
    """The groups of a statement, the first ones where that will do and they are not asked for as a `whole`."""
    top = "" if whole else _top(shape, plan)
    try:
        found = cursor.sql(statement + (top or f" LIMIT {MOST_GROUPS + 1}"), params=values).to_arrow_table()
    except TOO_LARGE as error:
        raise too_large(plan) from error
    if found.num_rows > MOST_GROUPS:
        raise TooMuch(
            f"the answer is made of more than {MOST_GROUPS:,} groups", next="ask for fewer keys, or for a shorter time"
        )
    return shape.gathered(found)


def _of_windows(plan: Plan, buckets: Calendar, own: pa.ChunkedArray) -> pa.Table:
    """The rows that each bucket with records of its own is merged into."""
    starts = sorted(pc.unique(own.drop_null()).to_pylist())
    merged, rows = list[int](), list[int]()
    for row, low, high in windows(plan, buckets, starts):
        merged += starts[low:high]
        rows += [row] * (high - low)
    return pa.table({"_own": pa.array(merged, pa.int64()), "_start": pa.array(rows, pa.int64())})


def _bucket(shape: Shape, plan: Plan, rows: Sql, cursor: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """The SQL expression of a row's bucket, and what must be joined for it."""
    asked = calendar_of(shape, plan)
    if asked is None:
        return "", ""
    if asked.grid:
        width, origin = asked.grid
        return (BUCKET if asked.span == Span(asked.stored_seconds) else _floored(width, origin)), ""
    found = cursor.execute(f"SELECT DISTINCT {BUCKET} FROM {rows.text}", [*rows.values]).fetchall()  # noqa: S608
    starts = asked.starts(us for (us,) in found if us is not None)
    of_starts = pa.table({"_stored": pa.array(starts, pa.int64()), "_start": pa.array(starts.values(), pa.int64())})
    cursor.register("_starts", of_starts)
    return "_starts._start", f" LEFT JOIN _starts ON _starts._stored = r.{BUCKET}"


def _floored(width: int, origin: int) -> str:
    # Made positive first, since the division cuts towards 0: one of it, where two remainders would take twice as long.
    up = FAR // width * width - origin
    return f"(({BUCKET} + {up}) // {width} * {width} - {up})"


def _top(shape: Shape, plan: Plan) -> str:
    """Leaves ordering and cutting to the database where that needs no presented measure."""
    names = {**{name: quoted(name) for name in plan.by}, **({"bucket": BUCKET} if plan.bucket else {})}
    if plan.fill or plan.having or any(n not in names or _is_floating(shape, plan, n) for n, _ in plan.order_by):
        return ""
    order = [f"{names[n]} {'DESC' if down else 'ASC'} NULLS LAST" for n, down in plan.order_by]
    return f" ORDER BY {', '.join(order)} LIMIT {plan.offset + plan.limit + 1}" if order else ""


def _is_floating(shape: Shape, plan: Plan, name: str) -> bool:
    return name != "bucket" and bool(pa.types.is_floating(plan.seen.type(shape, name)))


def _presented(shape: Shape, name: str, merged: pa.Table) -> pa.Array:
    asked = shape.presented(name)
    states = (typed(_neutral(shape, c, merged[c].combine_chunks()), shape.states[c]) for c in asked.columns)
    presented = asked.presenter.present(*states)
    return typed(presented, held_type(presented.type))


def _stand_ins(shape: Shape, plan: Plan, fill: Fill) -> dict[str, pa.Array]:
    no_rows = pa.table({c: pa.nulls(1, held_type(shape.states[c])) for c in plan.states(shape)})
    return {m: stand_in(fill, _presented(shape, m, no_rows), shape.presented(m).result) for m in plan.measures}


def _neutral(shape: Shape, column: str, states: pa.Array) -> pa.Array:
    empty = shape.empty[column]
    return states.fill_null(empty) if states.null_count and isinstance(empty, int) else states
