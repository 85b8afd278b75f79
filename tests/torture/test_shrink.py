"""Shrinking: what fails stays, what is not needed goes, and time is kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from dovetail.torture.shrink import shrunk


@given(st.sets(st.integers(0, 40), min_size=1, max_size=4), st.integers(41, 60))
def test_it_finds_exactly_what_makes_it_fail(needed: set[int], size: int) -> None:
    assert shrunk(range(size), lambda some: needed <= {*some}, in_time=lambda: True) == sorted(needed)


def test_a_list_takes_the_place_of_another_only_when_it_was_seen_to_fail() -> None:
    assert shrunk(range(8), lambda _: False, in_time=lambda: True) == [*range(8)]


def test_an_empty_list_is_never_played() -> None:
    played = list[Sequence[int]]()
    assert shrunk([1, 2], lambda some: played.append(some) is None, in_time=lambda: True) == [1]
    assert [] not in played


def test_no_list_is_played_once_time_is_up() -> None:
    left, played = count(3, -1), list[Sequence[int]]()

    def fails(some: Sequence[int]) -> bool:
        played.append(some)
        return False

    assert shrunk(range(50), fails, in_time=lambda: next(left) > 0) == [*range(50)]
    assert len(played) <= 3
