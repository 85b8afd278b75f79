"""count, sum, min, max and avg: the exact measures, with Spark SQL's meaning of nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any

from dovetail.shared.measures.base import Measure, State

if TYPE_CHECKING:
    import pyarrow as pa

WIDE = Context(prec=76, rounding=ROUND_HALF_UP)
"""Decimals are added exactly: two of 38 digits never need more."""


@dataclass(frozen=True)
class Count:
    name: str = "count"

    def prepare(self, expr: str, where: str | None) -> str:  # noqa: ARG002
        return f"count_if({where})" if where else "count(1)"

    def merge(self, column: str) -> str:
        return f"sum({column})"

    def merge_values(self, values: Sequence[Any]) -> int:
        return sum(v for v in values if v is not None)


@dataclass(frozen=True)
class Sum:
    name: str = "sum"

    def prepare(self, expr: str, where: str | None) -> str:
        return f"sum({taken(expr, where)})"

    def merge(self, column: str) -> str:
        return f"sum({column})"

    def merge_values(self, values: Sequence[Any]) -> Any:
        present = [v for v in values if v is not None]
        if not present:
            return None
        if isinstance(present[0], Decimal):
            total = present[0]
            for v in present[1:]:
                total = WIDE.add(total, v)
            return total
        return math.fsum(present) if isinstance(present[0], float) else sum(present)


@dataclass(frozen=True)
class Min:
    name: str = "min"

    def prepare(self, expr: str, where: str | None) -> str:
        return f"min({taken(expr, where)})"

    def merge(self, column: str) -> str:
        return f"min({column})"

    def merge_values(self, values: Sequence[Any]) -> Any:
        return min((v for v in values if v is not None), key=_nan_last, default=None)


@dataclass(frozen=True)
class Max:
    name: str = "max"

    def prepare(self, expr: str, where: str | None) -> str:
        return f"max({taken(expr, where)})"

    def merge(self, column: str) -> str:
        return f"max({column})"

    def merge_values(self, values: Sequence[Any]) -> Any:
        return max((v for v in values if v is not None), key=_nan_last, default=None)


def count(*, where: str | None = None) -> Measure:
    """The number of rows, or of those for which `where` (Spark SQL) is true. bigint; 0 for no rows."""
    return Measure("count", (State(Count(), where=where),))


def sum_(expr: str, *, where: str | None = None) -> Measure:
    """The sum of `expr` (Spark SQL), nulls left out; null when there is nothing to add.

    Integers give bigint and decimals decimal(38, s), both exact and an error on overflow. Doubles are equal between
    layers within 1e-9 relative, because their sum depends on the order: use decimals for money.
    """
    return Measure("sum", (State(Sum(), expr, where),))


def min_(expr: str, *, where: str | None = None) -> Measure:
    """The smallest `expr` (Spark SQL), nulls left out; NaN is larger than any number, strings compare by bytes."""
    return Measure("min", (State(Min(), expr, where),))


def max_(expr: str, *, where: str | None = None) -> Measure:
    """The largest `expr` (Spark SQL), nulls left out; NaN is larger than any number, strings compare by bytes."""
    return Measure("max", (State(Max(), expr, where),))


def avg(expr: str, *, where: str | None = None) -> Measure:
    """The mean of `expr` (Spark SQL), nulls left out; null when there are none.

    Decimals of scale s give decimal(38, s + 4), rounded half up, as Spark's avg does; all else gives double.
    """
    not_null = f"({where}) AND ({expr}) IS NOT NULL" if where else f"({expr}) IS NOT NULL"
    return Measure("avg", (State(Sum(), expr, where), State(Count(), where=not_null)), _mean, _mean_type)


def taken(expr: str, where: str | None) -> str:
    """`expr` for the rows that `where` takes, null for the others."""
    return f"CASE WHEN {where} THEN {expr} END" if where else expr


def _mean_type(total: pa.DataType, _count: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.decimal128(38, min(total.scale + 4, 38)) if pa.types.is_decimal(total) else pa.float64()


def _mean(total: pa.Array, count: pa.Array) -> pa.Array:
    import pyarrow as pa

    kind = _mean_type(total.type, count.type)
    pairs = zip(total.to_pylist(), count.to_pylist(), strict=True)
    if not pa.types.is_decimal(kind):
        return pa.array([t / n if n and t is not None else None for t, n in pairs], kind)
    step = Decimal(1).scaleb(-kind.scale)
    exact = (WIDE.divide(t, Decimal(n)).quantize(step, context=WIDE) if n and t is not None else None for t, n in pairs)
    return pa.array(list(exact), kind)


def _nan_last(value: Any) -> tuple[bool, Any]:
    nan = isinstance(value, float) and math.isnan(value)
    return nan, 0 if nan else value


KINDS: dict[str, Any] = {k.name: k for k in (Count(), Sum(), Min(), Max())}
MEASURES: dict[str, tuple[Any, Any]] = {
    "count": (None, None),
    "sum": (None, None),
    "min": (None, None),
    "max": (None, None),
    "avg": (_mean, _mean_type),
}


def measure_from_json(stored: dict[str, Any]) -> Measure:
    """The measure a bundle describes: the inverse of `Measure.as_json`."""
    present, result = MEASURES[stored["measure"]]
    states = tuple(State(KINDS[s["kind"]], s["expr"], s["where"]) for s in stored["states"])
    return Measure(stored["measure"], states, present, result)
