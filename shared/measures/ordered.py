"""first, last, top_k and any_value: which record's value, in an order that has no ties."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.shared.measures.base import (
    EVENT_TIME,
    Measure,
    Presenter,
    State,
    StateKind,
    kind,
    presents,
    refused,
    sort_key,
)
from dovetail.shared.measures.numeric import Max, Min

if TYPE_CHECKING:
    import pyarrow as pa


def _placed(state: State, *, ignore_nulls: bool) -> str:
    """A struct that orders rows by `by`, then by their position in the log, and carries the value."""
    conditions = [f"({state.by}) IS NOT NULL", f"({state.where})" if state.where else ""]
    conditions += [f"({state.expr}) IS NOT NULL"] if ignore_nulls else []
    # `absent` before the value: engines disagree on where a null stands in a struct. nullif: PySpark cannot bring over
    # a null struct with a field that is declared never to be null.
    absent = f"nullif(({state.expr}) IS NULL, NULL)"
    fields = {"by": state.by, "partition": "_partition", "offset": "_offset", "absent": absent}
    struct = ", ".join(f"'{name}', {sql}" for name, sql in {**fields, "value": state.expr}.items())
    return f"CASE WHEN {' AND '.join(c for c in conditions if c)} THEN named_struct({struct}) END"


@kind("first")
@dataclass(frozen=True)
class First(Min):
    placed: ClassVar[bool] = True
    ignore_nulls: bool = False

    def prepare(self, state: State) -> str:
        return f"min({_placed(state, ignore_nulls=self.ignore_nulls)})"


@kind("last")
@dataclass(frozen=True)
class Last(Max):
    placed: ClassVar[bool] = True
    ignore_nulls: bool = False

    def prepare(self, state: State) -> str:
        return f"max({_placed(state, ignore_nulls=self.ignore_nulls)})"


@kind("top_k")
@dataclass(frozen=True)
class TopK(StateKind):
    k: int

    def prepare(self, state: State) -> str:
        conditions = [f"({state.by or state.expr}) IS NOT NULL", *([f"({state.where})"] if state.where else [])]
        known = f"nullif(({state.expr}) IS NOT NULL, NULL)"
        placed = f"named_struct('by', {state.by}, 'known', {known}, 'value', {state.expr})"
        value = placed if state.by else state.expr
        taken = f"CASE WHEN {' AND '.join(conditions)} THEN {value} END"
        return f"max_by({taken}, {taken}, {self.k})"

    def merge(self, column: str) -> str:
        return (
            f"list_slice(list_reverse_sort(flatten(list({column}) FILTER (WHERE {column} IS NOT NULL))), 1, {self.k})"
        )

    def merge_in_spark(self, column: str) -> str:
        return f"slice(sort_array(flatten(collect_list({column})), false), 1, {self.k})"

    def merge_values(self, values: Sequence[Any]) -> list[Any]:
        return sorted((v for list_ in values for v in list_ or ()), key=sort_key, reverse=True)[: self.k]


def first(expr: str, *, by: str | None = None, ignore_nulls: bool = False, where: str | None = None) -> Measure:
    """`expr` (Spark SQL) of the earliest row: by event time, or by the column or expression `by`.

    Of rows that are equally early, the one that lies first in the log: by partition, then offset. Rows without `by` do
    not count. A null is a value like any other unless `ignore_nulls`, as in Spark; null for no rows. A transform that
    selects its columns must keep `_partition` and `_offset`.

    Example:
        >>> states = [{"day": 2, "state": "sent"}, {"day": 1, "state": "new"}, {"day": 1, "state": "paid"}]
        >>> answer(dv.first("state", by="day"), states, schema="day int, state string")
        'new'
    """
    return Measure("first", (State(First(ignore_nulls), expr, where, by or EVENT_TIME),))


def last(expr: str, *, by: str | None = None, ignore_nulls: bool = False, where: str | None = None) -> Measure:
    """`expr` (Spark SQL) of the latest row: by event time, or by the column or expression `by`.

    Of rows that are equally late, the one that lies last in the log: by partition, then offset. All else as `first`.

    Example:
        >>> states = [{"day": 1, "state": "new"}, {"day": 3, "state": None}, {"day": 2, "state": "paid"}]
        >>> answer(dv.last("state", by="day", ignore_nulls=True), states, schema="day int, state string")
        'paid'
    """
    return Measure("last", (State(Last(ignore_nulls), expr, where, by or EVENT_TIME),))


def any_value(expr: str, *, where: str | None = None) -> Measure:
    """One of the values of `expr` (Spark SQL), nulls left out; null when there are none.

    Always the same one for the same rows, the smallest: where Spark may give any, batch and speed have to agree.

    Example:
        >>> answer(dv.any_value("name"), [{"name": None}, {"name": "b"}, {"name": "a"}], schema="name string")
        'a'
    """
    return Measure("any_value", (State(Min(), expr, where),))


def top_k(expr: str, *, k: int, by: str | None = None, where: str | None = None) -> Measure:
    """The `k` largest values of `expr` (Spark SQL), largest first, with repeats: an array of k at most (k ≤ 1000).

    With `by`, those of the rows with the largest `by`: an array of {by, value}, ties by the larger value, null the
    smallest. Nulls of what it orders by are left out; an empty array for no rows. NaN is larger than any number. Exact:
    for the most *frequent* values, which no bounded state can tell exactly, see `approx_top_k`.

    Example:
        >>> lines = [{"code": "a", "n": 3}, {"code": "b", "n": 9}, {"code": "c", "n": 5}, {"code": "d", "n": None}]
        >>> answer(dv.top_k("n", k=2), lines, schema="code string, n int")
        [9, 5]
        >>> answer(dv.top_k("code", k=2, by="n"), lines, schema="code string, n int")
        [{'by': 9, 'value': 'b'}, {'by': 5, 'value': 'c'}]
    """
    if not 1 <= k <= 1000:
        raise refused(f"top_k: k is {k}: give a whole number from 1 to 1000")
    return Measure("top_k", (State(TopK(k), expr, where, by or ""),))


@presents("first", "last")
@dataclass(frozen=True)
class Value(Presenter):
    def result_type(self, *types: pa.DataType) -> pa.DataType:
        return types[0].field("value").type

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        return pc.struct_field(states[0], "value")


@presents("top_k")
@dataclass(frozen=True)
class Listed(Presenter):
    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        item = types[0].value_type
        return pa.list_(pa.struct([item.field("by"), item.field("value")])) if pa.types.is_struct(item) else types[0]

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        lists = states[0].fill_null(pa.scalar([], states[0].type))
        if not pa.types.is_struct(lists.type.value_type):
            return lists
        items = lists.flatten()
        shown = pa.StructArray.from_arrays([items.field("by"), items.field("value")], names=["by", "value"])
        lengths = lists.value_lengths().to_pylist()
        offsets = [0, *itertools.accumulate(lengths)]
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), shown)
