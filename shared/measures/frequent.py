"""approx_top_k: the most frequent values, by frequent-items sketches of Apache DataSketches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.shared.measures.base import GatheredKind, Measure, Presenter, State, kind, presents, refused

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY = "X'01010A08030500000000000000000000'"
"""A sketch of nothing, for Spark's merge cannot take a null."""
ROOM = 20
"""Merged sketches have room for 2^20 values, so that merging throws none away and its order does not show."""


@kind("frequent")
@dataclass(frozen=True)
class Frequent(GatheredKind):
    tracked: int

    def prepare(self, state: State) -> str:
        value = f"CAST({state.expr} AS STRING)"
        return f"(approx_top_k_accumulate({value}, {self.tracked}) FILTER (WHERE {state.known})).sketch"

    def merge_in_spark(self, column: str) -> str:
        whole = (
            f"named_struct('sketch', coalesce({column}, {EMPTY}), 'maxItemsTracked', {self.tracked}, "
            "'itemDataType', CAST(NULL AS STRING), 'itemDataTypeDDL', 'item string not null')"
        )
        return f"approx_top_k_combine({whole}).sketch"

    def agree(self, one: str, other: str) -> str:
        # Bytes 16 to 23 of a sketch hold how many records it counted.
        return f"substring({one}, 17, 8) <=> substring({other}, 17, 8)"

    def merge_values(self, values: Sequence[Any]) -> bytes | None:
        import datasketches

        present = [v for v in values if v is not None]
        if len(present) < 2:
            return present[0] if present else None
        merged = datasketches.frequent_strings_sketch(ROOM)
        for value in present:
            merged.merge(datasketches.frequent_strings_sketch.deserialize(value))
        stored: bytes = merged.serialize()
        return stored


def approx_top_k(expr: str, *, k: int, tracked: int = 1024, where: str | None = None) -> Measure:
    """About the `k` most frequent values of `expr` (Spark SQL) as text, nulls left out, most frequent first.

    An array of {value, count, low}: the true count lies between `low` and `count`. The two are equal while fewer than
    three quarters of `tracked` (a power of 2, 32 to 65,536) different values came together in one state; beyond, they
    are apart by at most 3.5 / tracked of all records (Apache DataSketches' frequent items, after Misra and Gries 1982).
    Ties by the value; an empty array for no rows. `k` is at most half of `tracked`.

    Example:
        >>> answer(dv.approx_top_k("code", k=2), [{"code": c} for c in "abacab"], schema="code string")
        [{'value': 'a', 'count': 3, 'low': 3}, {'value': 'b', 'count': 2, 'low': 2}]
    """
    if tracked not in [2**n for n in range(5, 17)]:
        raise refused(f"approx_top_k: tracked is {tracked}: give a power of 2 from 32 to 65536")
    if not 1 <= k <= tracked // 2:
        raise refused(f"approx_top_k: k is {k}: give a whole number from 1 to {tracked // 2}")
    return Measure("approx_top_k", (State(Frequent(tracked), expr, where),), {"k": k, "tracked": tracked})


@presents("approx_top_k")
@dataclass(frozen=True)
class Items(Presenter):
    k: int
    tracked: int

    @property
    def accuracy(self) -> str:
        return f"counts within {3.5 / self.tracked:.2%} of all records (frequent items, Apache DataSketches)"

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.list_(pa.struct({"value": pa.string(), "count": pa.int64(), "low": pa.int64()}))

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        return pa.array([self._read(s) for s in states[0].to_pylist()], self.result_type())

    def _read(self, state: bytes | None) -> list[dict[str, Any]]:
        import datasketches

        if state is None:
            return []
        sketch = datasketches.frequent_strings_sketch.deserialize(state)
        all_ = sketch.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES, 0)
        ordered = sorted(all_, key=lambda item: (-item[1], item[0]))
        return [{"value": value, "count": high, "low": low} for value, _, low, high in ordered[: self.k]]
