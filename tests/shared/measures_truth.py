"""What measures answer, in plain Python over all rows at once: never through states."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

WIDE = Context(prec=76, rounding=ROUND_HALF_UP)


def known(rows: Sequence[Any], name: str) -> list[Any]:
    return [r[name] for r in rows if r[name] is not None]


def key(value: Any) -> Any:
    """Orders values as SQL does: NaN above all."""
    nan = isinstance(value, float) and math.isnan(value)
    return (nan, 0 if nan else value)


def total(values: list[Any]) -> Any:
    if not values:
        return None
    if isinstance(values[0], Decimal):
        result = Decimal(0)
        for v in values:
            result = WIDE.add(result, v)
        return result
    return _float_sum(values) if isinstance(values[0], float) else sum(values)


def _float_sum(values: list[float]) -> float:
    infinite = [v for v in values if not math.isfinite(v)]
    return sum(infinite) if infinite else math.fsum(values)


def mean(values: list[Any]) -> Any:
    if not values:
        return None
    if isinstance(values[0], Decimal):
        step = Decimal(1).scaleb(values[0].as_tuple().exponent - 4)
        return WIDE.divide(total(values), Decimal(len(values))).quantize(step, context=WIDE)
    return total(values) / len(values)


def variance(values: list[Any], free: int = 1) -> float | None:
    if len(values) <= free:
        return None
    if any(isinstance(v, float) and not math.isfinite(v) for v in values):
        return math.nan
    exact = [Fraction(v) for v in values]
    middle = sum(exact) / len(exact)
    return float(sum((v - middle) ** 2 for v in exact) / (len(exact) - free))


def stddev(values: list[Any]) -> float | None:
    found = variance(values)
    return None if found is None else math.sqrt(found)


def at(rows: Sequence[Any], value: str, by: str, *, last: bool, where: Callable[[Any], bool] = lambda _: True) -> Any:
    """The value of the first or last row by `by`, then by place: rows are dealt to partitions 0, 1, 2 in turn."""
    placed = [(key(r[by]), i % 3, i, r[value]) for i, r in enumerate(rows) if r[by] is not None and where(r)]
    if not placed:
        return None
    return (max if last else min)(placed, key=lambda p: p[:3])[3]


def largest(rows: Sequence[Any], value: str, k: int) -> list[Any]:
    return sorted(known(rows, value), key=key, reverse=True)[:k]


def distinct(values: list[Any], limit: int) -> dict[str, Any]:
    found = sorted({key(v): v for v in values}.items())
    return {"values": [v for _, v in found][:limit], "overflowed": len(found) > limit}


def bins(values: list[Any], edges: Sequence[float]) -> list[dict[str, Any]]:
    ends = list(zip([None, *edges], [*edges, None], strict=True))

    def inside(v: Any, low: Any, high: Any) -> bool:
        nan = isinstance(v, float) and math.isnan(v)
        return (low is None or nan or v >= low) and (high is None or (not nan and v < high))

    return [{"low": a, "high": b, "count": sum(inside(v, a, b) for v in values)} for a, b in ends]


def quantile(values: list[Any], q: float) -> Any:
    """The value of rank 1 + floor(q * (n - 1))."""
    return sorted(values, key=key)[math.floor(q * (len(values) - 1))] if values else None


def frequent(values: list[Any], k: int) -> list[tuple[str, int]]:
    return sorted(Counter(map(str, values)).items(), key=lambda item: (-item[1], item[0]))[:k]
