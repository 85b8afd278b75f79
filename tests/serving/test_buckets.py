"""Buckets in time zones: days of 23 and 25 hours, hours shown twice, questions that stored buckets cannot answer."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.serving.buckets import Calendar, instant, iso, length, micros, on_boundary
from dovetail.shared.errors import QueryError

HOUR, DAY = 3600, 86400
ZONES = ["UTC", "Europe/Paris", "America/New_York", "America/Havana", "Asia/Beirut", "America/Sao_Paulo",
         "Pacific/Auckland", "Asia/Tokyo", "Africa/Cairo", "Asia/Tehran", "Australia/Lord_Howe"]  # fmt: skip
SINCE_1980 = st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2037, 12, 31)).map(
    lambda t: micros(t.replace(tzinfo=dt.UTC))
)


def at(text: str) -> int:
    return instant(text, "UTC")


@pytest.mark.parametrize(
    ("zone", "seconds", "inside", "start"),
    [
        ("UTC", DAY, "1969-12-31T23:00Z", "1969-12-31T00:00:00Z"),
        ("Europe/Paris", DAY, "2026-03-29T20:00Z", "2026-03-29T00:00:00+01:00"),  # 23 hours
        ("Europe/Paris", DAY, "2026-10-25T22:59Z", "2026-10-25T00:00:00+02:00"),  # 25 hours
        ("Europe/Paris", DAY, "2026-10-25T23:00Z", "2026-10-26T00:00:00+01:00"),
        ("Europe/Paris", HOUR, "2026-10-25T00:30Z", "2026-10-25T02:00:00+02:00"),
        ("Europe/Paris", HOUR, "2026-10-25T01:30Z", "2026-10-25T02:00:00+01:00"),  # the same hour on the clock
        ("Europe/Paris", 6 * HOUR, "2026-10-25T04:59Z", "2026-10-25T00:00:00+02:00"),  # 7 hours
        ("Asia/Beirut", DAY, "2022-03-27T12:00Z", "2022-03-27T01:00:00+03:00"),  # a day without midnight
        ("America/Havana", DAY, "2025-11-02T12:00Z", "2025-11-02T00:00:00-04:00"),  # a day with two
        ("America/Toronto", DAY, "1919-03-31T12:00Z", "1919-03-31T00:30:00-04:00"),
        ("Australia/Lord_Howe", HOUR, "2025-10-04T15:45Z", "2025-10-05T02:30:00+11:00"),
    ],
)
def test_a_bucket_begins_at_its_first_instant(zone: str, seconds: int, inside: str, start: str) -> None:
    assert iso(Calendar(zone, seconds, 60).start(at(inside)), zone) == start


@given(SINCE_1980, st.sampled_from(ZONES))
def test_a_day_holds_exactly_the_instants_of_one_local_date(us: int, zone: str) -> None:
    def date(us: int) -> dt.date:
        return dt.datetime.fromisoformat(iso(us, zone)).astimezone(ZoneInfo(zone)).date()

    days = Calendar(zone, DAY, 60)
    start = days.start(us)
    assert start <= us
    assert days.start(start) == start
    assert date(start) == date(us)
    assert date(start - 1) < date(us)


@given(SINCE_1980, st.sampled_from(ZONES), st.sampled_from([900, 1800, HOUR, 6 * HOUR, DAY, 7 * DAY]))
def test_buckets_follow_one_another_without_a_gap(us: int, zone: str, seconds: int) -> None:
    calendar = Calendar(zone, seconds, 60)
    start = calendar.start(us)
    before = calendar.start(start - 1)
    assert before < start <= us
    assert calendar.start(before) == before
    assert all(calendar.start(t) == start for t in (start, (start + us) // 2, us))


@pytest.mark.parametrize(
    ("zone", "stored", "largest"),
    [("Asia/Kolkata", HOUR, "30m"), ("Asia/Kathmandu", HOUR, "15m"), ("Europe/Paris", DAY, "1h")],
)
def test_days_that_stored_buckets_cannot_make_are_refused_with_the_largest_that_can(
    zone: str, stored: int, largest: str
) -> None:
    midnights = [at("2026-01-01"), at("2026-07-01")]
    with pytest.raises(QueryError) as refused:
        Calendar(zone, DAY, stored).starts(midnights)
    assert refused.value.why.startswith(f"the largest stored bucket that can answer this is {largest};")
    assert Calendar(zone, DAY, _seconds(largest)).starts(midnights)


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"m": 60, "h": HOUR}[text[-1]]


def test_a_time_inside_a_stored_bucket_is_refused_with_the_nearest_boundaries() -> None:
    with pytest.raises(QueryError) as refused:
        on_boundary("start", instant("2026-03-01T00:20", "Europe/Paris"), HOUR, "Europe/Paris")
    assert refused.value.next == "start=2026-03-01T00:00:00+01:00 or start=2026-03-01T01:00:00+01:00"


def test_times_are_read_in_the_zone_unless_they_say_otherwise() -> None:
    assert iso(instant("2026-03-01", "Europe/Paris")) == "2026-02-28T23:00:00Z"
    assert iso(instant("2026-03-01T00:00Z", "Europe/Paris")) == "2026-03-01T00:00:00Z"
    assert iso(instant("2026-03-01T00:00:00 02:00", "UTC")) == "2026-02-28T22:00:00Z"  # a plus sign in a URL


def test_instants_beyond_the_year_9999_are_written_too() -> None:
    assert iso(400_000_000_000_000_000) == "14645-06-30T15:06:40.000000Z"
    assert Calendar("Europe/Paris", DAY, HOUR).start(400_000_000_000_000_000) < 400_000_000_000_000_000


@pytest.mark.parametrize(("seconds", "text"), [(1800, "30m"), (86400, "1d"), (90, "90s"), (7200, "2h")])
def test_lengths_are_written_in_their_largest_whole_unit(seconds: int, text: str) -> None:
    assert length(seconds) == text
