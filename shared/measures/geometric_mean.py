"""geometric_mean: a measure in one file, as an example of how to add one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.shared.measures.base import Measure, Presenter, State, presents
from dovetail.shared.measures.numeric import Sum, counted
from dovetail.shared.measures.signed import by_sign

if TYPE_CHECKING:
    import pyarrow as pa


def geometric_mean(expr: str, *, where: str | None = None, sign: str | None = None) -> Measure:
    """The geometric mean of the positive values of `expr` (Spark SQL) as double; null where there are none.

    Nulls, zeros and negative values are left out. Equal between layers within 1e-9 relative.

    Example:
        >>> round(answer(dv.geometric_mean("growth"), [{"growth": 1.0}, {"growth": 4.0}], schema="growth double"), 9)
        2.0
    """
    log = f"ln(CASE WHEN ({expr}) > 0 THEN CAST({expr} AS DOUBLE) END)"
    return by_sign(Measure("geometric_mean", (State(Sum(), log, where), counted(log, where))), sign)


@presents("geometric_mean")
@dataclass(frozen=True)
class GeometricMean(Presenter):
    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.float64()

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        logs, n = states
        n = n.cast(logs.type)
        return pc.exp(pc.divide(logs, pc.if_else(pc.greater(n, 0.0), n, pa.scalar(None, n.type))))
