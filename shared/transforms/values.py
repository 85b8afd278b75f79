"""Values for other values: by a mapping, or by the range they lie in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from dovetail.shared.caller import place
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep, kind_of
from dovetail.shared.transforms.sql import Value, identifier, kind, literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField

MOST = 1000
"""More values, or edges, than this make SQL that the engine plans slowly in every micro-batch."""


class Keep(Enum):
    KEEP = "keep"

    def __repr__(self) -> str:
        return "KEEP"


KEEP = Keep.KEEP
"""As a default of `map_values`: a value that is not mapped stays as it is."""


def map_values(columns: Mapping[str, Mapping[Value, Value]], *, default: Value | Keep = KEEP) -> Step:
    """Gives the values of columns other values.

    Values are text, numbers, booleans or dates, and None for null. Case and blanks count: `standardise` first. For
    more than 1,000 values, or several columns by one key, there is `lookup`.

    Args:
        columns: column to its mapping, old value to new. The old ones are of the column's kind; with KEEP, so are the
            new ones.
        default: what becomes of other values, null among them: `dv.transforms.KEEP` leaves them, None makes them null,
            and any other value takes their place.

    Example:
        >>> orders = spark.createDataFrame([("Canceled",), ("Shipped",), (None,)], "status string")
        >>> one_spelling = dv.transforms.map_values({"status": {"Canceled": "Cancelled", None: "Unknown"}})
        >>> orders.transform(one_spelling).show()
        +---------+
        |   status|
        +---------+
        |Cancelled|
        |  Shipped|
        |  Unknown|
        +---------+
    """
    given = Given("map_values", place())
    pairs = sorted(given.pairs(columns, "{'status': {'Canceled': 'Cancelled'}}"), key=lambda pair: pair[0])
    other = [] if isinstance(default, Keep) else [default]
    return MapValues(
        columns=tuple([(column, _written(given, column, mapping)) for column, mapping in pairs]),
        default=_literal(given, other[0]) if other else None,
        kinds=tuple([_kinds(given, column, mapping, other) for column, mapping in pairs]),
        where=given.where,
    )


@dataclass(frozen=True, kw_only=True)
class MapValues(RowStep):
    """Values are SQL, old and new of each column; `default` is None where those that are not mapped stay.

    `kinds` has the kind of the old values and that of the new ones, in the order of the columns.
    """

    name: ClassVar[str] = "map_values"
    columns: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    default: str | None
    kinds: tuple[tuple[str, str], ...] = field(compare=False, repr=False)

    def applied(self, rows: DataFrame) -> DataFrame:
        fields = self.found(rows, [column for column, _ in self.columns])
        for found, (old, new) in zip(fields, self.kinds, strict=True):
            self._check_fit(found, old)
            if self.default is None:
                self._check_fit(found, new)
        pairs = zip(fields, self.columns, strict=True)
        return self.replaced(rows, {f.name: self._mapped(identifier(f.name), values) for f, (_, values) in pairs})

    def _check_fit(self, found: StructField, mapped: str) -> None:
        if mapped not in ("null", kind_of(found.dataType)):
            held = f"column '{found.name}' is {found.dataType.simpleString()}"
            raise self.refusal(f"{held}, and the mapping's values are of the kind {mapped}")

    def _mapped(self, column: str, values: tuple[tuple[str, str], ...]) -> str:
        cases = [f"WHEN {column} <=> {old} THEN {new}" for old, new in values]
        return f"CASE {' '.join(cases)} ELSE {column if self.default is None else self.default} END"


def bin(  # noqa: A001  the field's word
    column: str,
    *,
    edges: Sequence[float | Decimal],
    labels: Sequence[str] | None = None,
    into: str | None = None,
) -> Step:
    """Numbers to the ranges they lie in: by a label, or by the range's lower edge.

    A range holds its lower edge and not its upper one. What lies in none, NaN and null are null.

    Args:
        column: the number.
        edges: in order, smallest first; `float("-inf")` and `float("inf")` leave an end open.
        labels: one for each range, so one fewer than edges; the lower edges where not given.
        into: the column that is made; in the place of `column` where not given.

    Example:
        >>> lines = spark.createDataFrame([(3,), (10,), (250,), (-1,)], "quantity int")
        >>> sizes = dv.transforms.bin(
        ...     "quantity", edges=[0, 10, 100, float("inf")], labels=["small", "medium", "large"], into="size"
        ... )
        >>> lines.transform(sizes).show()
        +--------+------+
        |quantity|  size|
        +--------+------+
        |       3| small|
        |      10|medium|
        |     250| large|
        |      -1|  NULL|
        +--------+------+
    """
    given = Given("bin", place())
    column = given.column(column)
    _check_edges(given, edges)
    if labels is not None:
        _check_labels(given, labels, ranges=len(edges) - 1)
    return Bin(
        column=column,
        edges=tuple([_literal(given, edge) for edge in edges]),
        labels=tuple([literal(label) for label in labels]) if labels is not None else None,
        into=column if into is None else given.new_column(into),
        where=given.where,
    )


@dataclass(frozen=True, kw_only=True)
class Bin(RowStep):
    """Edges and labels are SQL."""

    name: ClassVar[str] = "bin"
    column: str
    edges: tuple[str, ...]
    labels: tuple[str, ...] | None
    into: str

    def applied(self, rows: DataFrame) -> DataFrame:
        [number] = self.found(rows, [self.column], kinds=["number"])
        value, lows = identifier(number.name), self.edges[:-1]
        ranges = zip(lows, self.edges[1:], self.labels or lows, strict=True)
        cases = [f"WHEN {value} >= {low} AND {value} < {high} THEN {label}" for low, high, label in ranges]
        return self.replaced(rows, {self.into: f"CASE {' '.join(cases)} END"})


def _check_edges(given: Given, edges: Sequence[float | Decimal]) -> None:
    if isinstance(edges, str) or not isinstance(edges, Sequence) or not 2 <= len(edges) <= MOST:
        raise given.refuse(f"edges={edges!r}: give a list of 2 numbers at least and {MOST} at most")
    for edge in edges:
        if kind(edge) != "number" or math.isnan(edge):
            raise given.refuse(f"edge {edge!r} is no number")
    for low, high in pairwise(edges):
        if not low < high:
            raise given.refuse(f"the edges are not in order: {high} comes after {low}")


def _check_labels(given: Given, labels: Sequence[str], *, ranges: int) -> None:
    if isinstance(labels, str) or len(labels) != ranges:
        raise given.refuse(f"{ranges + 1} edges make {ranges} ranges: labels={labels!r}")
    if not all(isinstance(label, str) for label in labels):
        raise given.refuse(f"labels={labels!r} are not all text")


def _written(given: Given, column: str, mapping: Mapping[Value, Value]) -> tuple[tuple[str, str], ...]:
    if not isinstance(mapping, Mapping) or not 1 <= len(mapping) <= MOST:
        raise given.refuse(
            f"{column}: give a mapping of 1 to {MOST} values, as in {{'old': 'new'}}",
            next="for more, keep them in a file and use dv.transforms.lookup",
        )
    return tuple(sorted([(_literal(given, old), _literal(given, new)) for old, new in mapping.items()]))


def _kinds(given: Given, column: str, mapping: Mapping[Value, Value], other: list[Value]) -> tuple[str, str]:
    new = [*mapping.values(), *other]
    return (
        _one_kind(given, f"the old values of {column}", mapping),
        _one_kind(given, f"the new values of {column}", new),
    )


def _one_kind(given: Given, what: str, values: Iterable[Value]) -> str:
    kinds = sorted({kind(value) for value in values} - {"null"})
    if len(kinds) > 1:
        raise given.refuse(f"{what} are of different kinds: {', '.join(kinds)}")
    return kinds[0] if kinds else "null"


def _literal(given: Given, value: Value) -> str:
    if not kind(value):
        raise given.refuse(f"{value!r} is no text, number, boolean or date")
    try:
        return literal(value)
    except ValueError as error:
        raise given.refuse(str(error)) from None
