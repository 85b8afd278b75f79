"""approx_distinct: how many different values, by HyperLogLog sketches of Apache DataSketches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.shared.measures.base import GatheredKind, Measure, Presenter, State, kind, presents, refused

if TYPE_CHECKING:
    import pyarrow as pa

STANDARD_ERRORS = 3
"""The bound lies this many standard errors away: 99.7 % of the truths lie within."""


@kind("hll")
@dataclass(frozen=True)
class Hll(GatheredKind):
    precision: int

    def prepare(self, state: State) -> str:
        # As text: Spark sketches only integers, strings and bytes, and each type in its own way.
        return f"hll_sketch_agg(CAST({state.taken} AS STRING), {self.precision})"

    def merge_in_spark(self, column: str) -> str:
        return f"hll_union_agg({column})"

    def agree(self, one: str, other: str) -> str:
        a, b = (f"coalesce(hll_sketch_estimate({s}), 0)" for s in (one, other))
        return f"abs({a} - {b}) <= {2 * STANDARD_ERRORS * standard_error(self.precision)!r}D * greatest({a}, {b}) + 1"

    def merge_values(self, values: Sequence[Any]) -> bytes | None:
        import datasketches

        present = [v for v in values if v is not None]
        if len(present) < 2:
            return present[0] if present else None
        union = datasketches.hll_union(self.precision)
        for value in present:
            union.update(datasketches.hll_sketch.deserialize(value))
        merged: bytes = union.get_result(datasketches.tgt_hll_type.HLL_8).serialize_compact()
        return merged


def approx_distinct(expr: str, *, precision: int = 12, where: str | None = None) -> Measure:
    """About how many different values `expr` (Spark SQL) has, nulls left out. bigint; 0 for no rows.

    A HyperLogLog sketch with 2^precision registers (4 to 21): the standard error is 1.04 / sqrt(2^precision), 1.6 % at
    the default of 12 (Flajolet et al. 2007; Apache DataSketches' HLL, which is exact for a few values). Asked for as
    `buyers.low` and `buyers.high` it gives the bounds three standard errors away. Values are compared as text.

    Example:
        >>> answer(dv.approx_distinct("buyer"), [{"buyer": n % 100} for n in range(500)], schema="buyer int")
        100
    """
    if not 4 <= precision <= 21:
        raise refused(f"approx_distinct: precision is {precision}: give a whole number from 4 to 21")
    return Measure("approx_distinct", (State(Hll(precision), expr, where),), {"precision": precision})


def standard_error(precision: int) -> float:
    return 1.04 / math.sqrt(2**precision)


@presents("approx_distinct")
@dataclass(frozen=True)
class Estimate(Presenter):
    precision: int
    only: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        return ("low", "high")

    def part(self, name: str) -> Presenter | None:
        return Estimate(self.precision, name) if name in self.parts else None

    @property
    def accuracy(self) -> str:
        return f"standard error {standard_error(self.precision):.1%} (HyperLogLog, Apache DataSketches)"

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.int64()

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        return pa.array([0 if s is None else self._read(s) for s in states[0].to_pylist()], pa.int64())

    def _read(self, state: bytes) -> int:
        import datasketches

        sketch = datasketches.hll_sketch.deserialize(state)
        # Twice into a union: its estimate then depends on the registers alone, not on the order in which they came.
        union = datasketches.hll_union(self.precision)
        union.update(sketch)
        union.update(sketch)
        if self.only == "low":
            return int(union.get_lower_bound(STANDARD_ERRORS))
        if self.only == "high":
            return int(-(-union.get_upper_bound(STANDARD_ERRORS) // 1))
        return int(union.get_estimate() + 0.5)
