"""From a checked statement to the questions that it asks of its views, and from their answers to its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dovetail.serving.fields import Conditions, Fields
from dovetail.serving.query import MOST
from dovetail.serving.shape import Shape, type_name
from dovetail.serving.sql import Statement
from dovetail.serving.sql_names import BUCKET, Column, Measure, Source, Time
from dovetail.serving.sql_where import LiteralKind, Test
from dovetail.shared.duration import length
from dovetail.shared.errors import QueryError

is_: Any = pa.types
FITS: Mapping[LiteralKind, Callable[[pa.DataType], bool]] = {
    "number": lambda kind: is_.is_integer(kind) or is_.is_floating(kind) or is_.is_decimal(kind),
    "boolean": is_.is_boolean,
    "time": lambda kind: is_.is_date(kind) or is_.is_timestamp(kind),
}
"""Which columns a literal may be compared with; a text with every column, which then says whether it is one of its."""

Receipt = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The answer of one view: a column for each of `by`, `bucket` and measures, and the types they are shown as."""

    table: pa.Table
    kinds: Mapping[str, pa.DataType]
    receipt: Receipt


@dataclass(frozen=True)
class Answered:
    """The columns of a statement in its order, and the receipt of each view asked, in its order."""

    table: pa.Table
    kinds: Mapping[str, pa.DataType]
    receipts: tuple[Receipt, ...]


Ask = Callable[[str, Fields], Part]
"""Asks a question of the view of that name, on the way that every question goes."""


def answered(asked: Statement, shape_of: Callable[[str], Shape], ask: Ask) -> Answered:
    """The answer to a statement.

    Args:
        shape_of: what a view of this name holds; raises where there is none.

    Raises:
        QueryError: the views cannot answer it.
        NotYet: two views do not come to the same seq of their ledger; see `sql_join`.
    """
    if len(asked.views) > 1:
        from dovetail.serving.sql_join import joined  # which needs this module

        return joined(asked, shape_of, ask)
    ((side, view),) = asked.views
    part = ask(view, fields(asked, side, shape_of(view)))
    rows, names = part.table.slice(asked.offset), [name for name, _ in asked.shown]
    shown = pa.table([rows[source.name] for _, source in asked.shown], names)
    kinds = {name: part.kinds[source.name] for name, source in asked.shown}
    return Answered(shown, kinds, (without_next(part.receipt),))


def fields(asked: Statement, side: str, shape: Shape) -> Fields:
    """The question that a statement asks of the view that it calls `side`: alone, or as a side of a join.

    Raises:
        QueryError: it asks for `*`, or a value is of another type than its column.
    """
    _check_names(asked, side, shape)
    alone, time = len(asked.views) == 1, asked.time
    measures = asked.measures(side) or tuple(shape.measures)[:1]  # not all of them where none is asked for
    where = [t for t in asked.where if not isinstance(t.of, Column) or t.of.side in ("", side)]
    having = [t for t in asked.having if alone]
    for test in (*where, *having):
        _check_kind(test, shape)
    scalars = {"start" if t.op == "gte" else "end": str(t.values[0].text) for t in where if isinstance(t.of, Time)}
    scalars |= {"limit": str(min(asked.offset + asked.limit, MOST) if alone else MOST)}
    if time:
        scalars |= {"bucket": time.bucket or length(shape.bucket_seconds or 1), "tz": time.tz}
    lists = {
        "by": [source.name for source in asked.grouped if isinstance(source, Column)],
        "measures": measures,
        "order_by": [f"{'-' if down else ''}{source.name}" for source, down in asked.order if alone],
    }
    return Fields(scalars, lists, where=given(where), having=given(having))


def without_next(receipt: Receipt) -> Receipt:
    """A receipt without the cursor of the page after it, which is one of the question and not of the statement."""
    return {name: value for name, value in receipt.items() if name != "next"}


def given(tests: Sequence[Test]) -> Conditions:
    """The conditions of a question that tests of columns or measures are."""
    found: dict[str, dict[str, list[str | None]]] = {}
    for test in tests:
        if not isinstance(test.of, Time):
            found.setdefault(test.of.name, {})[test.op] = [value.text for value in test.values]
    return found


def _check_names(asked: Statement, side: str, shape: Shape) -> None:
    """Raises QueryError for `*`, a measure where a column must be, and a name of two meanings in GROUP BY."""
    columns = [*shape.keys, *(name for name in shape.attributes if name not in shape.keys)]
    if not asked.shown:
        time = [BUCKET] if shape.bucket_seconds else []
        raise QueryError(
            "SELECT * cannot be asked",
            why=f"{shape.view} has the columns {', '.join([*columns, *time]) or 'of no key'}",
            next=", ".join([*columns[:1], *(f"MEASURE({name})" for name in shape.measures)]),
        )
    if both := [name for name in asked.borrowed if name in columns]:
        raise QueryError(
            f"GROUP BY {both[0]}: it is a column of {shape.view}, and a name given in SELECT",
            next="GROUP BY the position in SELECT, as in GROUP BY 1",
        )
    named: list[Source] = [*asked.grouped, *(t.of for t in asked.where)]
    for source in named:
        mine = isinstance(source, Column) and source.side in ("", side)
        if mine and source.name not in columns and source.name in shape.measures:
            raise QueryError(
                f"'{source.name}' is a measure of {shape.view}",
                next=f"MEASURE({source.name}), in SELECT, HAVING and ORDER BY",
            )


def _check_kind(test: Test, shape: Shape) -> None:
    """Raises QueryError where SQL would have to turn one type into another to compare."""
    name, kind = test.of.name, _kind(test.of, shape)
    for value in test.values:
        if kind is not None and value.kind in FITS and not FITS[value.kind](kind):
            raise QueryError(
                f"'{name}' is of type {type_name(kind)}, {value.text} is a {value.kind}",
                next=f"'{value.text}' in quotes",
            )


def _kind(of: Source, shape: Shape) -> pa.DataType | None:
    """The type of a column or measure; None for the time, and for what there is not, which planning refuses."""
    if isinstance(of, Measure):
        found = shape.asked(of.name)
        return found.result if found else None
    known = isinstance(of, Column) and of.name in (*shape.keys, *shape.attributes)
    return shape.grouping_type(of.name) if known else None
