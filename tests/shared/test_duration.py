"""Lengths of time: what can be written, what a bucket may be, how they are said again."""

from __future__ import annotations

import pytest

from dovetail.shared.duration import Span, bucket_seconds, bucket_span, length, span
from dovetail.shared.errors import DeclarationError


@pytest.mark.parametrize(("seconds", "text"), [(1800, "30m"), (86400, "1d"), (90, "90s"), (7200, "2h")])
def test_lengths_are_written_in_their_largest_whole_unit(seconds: int, text: str) -> None:
    assert length(seconds) == text


@pytest.mark.parametrize(
    ("text", "found", "said"),
    [
        ("90 minutes", Span(5400), "90m"),
        ("7d", Span(604_800), "7d"),
        ("1w", Span(1, "w"), "1w"),
        ("2 weeks", Span(2, "w"), "2w"),
        ("1mo", Span(1, "mo"), "1mo"),
        ("18 months", Span(18, "mo"), "6q"),
        ("1q", Span(3, "mo"), "1q"),
        ("4q", Span(12, "mo"), "1y"),
        ("10 years", Span(120, "mo"), "10y"),
    ],
)
def test_spans_are_seconds_weeks_or_months(text: str, found: Span, said: str) -> None:
    assert (span(text), str(span(text))) == (found, said)
    assert span(said) == found


@pytest.mark.parametrize(
    "text", ["0s", "0mo", "500ms", "1500ms", "10001y", "999999999d", "1", "w", "-1d", "1.5d", "1Mo"]
)
def test_a_span_is_whole_seconds_within_a_calendar(text: str) -> None:
    with pytest.raises(DeclarationError, match=f"'{text}' is not a"):
        span(text)


@pytest.mark.parametrize("text", ["1h", "6h", "1d", "7d", "1w", "3w", "1mo", "2mo", "1q", "2q", "1y", "10y"])
def test_a_bucket_divides_a_day_or_a_year_or_is_whole_ones(text: str) -> None:
    assert str(bucket_span(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7h", "a bucket of '7h' neither divides a day nor is whole days"),
        ("25h", "neither divides a day nor is whole days"),
        ("5mo", "a bucket of '5mo' neither divides a year nor is whole years"),
        ("13mo", "neither divides a year nor is whole years"),
        ("3q", "neither divides a year nor is whole years"),
    ],
)
def test_a_bucket_that_would_shift_is_refused(text: str, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        bucket_span(text)


@pytest.mark.parametrize("text", ["1w", "1mo", "1 quarter", "2y"])
def test_a_stored_bucket_is_as_long_everywhere(text: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        bucket_seconds(text)
    assert refused.value.what == f"a stored bucket of '{text}' would differ between time zones"
    assert refused.value.next == f"store 15m, 1h or 1d: bucket={text} can be asked"
