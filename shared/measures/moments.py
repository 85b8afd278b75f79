"""variance and stddev, from count, mean and squared distance: numerically steady where a sum of squares is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.shared.measures.base import Measure, Presenter, State, StateKind, kind, near, presents
from dovetail.shared.measures.numeric import Sum, counted
from dovetail.shared.measures.signed import by_sign

if TYPE_CHECKING:
    import pyarrow as pa


@kind("moments")
@dataclass(frozen=True)
class Moments(StateKind):
    """n, mean and m2, the sum of squared distances from the mean; merged after Chan, Golub and LeVeque (1979)."""

    numeric: ClassVar[bool] = True

    def prepare(self, state: State) -> str:
        x = f"CAST({state.taken} AS DOUBLE)"
        # nullif: PySpark cannot bring over a null struct with a field that is declared never to be null.
        moments = f"named_struct('n', nullif(count({x}), 0L), 'mean', avg({x}), 'm2', var_pop({x}) * count({x}))"
        return f"CASE WHEN count({x}) > 0 THEN {moments} END"

    def merge(self, column: str) -> str:
        # In order, for the sum of doubles shows it. Names that no column has: a lambda's do not hide those.
        n, delta = "(_l.n + _r.n)", "(_r.mean - _l.mean)"
        mean, m2 = f"_l.mean + {delta} * _r.n / {n}", f"_l.m2 + _r.m2 + {delta} * {delta} * _l.n * _r.n / {n}"
        step = f"lambda _l, _r: {{'n': {n}, 'mean': {mean}, 'm2': {m2}}}"
        return f"list_reduce(list({column} ORDER BY {column}) FILTER (WHERE {column} IS NOT NULL), {step})"

    def merge_in_spark(self, column: str) -> str:
        n, delta = "(l.n + r.n)", "(r.mean - l.mean)"
        mean = f"if(l.n = 0, r.mean, l.mean + {delta} * r.n / {n})"
        m2 = f"if(l.n = 0, r.m2, l.m2 + r.m2 + {delta} * {delta} * l.n * r.n / {n})"
        zero = "named_struct('n', nullif(0L, 1L), 'mean', nullif(0D, 1D), 'm2', nullif(0D, 1D))"
        step = f"(l, r) -> named_struct('n', {n}, 'mean', {mean}, 'm2', {m2})"
        return f"nullif(aggregate(array_sort(collect_list({column})), {zero}, {step}), {zero})"

    def agree(self, one: str, other: str) -> str:
        # A mean is as near as its terms are large: those of opposite signs cancel out.
        mean = f"coalesce(abs({one}.mean - {other}.mean) <= 1e-9D * (abs({one}.mean) + sqrt({one}.m2)), false)"
        m2 = near(f"{one}.m2", f"{other}.m2")
        return f"{one}.n <=> {other}.n AND ({one}.mean <=> {other}.mean OR {mean}) AND {m2}"

    def exact(self, stored: pa.DataType) -> bool:
        return False

    def merge_values(self, values: Sequence[Any]) -> dict[str, Any] | None:
        merged: dict[str, Any] | None = None
        for v in values:
            merged = v if merged is None else merged if v is None else _joined(merged, v)
        return merged

    def netted(self, state: State) -> tuple[State, ...]:
        # Moments cannot be taken back: of no rows that are left they have no mean. Sums can, and those of decimals and
        # integers are exact; 1BD makes an integer a decimal, whose square has room.
        square = replace(state, kind=Sum(), expr=f"({state.expr}) * (({state.expr}) * 1BD)")
        return (counted(state.expr, state.where), replace(state, kind=Sum()), square)

    def net(self, given: Sequence[pa.Array], taken: Sequence[pa.Array]) -> pa.Array:
        import pyarrow as pa

        rows = zip(*(a.to_pylist() for a in (*given, *taken)), strict=True)
        kind = pa.struct({"n": pa.int64(), "mean": pa.float64(), "m2": pa.float64()})
        return pa.array([_left(row[:3], row[3:]) for row in rows], kind)


def _left(given: Sequence[Any], taken: Sequence[Any]) -> dict[str, Any] | None:
    """The moments of the values that are left, from their numbers, sums and sums of squares."""
    n = given[0] - taken[0]
    if n <= 0:
        return None
    sums = [v or 0 for v in (*given[1:], *taken[1:])]
    if not all(map(math.isfinite, sums)):
        return {"n": n, "mean": math.nan, "m2": math.nan}
    total, square, total_back, square_back = map(Fraction, sums)
    total, square = total - total_back, square - square_back
    return {"n": n, "mean": float(total / n), "m2": float(max(square - total * total / n, Fraction(0)))}


def _joined(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    n, delta = a["n"] + b["n"], b["mean"] - a["mean"]
    m2 = a["m2"] + b["m2"] + delta * delta * a["n"] * b["n"] / n
    return {"n": n, "mean": a["mean"] + delta * b["n"] / n, "m2": m2}


def variance(expr: str, *, population: bool = False, where: str | None = None, sign: str | None = None) -> Measure:
    """The variance of `expr` (Spark SQL) as double, nulls left out: of a sample, or of a whole `population`.

    Null when there are no values, and for a sample also when there is one; NaN where a value is NaN or infinite, as in
    Spark. Equal between layers within 1e-9 relative. With `sign` rows of -1 take back rows of 1: see "Signed rows"
    above.

    Example:
        >>> answer(dv.variance("x"), [{"x": 1}, {"x": 2}, {"x": 3}, {"x": None}], schema="x int")
        1.0
    """
    return by_sign(Measure("variance", (State(Moments(), expr, where),), {"population": population}), sign)


def stddev(expr: str, *, population: bool = False, where: str | None = None, sign: str | None = None) -> Measure:
    """The standard deviation of `expr` (Spark SQL) as double: the square root of `variance`, null where that is.

    Example:
        >>> answer(dv.stddev("x", population=True), [{"x": 1}, {"x": 3}], schema="x int")
        1.0
    """
    return by_sign(Measure("stddev", (State(Moments(), expr, where),), {"population": population}), sign)


@presents("variance")
@dataclass(frozen=True)
class Variance(Presenter):
    population: bool = False

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.float64()

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        n, m2 = (pc.struct_field(states[0], f).cast(pa.float64()) for f in ("n", "m2"))
        free = n if self.population else pc.subtract(n, 1.0)
        return pc.divide(m2, pc.if_else(pc.greater(free, 0.0), free, pa.scalar(None, pa.float64())))


@presents("stddev")
@dataclass(frozen=True)
class Deviation(Variance):
    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        return pc.sqrt(super().present(*states))
