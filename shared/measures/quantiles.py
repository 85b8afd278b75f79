"""approx_quantiles: counts of values in bins that grow with the value, after DDSketch.

Masson, Rim, Lee: DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees (VLDB 2019). Bins
are counted exactly, so the answer depends on the records alone: not on how they were split, nor in which order merged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.shared.measures.base import GatheredKind, Measure, Presenter, State, kind, presents, refused

if TYPE_CHECKING:
    import pyarrow as pa

SMALLEST, LARGEST = 1e-9, 1e15
"""Magnitudes that have bins; smaller ones count as 0, larger ones as the largest."""


@dataclass(frozen=True)
class Scale:
    """Bins by number: 0 for zero, n and -n for the nth range of magnitudes, beyond the last for what is no number."""

    error: float

    @cached_property
    def log_gamma(self) -> float:
        return math.log((1 + self.error) / (1 - self.error))

    @cached_property
    def first(self) -> int:
        return math.ceil(math.log(SMALLEST) / self.log_gamma)

    @cached_property
    def bins(self) -> int:
        """How many there are for the magnitudes of one sign."""
        return math.ceil(math.log(LARGEST) / self.log_gamma) - self.first + 1

    @property
    def infinite(self) -> int:
        return self.bins + 1

    @property
    def nan(self) -> int:
        return self.bins + 2

    def sql(self, x: str) -> str:
        """The bin of a double, in Spark SQL."""
        range_ = f"CAST(ceil(ln(abs({x})) / {self.log_gamma!r}D) AS INT) - {self.first - 1}"
        number = f"least({self.bins}, greatest(1, {range_}))"
        signed = f"CASE WHEN {x} < 0 THEN -1 ELSE 1 END"
        infinite = f"CASE WHEN abs({x}) = double('Infinity') THEN {self.infinite} ELSE {number} END"
        return (
            f"CASE WHEN isnan({x}) THEN {self.nan} WHEN abs({x}) < {SMALLEST!r}D THEN 0 ELSE {signed} * {infinite} END"
        )

    def value(self, number: int) -> float:
        """A value that no other in the bin is further away from than `error`, relatively."""
        if number == self.nan:
            return math.nan
        if abs(number) == self.infinite:
            return math.copysign(math.inf, number)
        if number == 0:
            return 0.0
        upper = math.exp((abs(number) + self.first - 1) * self.log_gamma)
        return math.copysign(upper * (1 - self.error), number)


@kind("bins")
@dataclass(frozen=True)
class Binned(GatheredKind):
    """How many values fell into each bin: [{item, count}], in the order of bins."""

    numeric: ClassVar[bool] = True
    error: float

    def prepare(self, state: State) -> str:
        scale = Scale(self.error)
        all_ = 2 * scale.nan + 1
        x = f"CAST({state.expr} AS DOUBLE)"
        # Spark's count of frequent items is exact while these fill less than three quarters of its table.
        table = 2 ** math.ceil(math.log2(all_ / 0.75))
        return f"array_sort(approx_top_k({scale.sql(x)}, {all_}, {table}) FILTER (WHERE {state.known}))"

    def merge_in_spark(self, column: str) -> str:
        all_ = f"flatten(collect_list({column}))"
        same = f"aggregate(filter({all_}, e -> e.item = i), 0L, (n, e) -> n + e.count)"
        items = f"array_sort(array_distinct(transform({all_}, e -> e.item)))"
        return f"transform({items}, i -> named_struct('item', i, 'count', {same}))"

    def merge_values(self, values: Sequence[Any]) -> list[dict[str, int]]:
        counts: Counter[int] = Counter()
        for bins in values:
            counts.update({b["item"]: b["count"] for b in bins or ()})
        return [{"item": item, "count": counts[item]} for item in sorted(counts)]

    def collected(self, lists: pa.ListArray) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        states = pc.list_flatten(lists)
        groups = pc.take(pc.list_parent_indices(lists), pc.list_parent_indices(states))
        bins = pc.list_flatten(states)
        rows = pa.table({"group": groups, "item": bins.field("item"), "count": bins.field("count")})
        merged = rows.group_by(["group", "item"]).aggregate([("count", "sum")])
        merged = merged.sort_by([("group", "ascending"), ("item", "ascending")]).combine_chunks()
        lengths = {r["values"]: r["counts"] for r in pc.value_counts(merged["group"]).to_pylist()}
        offsets = [0]
        for group in range(len(lists)):
            offsets.append(offsets[-1] + lengths.get(group, 0))
        columns = [merged[c].combine_chunks() for c in ("item", "count_sum")]
        flat = pa.StructArray.from_arrays(columns, names=["item", "count"])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def approx_quantiles(
    expr: str, *, error: float = 0.01, quantiles: Sequence[float] = (0.5, 0.95, 0.99), where: str | None = None
) -> Measure:
    """The values below which given parts of all values of `expr` (Spark SQL) lie, as double; nulls left out.

    {p50, p95, p99} or what `quantiles` (0 to 1) say; any other is asked for as `basket.p99.9`. Each is off by at most
    `error` (0.001 to 0.2) of the value of that rank, 1 + floor(q * (n - 1)): a bound, not a likelihood (DDSketch,
    Masson et al. 2019). Magnitudes from 1e-9 to 1e15; smaller ones count as 0, larger ones as 1e15. Null for no rows;
    NaN is larger than any number. The same records give the same answer to the bit, however they were split.

    Example:
        >>> baskets = [{"amount": n} for n in range(1, 1001)]
        >>> said = answer(dv.approx_quantiles("amount", quantiles=[0.5, 0.99]), baskets, schema="amount int")
        >>> {name: round(value, 1) for name, value in said.items()}
        {'p50': 497.8, 'p99': 982.6}
    """
    if not 0.001 <= error <= 0.2:
        raise refused(f"approx_quantiles: error is {error}: give a number from 0.001 to 0.2")
    for q in quantiles:
        if not 0 <= q <= 1:
            raise refused(f"approx_quantiles: {q} is no quantile: give numbers from 0 to 1, as in 0.95")
    if not quantiles:
        raise refused("approx_quantiles: no quantiles are given", next="quantiles=(0.5, 0.95)")
    options = {"error": error, "quantiles": [float(q) for q in quantiles]}
    return Measure("approx_quantiles", (State(Binned(error), expr, where),), options)


@presents("approx_quantiles")
@dataclass(frozen=True)
class Quantiles(Presenter):
    error: float
    quantiles: Sequence[float]
    only: float | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(percentile(q) for q in self.quantiles)

    def part(self, name: str) -> Presenter | None:
        try:
            q = float(name.removeprefix("p")) / 100 if name.startswith("p") else -1.0
        except ValueError:
            return None
        return Quantiles(self.error, self.quantiles, q) if 0 <= q <= 1 else None

    @property
    def accuracy(self) -> str:
        return f"within {self.error:.2%} of the value (DDSketch)"

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.float64() if self.only is not None else pa.struct({p: pa.float64() for p in self.parts})

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        scale, wanted = Scale(self.error), [self.only] if self.only is not None else self.quantiles
        rows = [_at(bins or (), wanted, scale) for bins in states[0].to_pylist()]
        if self.only is not None:
            return pa.array([row[0] for row in rows], pa.float64())
        return pa.array([dict(zip(self.parts, row, strict=True)) for row in rows], self.result_type())


def percentile(q: float) -> str:
    """How a quantile is asked for.

    >>> percentile(0.95), percentile(0.999), percentile(1)
    ('p95', 'p99.9', 'p100')
    """
    return f"p{round(q * 100, 10):g}"


def _at(bins: Sequence[dict[str, int]], wanted: Sequence[float], scale: Scale) -> list[float | None]:
    total = sum(b["count"] for b in bins)
    return [_value(bins, 1 + math.floor(q * (total - 1)), scale) if total else None for q in wanted]


def _value(bins: Sequence[dict[str, int]], rank: int, scale: Scale) -> float:
    below = 0
    for b in bins:
        below += b["count"]
        if below >= rank:
            return scale.value(b["item"])
    raise ValueError(f"rank {rank} of {below} values")
