"""count, sum, min, max and avg: the exact measures, with Spark SQL's meaning of nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.shared.measures.base import Measure, Presenter, State, StateKind, kind, near, presents, sort_key
from dovetail.shared.measures.signed import by_sign

if TYPE_CHECKING:
    import pyarrow as pa

WIDE = Context(prec=76, rounding=ROUND_HALF_UP)
"""Decimals are added exactly: two of 38 digits never need more."""


@kind("count")
@dataclass(frozen=True)
class Count(StateKind):
    def prepare(self, state: State) -> str:
        return f"count_if({state.where})" if state.where else "count(1)"

    def merge(self, column: str) -> str:
        return f"sum({column})"

    def merge_values(self, values: Sequence[Any]) -> int:
        return sum(v for v in values if v is not None)

    def netted(self, state: State) -> tuple[State, ...]:
        return (state,)

    def net(self, given: Sequence[pa.Array], taken: Sequence[pa.Array]) -> pa.Array:
        import pyarrow.compute as pc

        return pc.subtract(given[0], taken[0])


@kind("sum")
@dataclass(frozen=True)
class Sum(StateKind):
    numeric: ClassVar[bool] = True

    def prepare(self, state: State) -> str:
        return f"sum({state.taken})"

    def merge(self, column: str) -> str:
        return f"sum({column})"

    def merge_in_order(self, column: str) -> str:
        return f"sum({column} ORDER BY {column})"

    def agree(self, one: str, other: str) -> str:
        return f"CASE WHEN typeof({one}) IN ('double', 'float') THEN {near(one, other)} ELSE {one} <=> {other} END"

    def exact(self, stored: pa.DataType) -> bool:
        import pyarrow as pa

        return not pa.types.is_floating(stored)

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

    def netted(self, state: State) -> tuple[State, ...]:
        return (state, counted(state.expr, state.where))

    def net(self, given: Sequence[pa.Array], taken: Sequence[pa.Array]) -> pa.Array:
        import pyarrow as pa

        rows = zip(*(a.to_pylist() for a in (*given, *taken)), strict=True)
        return pa.array([_left(*row) for row in rows], given[0].type)


def _left(given: Any, n: int, taken: Any, back: int) -> Any:
    """What is left of a sum; None where all that was given was taken back, so that there is nothing to add."""
    if taken is None:
        return given
    if given is None:
        return -taken
    alike = math.isclose(given, taken, rel_tol=1e-9) if isinstance(given, float) else given == taken
    if n == back and alike:
        return None
    return WIDE.subtract(given, taken) if isinstance(given, Decimal) else given - taken


@kind("min")
@dataclass(frozen=True)
class Min(StateKind):
    def prepare(self, state: State) -> str:
        return f"min({state.taken})"

    def merge(self, column: str) -> str:
        return f"min({column})"

    def merge_values(self, values: Sequence[Any]) -> Any:
        return min((v for v in values if v is not None), key=sort_key, default=None)


@kind("max")
@dataclass(frozen=True)
class Max(StateKind):
    def prepare(self, state: State) -> str:
        return f"max({state.taken})"

    def merge(self, column: str) -> str:
        return f"max({column})"

    def merge_values(self, values: Sequence[Any]) -> Any:
        return max((v for v in values if v is not None), key=sort_key, default=None)


def count(*, where: str | None = None, sign: str | None = None) -> Measure:
    """The number of rows, or of those for which `where` (Spark SQL) is true. bigint; 0 for no rows.

    With `sign`, a column of -1, 0 and 1, a row of -1 takes back one of 1: see "Signed rows" above.

    Example:
        >>> answer(dv.count(where="x > 1"), [{"x": 1}, {"x": 2}, {"x": 3}, {"x": None}], schema="x int")
        2
    """
    return by_sign(Measure("count", (State(Count(), where=where),)), sign)


def sum_(expr: str, *, where: str | None = None, sign: str | None = None) -> Measure:
    """The sum of `expr` (Spark SQL), nulls left out; null when there is nothing to add.

    Integers give bigint and decimals decimal(38, s), both exact and an error on overflow. Doubles are equal between
    layers within 1e-9 relative, because their sum depends on the order: use decimals for money. With `sign` rows of -1
    take back rows of 1: see "Signed rows" above.

    Example:
        >>> lines = [{"n": 2, "price": Decimal("1.50")}, {"n": 1, "price": None}]
        >>> answer(dv.sum("n * price"), lines, schema="n int, price decimal(10,2)")
        Decimal('3.00')
    """
    return by_sign(Measure("sum", (State(Sum(), expr, where),)), sign)


def min_(expr: str, *, where: str | None = None) -> Measure:
    """The smallest `expr` (Spark SQL), nulls left out; NaN is larger than any number, strings compare by bytes.

    Example:
        >>> answer(dv.min("name"), [{"name": "b"}, {"name": "a"}, {"name": None}], schema="name string")
        'a'
    """
    return Measure("min", (State(Min(), expr, where),))


def max_(expr: str, *, where: str | None = None) -> Measure:
    """The largest `expr` (Spark SQL), nulls left out; NaN is larger than any number, strings compare by bytes.

    Example:
        >>> answer(dv.max("x"), [{"x": 1.5}, {"x": float("nan")}, {"x": float("inf")}], schema="x double")
        nan
    """
    return Measure("max", (State(Max(), expr, where),))


def avg(expr: str, *, where: str | None = None, sign: str | None = None) -> Measure:
    """The mean of `expr` (Spark SQL), nulls left out; null when there are none.

    Decimals of scale s give decimal(38, s + 4), rounded half up, as Spark's avg does; all else gives double. With
    `sign` rows of -1 take back rows of 1: see "Signed rows" above.

    Example:
        >>> prices = [{"price": Decimal(p)} for p in ("1.00", "2.00", "2.00")]
        >>> answer(dv.avg("price"), prices, schema="price decimal(10,2)")
        Decimal('1.666667')
    """
    return by_sign(Measure("avg", (State(Sum(), expr, where), counted(expr, where))), sign)


def counted(expr: str, where: str | None) -> State:
    """How many rows have a value."""
    return State(Count(), where=f"({where}) AND ({expr}) IS NOT NULL" if where else f"({expr}) IS NOT NULL")


@presents("avg")
@dataclass(frozen=True)
class Mean(Presenter):
    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        total = types[0]
        return pa.decimal128(38, min(total.scale + 4, 38)) if pa.types.is_decimal(total) else pa.float64()

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        kind = self.result_type(states[0].type)
        pairs = zip(states[0].to_pylist(), states[1].to_pylist(), strict=True)
        if not pa.types.is_decimal(kind):
            return pa.array([t / n if n > 0 and t is not None else None for t, n in pairs], kind)
        step = Decimal(1).scaleb(-kind.scale)
        exact = (
            WIDE.divide(t, Decimal(n)).quantize(step, context=WIDE) if n > 0 and t is not None else None
            for t, n in pairs
        )
        return pa.array(list(exact), kind)
