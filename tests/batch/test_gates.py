"""What a gate finds of two tables of answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import dovetail as dv
from dovetail.batch.gates import Judged, judge


def of(*values: Any) -> pa.Table:
    """Answers of the groups a, b, c…; None for a group that is not there."""
    rows = [(key, value) for key, value in zip("abcdefghijklmnopqrst", values, strict=False) if value is not None]
    kind = pa.decimal128(12, 2) if any(isinstance(v, Decimal) for v in values) else None
    return pa.table({"key": [k for k, _ in rows], "lines": pa.array([v for _, v in rows], kind)})


def whole(before: Any, after: Any, within: str = "30%") -> Judged:
    first, second = (of(value).select(["lines"]) for value in (before, after))
    return judge(dv.gate("lines", within=within), first, second, [])


@pytest.mark.parametrize(
    ("before", "after", "closed"),
    [
        (1000, 700, False), (1000, 699, True), (1000, 1300, False), (1000, 1301, True), (1000, 100, True),
        (0, 0, False), (0, 1, True), (1000, None, True), (None, 1000, True),
        (Decimal("1000.00"), Decimal("700.00"), False), (Decimal("1000.00"), Decimal("2000.00"), True),
        (-10, -7, False), (-10, 10, True), (float("nan"), 1.0, True),
    ],
)  # fmt: skip
def test_a_step_beyond_the_percentage_closes_it(before: Any, after: Any, closed: bool) -> None:
    assert whole(before, after).closed is closed


def test_where_nothing_answers_on_either_side_it_is_open() -> None:
    nothing = pa.table({"lines": pa.array([], pa.int64())})
    assert not judge(dv.gate("lines", within="0%"), nothing, nothing, []).closed


def test_no_step_at_all_may_be_asked_for() -> None:
    assert [whole(10, 10, "0%").closed, whole(10, 11, "0%").closed] == [False, True]


def test_what_is_no_number_has_to_stay_the_same() -> None:
    assert [whole(["x"], ["x"]).closed, whole(["x"], ["y"]).closed] == [False, True]


@pytest.mark.parametrize(("moved", "closed"), [(0, False), (1, False), (2, True)])
def test_so_many_groups_may_move_further(moved: int, closed: bool) -> None:
    gate, before = dv.gate("lines", within="10%", groups="5%"), of(*[100] * 20)
    assert judge(gate, before, of(*[10] * moved, *[109] * (20 - moved)), ["key"]).closed is closed


def test_a_group_that_comes_or_goes_moves_too_far() -> None:
    gate = dv.gate("lines", within="10%", groups="0%")
    assert judge(gate, of(1, None), of(1, 1), ["key"]).closed
    assert judge(gate, of(1, 1), of(1, None), ["key"]).closed


def test_a_gate_says_what_moved_and_what_may() -> None:
    assert str(whole(1000, 100)) == "lines 1,000 → 100 (-90.0%), within 30 %"
    assert str(whole(Decimal("10.00"), Decimal("15.00"))) == "lines 10.00 → 15.00 (+50.0%), within 30 %"
    assert str(whole(0, 1)) == "lines 0 → 1, within 30 %"
    assert str(whole(5, None)) == "lines 5 → nothing, within 30 %"
    told = judge(dv.gate("lines", within="10%", groups="2.5%"), of(1, 1), of(2, 1), ["key"])
    assert str(told) == "lines moves by more than 10 % in 1 of 2 groups, 2.5 % may"
