"""Who is at fault, found by halves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.shared.failing import MOST, NotAlone, culprits


@given(st.data())
def test_every_one_that_fails_alone_is_found_and_no_other(data):
    n = data.draw(st.integers(1, 3000))
    at_fault = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=MOST))
    asked = []

    def raised(low, high):
        asked.append((low, high))
        return next((f"of {i}" for i in sorted(at_fault) if low <= i < high), "")

    assert culprits(n, raised) == {i: f"of {i}" for i in at_fault}
    assert len(asked) <= 2 * len(at_fault) * n.bit_length() + 2


def test_what_fails_only_together_has_no_culprit():
    with pytest.raises(NotAlone):
        culprits(100, lambda low, high: "too large" if low <= 10 and high > 90 else "")


def test_more_than_the_most_are_not_looked_for():
    asked = []

    def raised(low, high):
        asked.append((low, high))
        return "all of them"

    with pytest.raises(NotAlone):
        culprits(100_000, raised, most=10)
    assert len(asked) < 400
