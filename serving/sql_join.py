"""Two views in one statement: each is asked on its own at the same seq, and then the groups of both are joined.

A measure is always of the records of its own view: joining counts none of them twice. Two groups belong together where
all join columns are equal, which null is to nothing. What a row has no group for is null.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving.fields import Fields
from dovetail.serving.query import MOST, check_order
from dovetail.serving.shape import Shape, type_name
from dovetail.serving.sql import Kind, Statement
from dovetail.serving.sql_names import Measure
from dovetail.serving.sql_plan import Answered, Ask, Part, fields, given, without_next
from dovetail.serving.where import read
from dovetail.shared.errors import NotYet, QueryError

KINDS: Mapping[Kind, str] = {"inner": "inner", "left": "left outer", "full": "full outer"}
PATIENCE, WAIT = 2.0, 0.005
"""Seconds for two views, which follow one ledger, to come to the same seq, and between two looks."""


def joined(asked: Statement, shape_of: Callable[[str], Shape], ask: Ask) -> Answered:
    """The answer to a statement about two views.

    Raises:
        QueryError: the views cannot answer it, are of different sources, or have more groups than one answer holds.
        NotYet: they do not come to the same seq.
    """
    shapes = {side: shape_of(view) for side, view in asked.views}
    first, second = shapes.values()
    if first.source != second.source:
        raise QueryError(
            f"{first.view} and {second.view} are of different sources",
            why="their records have no order in common: no moment is the same for both",
            next="ask each in a statement of its own",
        )
    questions = [(view, fields(asked, side, shapes[side])) for side, view in asked.views]
    parts = dict(zip(shapes, _at_one_seq(questions, ask), strict=True))
    _check_comparable(asked, [*parts.values()])
    for source, _ in asked.order:
        if isinstance(source, Measure):
            check_order(source.name, shapes[source.side].presented(source.name).result)
    rows = _rows(asked, {side: part.table for side, part in parts.items()})
    rows = _ordered(asked, _having(asked, shapes, rows))
    cut = {"more": True} if rows.num_rows > asked.offset + asked.limit else {}
    rows = rows.slice(asked.offset, asked.limit)
    shown = pa.table([rows[repr(source)] for _, source in asked.shown], [name for name, _ in asked.shown])
    sides = [(name, source, source.side or asked.views[0][0]) for name, source in asked.shown]
    kinds = {name: parts[side].kinds[source.name] for name, source, side in sides}
    return Answered(shown, kinds, tuple({**without_next(part.receipt), **cut} for part in parts.values()))


def _at_one_seq(questions: Sequence[tuple[str, Fields]], ask: Ask) -> list[Part]:
    """The answers to both, of the same records: the one that is behind is asked again until it has caught up."""
    parts, until = [ask(*question) for question in questions], time.monotonic() + PATIENCE
    while len({part.receipt["seq"] for part in parts}) > 1:
        if time.monotonic() >= until:
            seqs = ", ".join(
                f"{view} at {part.receipt['seq']}" for (view, _), part in zip(questions, parts, strict=True)
            )
            raise NotYet(f"the views do not stand at the same seq: {seqs}", next="ask again, or dovetail status")
        time.sleep(WAIT)
        behind = min((0, 1), key=lambda n: int(parts[n].receipt["seq"]))
        parts[behind] = ask(*questions[behind])
    for (view, _), part in zip(questions, parts, strict=True):
        if part.receipt.get("more"):
            raise QueryError(
                f"{view} has more than {MOST:,} groups: a join of some of them would be wrong",
                next="leave out groups in WHERE, or join by fewer columns",
            )
    return parts


def _check_comparable(asked: Statement, parts: Sequence[Part]) -> None:
    for name in asked.using:
        kinds = [part.kinds[name] for part in parts]
        if kinds[0] != kinds[1]:
            why = f"it is {type_name(kinds[0])} in {asked.views[0][1]}, {type_name(kinds[1])} in {asked.views[1][1]}"
        elif pa.types.is_floating(kinds[0]) or pa.types.is_nested(kinds[0]):
            why = f"values of type {type_name(kinds[0])} have no one way to be equal"
        else:
            continue
        raise QueryError(f"two views cannot be joined by '{name}'", why=why, next="USING other columns")


def _rows(asked: Statement, tables: Mapping[str, pa.Table]) -> pa.Table:
    """The joined groups: every column under the repr of its source, and the numbers of the rows that they are of."""
    numbers = {side: _number(side) for side in tables}
    left, right = (_keys(asked, table, numbers[side]) for side, table in tables.items())
    rows = left.join(right, keys=[*asked.using], join_type=KINDS[asked.kind])
    columns = {repr(source): rows[source.name] for source in asked.grouped}
    columns |= {number: rows[number] for number in numbers.values()}
    for side, table in tables.items():
        measures = {repr(Measure(name, side)): table[name] for name in asked.measures(side)}
        columns |= {name: column.take(rows[numbers[side]]) for name, column in measures.items()}
    return pa.table(columns)


def _keys(asked: Statement, table: pa.Table, number: str) -> pa.Table:
    return table.select([*asked.using]).append_column(number, pa.array(range(len(table)), pa.int64()))


def _having(asked: Statement, shapes: Mapping[str, Shape], rows: pa.Table) -> pa.Table:
    tz = asked.time.tz if asked.time else "UTC"
    for test in asked.having:
        name, kind = test.of.name, shapes[test.of.side].presented(test.of.name).result
        for condition in read(name, given([test])[name], kind, tz=tz, of="having"):
            rows = rows.filter(condition.mask(rows[repr(test.of)]))
    return rows


def _ordered(asked: Statement, rows: pa.Table) -> pa.Table:
    """In the order asked for, then by the join columns; of two with null there, which are no pair, the first view's."""
    order = [*asked.order, *((source, False) for source in asked.grouped)]
    by = [(repr(source), "descending" if down else "ascending") for source, down in order]
    by += [(_number(side), "ascending") for side, _ in asked.views]
    return rows.take(pc.sort_indices(rows, sort_keys=by))


def _number(side: str) -> str:
    return f"_row of {side}"  # no key begins with an underscore
