"""Signed rows: a row of sign -1 takes back one of sign +1. What such rows leave is worked out from sums and counts.

Rows that are given and rows that are taken back are folded apart, by the same states as any other rows, which only
grow: they merge in any order, and nothing cancels out before an answer is presented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from dovetail.shared.errors import DeclarationError
from dovetail.shared.measures.base import Measure, Presenter, State, presents, refused

if TYPE_CHECKING:
    import pyarrow as pa

NO_SIGN = "a sign that is not -1, 0 or 1"
_INSTEAD = (
    "count, sum, avg, variance, stddev, histogram, geometric_mean and what is composed of them can; for others keep a "
    "table of the latest rows upstream and let a source of its own read that"
)


def by_sign(measure: Measure, sign: str | None) -> Measure:
    """The measure over rows whose `sign` (Spark SQL) gives them or takes them back; as it is without one.

    Raises:
        DeclarationError: what is left cannot be told from sums and counts: a minimum, say.
    """
    if sign is None or measure.sign:
        return measure
    if not isinstance(sign, str) or not sign.strip():
        raise refused(f"{measure.name}: sign is {sign!r}", next='give it a column of -1, 0 and 1: sign="sign"')
    if measure.inner:
        inner = tuple((name, by_sign(m, sign)) for name, m in measure.inner)
        return replace(measure, states=tuple(s for _, m in inner for s in m.states), inner=inner)
    if not signable(measure):
        raise refused(f"{measure.name} cannot tell what is left when rows are taken back", next=_INSTEAD)
    states = tuple(side for s in measure.states for part in s.kind.netted(s) for side in _sides(part, sign))
    return Measure(measure.name, states, measure.options, (("unsigned", measure),), sign=sign)


def signable(measure: Measure) -> bool:
    """Whether sums and counts tell what it is of the rows that are left."""
    if measure.inner:
        return all(signable(m) for _, m in measure.inner)
    return all(s.kind.netted(s) for s in measure.states)


def of_view(name: str, measures: Mapping[str, Measure], sign: str | None, where: str) -> dict[str, Measure]:
    """The measures of a view; by `sign`, all of them, where its source has one.

    Raises:
        DeclarationError: some of its rows take others back, and a measure would still count what was taken back.
    """
    if sign or any(True for m in measures.values() for _ in m.signs):
        for key, measure in measures.items():
            if not signable(measure):
                raise DeclarationError(
                    f"view {name}: measure '{key}': {measure.name} cannot tell what is left when rows are taken back",
                    where=where,
                    next=_INSTEAD,
                )
    return {key: by_sign(m, sign) for key, m in measures.items()}


def _sides(state: State, sign: str) -> Iterator[State]:
    """The state of the rows that are given, and that of those that are taken back."""
    for value in (1, -1):
        taken = f"CASE WHEN ({sign}) IN (-1, 0, 1) THEN ({sign}) = {value} ELSE raise_error('{NO_SIGN}') END"
        yield replace(state, where=f"({state.where}) AND {taken}" if state.where else taken)


@presents("signed")
@dataclass(frozen=True)
class Signed(Presenter):
    """Presents what is left as the unsigned measure would."""

    measure: Measure

    def _left(self, *states: pa.Array) -> Iterator[pa.Array]:
        sides = iter(states)
        for state in self._unsigned.states:
            given_taken = [*islice(sides, 2 * len(state.kind.netted(state)))]
            yield state.kind.net(given_taken[::2], given_taken[1::2])

    @property
    def _unsigned(self) -> Measure:
        return self.measure.inner[0][1]

    def present(self, *states: pa.Array) -> pa.Array:
        return self._unsigned.presenter.present(*self._left(*states))

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        import pyarrow as pa

        return self._unsigned.presenter.result_type(*(a.type for a in self._left(*(pa.array([], t) for t in types))))
