"""collect_set, bool_or and bool_and: which values there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.shared.measures.base import Measure, Presenter, State, StateKind, kind, presents, refused, sort_key
from dovetail.shared.measures.numeric import Max, Min

if TYPE_CHECKING:
    import pyarrow as pa


@kind("distinct")
@dataclass(frozen=True)
class Distinct(StateKind):
    """The smallest distinct values, one more than `limit` at most: then it is known that there are more."""

    limit: int

    def prepare(self, state: State) -> str:
        return f"slice(sort_array(collect_set({state.taken})), 1, {self.limit + 1})"

    def merge(self, column: str) -> str:
        all_ = f"flatten(list({column}) FILTER (WHERE {column} IS NOT NULL))"
        return f"list_slice(list_sort(list_distinct({all_})), 1, {self.limit + 1})"

    def merge_in_spark(self, column: str) -> str:
        return f"slice(sort_array(array_distinct(flatten(collect_list({column})))), 1, {self.limit + 1})"

    def merge_values(self, values: Sequence[Any]) -> list[Any]:
        distinct = {sort_key(v): v for list_ in values for v in list_ or ()}
        return [distinct[k] for k in sorted(distinct)[: self.limit + 1]]


def collect_set(expr: str, *, limit: int = 100, where: str | None = None) -> Measure:
    """The distinct values of `expr` (Spark SQL), smallest first, nulls left out, as {values, overflowed}.

    `overflowed` is true where there are more than `limit` (10,000 at most), of which `values` then holds the smallest.
    Asked for as `tags.values` and `tags.overflowed` it gives each alone. No values and false for no rows.

    Example:
        >>> answer(dv.collect_set("tag", limit=2), [{"tag": t} for t in ("c", "a", "b", "a")], schema="tag string")
        {'values': ['a', 'b'], 'overflowed': True}
    """
    if not 1 <= limit <= 10_000:
        raise refused(f"collect_set: limit is {limit}: give a whole number from 1 to 10000")
    return Measure("collect_set", (State(Distinct(limit), expr, where),), {"limit": limit})


def bool_or(expr: str, *, where: str | None = None) -> Measure:
    """Whether `expr` (Spark SQL) is true for any row; nulls left out, null when there is nothing else.

    Example:
        >>> answer(dv.bool_or("x > 2"), [{"x": 1}, {"x": 3}, {"x": None}], schema="x int")
        True
    """
    return Measure("bool_or", (State(Max(), f"CAST({expr} AS BOOLEAN)", where),))


def bool_and(expr: str, *, where: str | None = None) -> Measure:
    """Whether `expr` (Spark SQL) is true for every row; nulls left out, null when there is nothing else.

    Example:
        >>> answer(dv.bool_and("paid"), [{"paid": True}, {"paid": None}], schema="paid boolean")
        True
    """
    return Measure("bool_and", (State(Min(), f"CAST({expr} AS BOOLEAN)", where),))


@presents("collect_set")
@dataclass(frozen=True)
class Collected(Presenter):
    limit: int
    only: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        return ("values", "overflowed")

    def part(self, name: str) -> Presenter | None:
        return Collected(self.limit, name) if name in self.parts else None

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        whole = {"values": types[0], "overflowed": pa.bool_()}
        return whole[self.only] if self.only else pa.struct(whole)

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        lists = states[0].fill_null(pa.scalar([], states[0].type))
        whole = {
            "values": pc.list_slice(lists, 0, self.limit),
            "overflowed": pc.greater(pc.list_value_length(lists), self.limit),
        }
        whole["values"] = whole["values"].cast(states[0].type)
        return whole[self.only] if self.only else pa.StructArray.from_arrays([*whole.values()], names=[*whole])
