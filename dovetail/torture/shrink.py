"""A shorter list of actions that still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrunk(actions: Sequence[T], fails: Callable[[Sequence[T]], bool], *, in_time: Callable[[], bool]) -> list[T]:
    """The shortest list found for which `fails` held: by halves first, then without one at a time.

    What fails by chance may pass when it is played again: only a list that was seen to fail takes the place of another.

    >>> shrunk(range(20), lambda some: {3, 11} <= {*some}, in_time=lambda: True)
    [3, 11]
    """
    kept = list(actions)
    size = max(1, len(kept) // 2)
    while True:
        smaller = _without(kept, size, fails, in_time)
        if size == 1 and smaller == kept:
            return kept
        kept, size = smaller, max(1, size // 2)
        if not in_time():
            return kept


def _without(actions: list[T], size: int, fails: Callable[[Sequence[T]], bool], in_time: Callable[[], bool]) -> list[T]:
    """What is left when every run of `size` actions that is not needed is taken out, the last first."""
    kept = actions
    for start in reversed(range(0, len(actions), size)):
        fewer = kept[:start] + kept[start + size :]
        if not in_time():
            break
        if fewer and fails(fewer):
            kept = fewer
    return kept
