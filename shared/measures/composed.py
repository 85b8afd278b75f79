"""ratio, histogram and measure: measures made of others, which merge because those do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dovetail.shared.errors import UserCodeError
from dovetail.shared.measures.base import Measure, Presenter, State, presents, refused
from dovetail.shared.measures.numeric import Count
from dovetail.shared.measures.signed import by_sign

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BINS = 1_000


def ratio(over: Measure, under: Measure) -> Measure:
    """`over` divided by `under`, as double: the exact quotient of the two answers, rounded once.

    Null where either is null or `under` is 0. What it is made of is merged first: the ratio of the sums, never a mean
    of ratios.

    Example:
        >>> lines = [{"late": True}, {"late": False}, {"late": None}, {"late": False}]
        >>> answer(dv.ratio(dv.count(where="late"), dv.count()), lines, schema="late boolean")
        0.25
    """
    return _of("ratio", {"over": over, "under": under})


def measure(*, present: Callable[..., pa.Array], **parts: Measure) -> Measure:
    """A measure of your own: others by name, and a function of their answers.

    `present` gets one Arrow array per part under the part's name, all equally long, and gives one of that length. It
    runs where questions are answered, so it works with `pyarrow.compute` and not with Spark. Merging is that of the
    parts.

    Example:
        >>> import pyarrow.compute as pc
        >>> spread = dv.measure(low=dv.min("x"), high=dv.max("x"), present=lambda low, high: pc.subtract(high, low))
        >>> answer(spread, [{"x": 3}, {"x": 10}, {"x": 4}], schema="x int")
        7
    """
    if not callable(present):
        raise refused(f"measure: present is {present!r}: give a function of {', '.join(parts)}")
    return replace(_of("measure", parts), code=present)


def histogram(
    expr: str,
    *,
    edges: Sequence[float | Decimal] = (),
    width: float | Decimal | None = None,
    low: float | Decimal | None = None,
    high: float | Decimal | None = None,
    where: str | None = None,
    sign: str | None = None,
) -> Measure:
    """How many values of `expr` (Spark SQL) lie between `edges`, or in bins of `width` from `low` to `high`.

    An array of {low, high, count}, 1,000 at most, each from `low` on and below `high`; the first has no low and the
    last no high, for what lies outside. Nulls are left out; NaN, larger than any number, counts in the last. Exact.

    Example:
        >>> answer(dv.histogram("x", edges=[0, 10]), [{"x": -1}, {"x": 0}, {"x": 9}, {"x": 50}], schema="x int")
        [{'low': None, 'high': 0.0, 'count': 1}, {'low': 0.0, 'high': 10.0, 'count': 2},
         {'low': 10.0, 'high': None, 'count': 1}]
    """
    given = [Decimal(str(e)) for e in (_steps(width, low, high) if width is not None else edges)]
    if not given or given != sorted(set(given)):
        raise refused(f"histogram: the edges {', '.join(map(str, given)) or 'are missing'}: they must rise")
    if len(given) >= MOST_BINS:
        raise refused(f"histogram: {len(given) + 1} bins are more than {MOST_BINS}")
    taken = f"({where}) AND " if where else ""
    lows = [None, *given]
    conditions = [
        " AND ".join(
            [*([f"({expr}) >= {a:f}"] if a is not None else []), *([f"({expr}) < {b:f}"] if b is not None else [])]
        )
        for a, b in zip(lows, [*given, None], strict=True)
    ]
    states = tuple(State(Count(), where=taken + c) for c in conditions)
    return by_sign(Measure("histogram", states, {"edges": [str(e) for e in given]}), sign)


def _steps(width: float | Decimal, low: float | Decimal | None, high: float | Decimal | None) -> list[Decimal]:
    if low is None or high is None:
        raise refused("histogram: width needs low and high", next="histogram(x, width=10, low=0, high=100)")
    step, first, last = (Decimal(str(v)) for v in (width, low, high))
    if step <= 0 or last <= first or (last - first) % step:
        raise refused(f"histogram: width {step} does not divide {first} to {last} into whole bins")
    if (last - first) / step >= MOST_BINS:
        raise refused(f"histogram: {int((last - first) / step)} bins are more than {MOST_BINS}")
    return [first + n * step for n in range(int((last - first) / step) + 1)]


def _of(name: str, parts: dict[str, Measure]) -> Measure:
    if not parts:
        raise refused(f"{name} has no parts", next="dv.measure(n=dv.count(), present=…)")
    for part, made in parts.items():
        if not isinstance(made, Measure):
            raise refused(f"{name}: {part} is {made!r}, not a dv.count(), dv.sum(…)…")
    return Measure(name, tuple(s for m in parts.values() for s in m.states), inner=tuple(parts.items()))


@dataclass(frozen=True)
class Parts(Presenter):
    """Presents what a measure is composed of, by name."""

    measure: Measure

    def presented(self, states: Sequence[pa.Array]) -> dict[str, pa.Array]:
        given = iter(states)
        return {name: m.presenter.present(*(next(given) for _ in m.states)) for name, m in self.measure.inner}

    @property
    def accuracy(self) -> str:
        return "; ".join(f"{name}: {m.presenter.accuracy}" for name, m in self.measure.inner if m.presenter.accuracy)


@presents("ratio")
@dataclass(frozen=True)
class Quotient(Parts):
    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.float64()

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        over, under = (a.to_pylist() for a in self.presented(states).values())
        return pa.array([_divided(a, b) for a, b in zip(over, under, strict=True)], pa.float64())


def _divided(a: Any, b: Any) -> float | None:
    if a is None or b is None or b == 0:
        return None
    if isinstance(a, float) or isinstance(b, float):
        return float(a) / float(b)
    return float(Fraction(a) / Fraction(b))


@presents("measure")
@dataclass(frozen=True)
class Own(Parts):
    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return self.present(*(pa.array([], t) for t in types)).type

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        parts = self.presented(states)
        if self.measure.code is None:
            raise RuntimeError("the user's function was not loaded with the measure")
        try:
            made = self.measure.code(**parts)
            array = made.combine_chunks() if isinstance(made, pa.ChunkedArray) else pa.array(made)
        except Exception as error:  # user code: anything may come out of it
            raise UserCodeError(f"present of a dv.measure raised {type(error).__name__}: {error}") from error
        if len(array) != len(states[0]):
            raise UserCodeError(
                f"present of a dv.measure gave {len(array)} values for {len(states[0])} groups",
                next="work on whole arrays with pyarrow.compute, without filtering or summing them",
            )
        return array


@presents("histogram")
@dataclass(frozen=True)
class Bins(Presenter):
    edges: Sequence[str]

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return pa.list_(pa.struct({"low": pa.float64(), "high": pa.float64(), "count": pa.int64()}))

    def present(self, *states: pa.Array) -> pa.Array:
        import pyarrow as pa

        edges = [float(e) for e in self.edges]
        ends = list(zip([None, *edges], [*edges, None], strict=True))
        rows = zip(*(s.to_pylist() for s in states), strict=True)
        binned = [[{"low": a, "high": b, "count": n} for (a, b), n in zip(ends, row, strict=True)] for row in rows]
        return pa.array(binned, self.result_type())
