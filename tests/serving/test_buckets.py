"""Buckets in time zones: days of 23 and 25 hours, hours shown twice, months, windows, what stored buckets cannot be."""

from __future__ import annotations

import calendar
import datetime as dt
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sql_oracle import floored

from dovetail.serving.buckets import EPOCH, Calendar, instant, iso, micros, on_boundary
from dovetail.shared.duration import bucket_span, span
from dovetail.shared.errors import QueryError

HOUR = 3600
ZONES = ["UTC", "Europe/Paris", "America/New_York", "America/Havana", "Asia/Beirut", "America/Sao_Paulo",
         "Pacific/Auckland", "Asia/Tokyo", "Africa/Cairo", "Asia/Tehran", "Australia/Lord_Howe"]  # fmt: skip
SINCE_1980 = st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2037, 12, 31)).map(
    lambda t: micros(t.replace(tzinfo=dt.UTC))
)


def at(text: str) -> int:
    return instant(text, "UTC")


def buckets(zone: str, bucket: str, stored: int = 60) -> Calendar:
    return Calendar(zone, bucket_span(bucket), stored)


@pytest.mark.parametrize(
    ("zone", "bucket", "inside", "start"),
    [
        ("UTC", "1d", "1969-12-31T23:00Z", "1969-12-31T00:00:00Z"),
        ("Europe/Paris", "1d", "2026-03-29T20:00Z", "2026-03-29T00:00:00+01:00"),  # 23 hours
        ("Europe/Paris", "1d", "2026-10-25T22:59Z", "2026-10-25T00:00:00+02:00"),  # 25 hours
        ("Europe/Paris", "1d", "2026-10-25T23:00Z", "2026-10-26T00:00:00+01:00"),
        ("Europe/Paris", "1h", "2026-10-25T00:30Z", "2026-10-25T02:00:00+02:00"),
        ("Europe/Paris", "1h", "2026-10-25T01:30Z", "2026-10-25T02:00:00+01:00"),  # the same hour on the clock
        ("Europe/Paris", "6h", "2026-10-25T04:59Z", "2026-10-25T00:00:00+02:00"),  # 7 hours
        ("Asia/Beirut", "1d", "2022-03-27T12:00Z", "2022-03-27T01:00:00+03:00"),  # a day without midnight
        ("America/Havana", "1d", "2025-11-02T12:00Z", "2025-11-02T00:00:00-04:00"),  # a day with two
        ("America/Toronto", "1d", "1919-03-31T12:00Z", "1919-03-31T00:30:00-04:00"),
        ("Australia/Lord_Howe", "1h", "2025-10-04T15:45Z", "2025-10-05T02:30:00+11:00"),
        ("UTC", "7d", "2026-03-01T12:00Z", "2026-02-26T00:00:00Z"),  # from a Thursday, as 1970 began
        ("UTC", "1w", "2026-03-01T12:00Z", "2026-02-23T00:00:00Z"),
        ("UTC", "1w", "1969-12-30T12:00Z", "1969-12-29T00:00:00Z"),
        ("UTC", "2w", "1970-01-06T12:00Z", "1969-12-29T00:00:00Z"),
        ("Europe/Paris", "1w", "2026-03-29T21:59Z", "2026-03-23T00:00:00+01:00"),
        ("Europe/Paris", "1w", "2026-03-29T22:00Z", "2026-03-30T00:00:00+02:00"),
        ("UTC", "1mo", "1969-12-31T23:59Z", "1969-12-01T00:00:00Z"),
        ("Europe/Paris", "1mo", "2026-03-31T21:59Z", "2026-03-01T00:00:00+01:00"),
        ("Europe/Paris", "1mo", "2026-03-31T22:00Z", "2026-04-01T00:00:00+02:00"),
        ("America/New_York", "1q", "2026-02-28T12:00Z", "2026-01-01T00:00:00-05:00"),
        ("Asia/Kolkata", "1y", "2025-12-31T18:30Z", "2026-01-01T00:00:00+05:30"),
        ("UTC", "10y", "1969-07-20T20:17Z", "1960-01-01T00:00:00Z"),
        ("Asia/Beirut", "1mo", "1984-10-01T12:00Z", "1984-10-01T00:00:00+03:00"),
        ("Pacific/Apia", "1w", "2011-12-31T00:00Z", "2011-12-26T00:00:00-10:00"),  # a week of six days
    ],
)
def test_a_bucket_begins_at_its_first_instant(zone: str, bucket: str, inside: str, start: str) -> None:
    assert iso(buckets(zone, bucket).start(at(inside)), zone) == start


@pytest.mark.parametrize(
    ("zone", "bucket", "start", "end"),
    [
        ("UTC", "1mo", "2026-02-01T00:00Z", "2026-03-01T00:00:00Z"),
        ("Europe/Paris", "1d", "2026-03-28T23:00Z", "2026-03-30T00:00:00+02:00"),
        ("Europe/Paris", "1h", "2026-10-25T00:00Z", "2026-10-25T02:00:00+01:00"),
        ("Europe/Paris", "1q", "2025-12-31T23:00Z", "2026-04-01T00:00:00+02:00"),
        ("Asia/Beirut", "1d", "2022-03-25T22:00Z", "2022-03-27T01:00:00+03:00"),
        ("Asia/Beirut", "1d", "2022-03-26T22:00Z", "2022-03-28T00:00:00+03:00"),
        ("Australia/Lord_Howe", "1h", "2026-04-04T14:00Z", "2026-04-05T01:30:00+10:30"),
        ("Australia/Lord_Howe", "1h", "2026-04-04T15:00Z", "2026-04-05T02:00:00+10:30"),  # half an hour
        ("America/St_Johns", "1h", "2006-04-02T03:30Z", "2006-04-02T01:01:00-02:30"),  # a minute
        ("Pacific/Apia", "1d", "2011-12-29T10:00Z", "2011-12-31T00:00:00+14:00"),  # the 30th never was
    ],
)
def test_a_bucket_ends_where_the_next_begins(zone: str, bucket: str, start: str, end: str) -> None:
    assert iso(buckets(zone, bucket).end(at(start)), zone) == end


SPANS = ["15m", "1h", "6h", "1d", "7d", "1w", "2w", "1mo", "1q", "1y"]


@given(SINCE_1980, st.sampled_from(ZONES), st.sampled_from(SPANS))
def test_buckets_follow_one_another_without_a_gap(us: int, zone: str, bucket: str) -> None:
    of = buckets(zone, bucket)
    start, end = of.start(us), of.end(of.start(us))
    assert start <= us < end
    assert all(of.start(t) == start for t in (start, (start + us) // 2, us, (us + end) // 2, end - 1))
    assert of.start(end) == end
    assert of.end(of.start(start - 1)) == start


def dated(bucket: str, day: dt.date) -> dt.date:
    """The first day of a bucket, by dates alone."""
    return {
        "1d": day,
        "7d": day - dt.timedelta((day - dt.date(1970, 1, 1)).days % 7),
        "1w": dt.date.fromisocalendar(*day.isocalendar()[:2], 1),
        "1mo": day.replace(day=1),
        "1q": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "1y": day.replace(month=1, day=1),
    }[bucket]


def midnight(day: dt.date, zone: str) -> int:
    """The first instant of a date: where there is no midnight, the first minute that there is."""
    tz = ZoneInfo(zone)
    found = dt.datetime.combine(day, dt.time(), tz)
    if found.astimezone(dt.UTC).astimezone(tz).replace(tzinfo=None) != found.replace(tzinfo=None):
        found = found.replace(fold=1).astimezone(dt.UTC).astimezone(tz)
        while found.date() < day:
            found = (found.astimezone(dt.UTC) + dt.timedelta(minutes=1)).astimezone(tz)
    return micros(found)


@given(
    SINCE_1980,
    st.sampled_from([*ZONES, "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"]),
    st.sampled_from(["1d", "7d", "1w", "1mo", "1q", "1y"]),
)
def test_buckets_of_days_begin_with_the_dates_of_the_calendar(us: int, zone: str, bucket: str) -> None:
    local = (EPOCH + dt.timedelta(microseconds=us)).astimezone(ZoneInfo(zone)).date()
    assert buckets(zone, bucket).start(us) == midnight(dated(bucket, local), zone)


@given(
    st.lists(SINCE_1980, min_size=1),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Asia/Tehran"]),
    st.sampled_from(["6h", "1d", "7d", "1w", "2w", "1mo", "1q", "1y"]),
)
def test_buckets_begin_where_duckdb_truncates_to(instants: list[int], zone: str, bucket: str) -> None:
    local = f"timezone('{zone}', make_timestamptz(us))"
    sql = f"SELECT epoch_us(timezone('{zone}', {floored(bucket, local)})) FROM (SELECT unnest(?) AS us)"
    of = buckets(zone, bucket)
    assert [of.start(us) for us in instants] == [s for (s,) in duckdb.execute(sql, [instants]).fetchall()]


@pytest.mark.parametrize(
    ("zone", "bucket", "window", "start", "since"),
    [
        ("UTC", "1d", "7d", "2026-03-07T00:00Z", "2026-03-01T00:00:00Z"),
        ("UTC", "1h", "6h", "2026-03-01T05:00Z", "2026-03-01T00:00:00Z"),
        ("UTC", "1d", "1mo", "2026-03-30T00:00Z", "2026-02-28T00:00:00Z"),  # up to the 31st: from the last of February
        ("UTC", "1d", "1mo", "2028-02-28T00:00Z", "2028-01-29T00:00:00Z"),
        ("UTC", "1mo", "1q", "2026-01-01T00:00Z", "2025-11-01T00:00:00Z"),
        ("UTC", "1w", "14d", "2026-03-02T00:00Z", "2026-02-23T00:00:00Z"),
        ("Europe/Paris", "1d", "7d", "2026-03-29T22:00Z", "2026-03-24T00:00:00+01:00"),  # over a day of 23 hours
        ("Europe/Paris", "1h", "7d", "2026-03-30T08:00Z", "2026-03-23T11:00:00+01:00"),  # back on the clock
        ("Europe/Paris", "1h", "6h", "2026-03-29T05:00Z", "2026-03-29T01:00:00+01:00"),  # six hours, not on the clock
        (
            "Europe/Paris",
            "6h",
            "12h",
            "2026-03-29T04:00Z",
            "2026-03-29T00:00:00+01:00",
        ),  # two buckets, of 5 and 6 hours
        ("Europe/Paris", "1h", "1d", "2026-03-29T23:00Z", "2026-03-29T03:00:00+02:00"),  # put forward over 02:00
        ("Europe/Paris", "1h", "1d", "2026-10-25T23:00Z", "2026-10-25T01:00:00+02:00"),
        ("Europe/Paris", "1h", "1d", "2026-10-26T00:00Z", "2026-10-25T02:00:00+02:00"),  # 02:00 was shown twice
        ("Asia/Beirut", "1d", "2d", "2022-03-26T22:00Z", "2022-03-26T00:00:00+02:00"),
        ("Asia/Beirut", "1d", "2d", "2022-03-27T21:00Z", "2022-03-27T01:00:00+03:00"),
        ("Asia/Beirut", "1d", "7d", "2022-03-25T22:00Z", "2022-03-20T00:00:00+02:00"),  # ends at a midnight never shown
    ],
)
def test_a_window_goes_back_from_the_end_of_its_bucket(
    zone: str, bucket: str, window: str, start: str, since: str
) -> None:
    assert iso(buckets(zone, bucket).reach(at(start), span(window)), zone) == since


@given(SINCE_1980, st.sampled_from(ZONES), st.integers(1, 800), st.booleans())
def test_windows_of_days_and_months_go_back_by_dates(us: int, zone: str, n: int, months: bool) -> None:
    days = buckets(zone, "1d")
    start = days.start(us)
    following = (EPOCH + dt.timedelta(microseconds=start)).astimezone(ZoneInfo(zone)).date() + dt.timedelta(1)
    year, month = divmod(following.year * 12 + following.month - 1 - n, 12)
    last = calendar.monthrange(year, month + 1)[1]
    back = dt.date(year, month + 1, min(following.day, last)) if months else following - dt.timedelta(n)
    assert days.reach(start, span(f"{n}{'mo' if months else 'd'}")) == midnight(back, zone)


@pytest.mark.parametrize(
    ("zone", "stored", "largest"),
    [("Asia/Kolkata", HOUR, "30m"), ("Asia/Kathmandu", HOUR, "15m"), ("Europe/Paris", 24 * HOUR, "1h")],
)
@pytest.mark.parametrize("bucket", ["1d", "1w", "1mo", "1q", "1y"])
def test_buckets_that_stored_ones_cannot_make_are_refused_with_the_largest_that_can(
    zone: str, stored: int, largest: str, bucket: str
) -> None:
    midnights = [at("2026-01-01"), at("2026-07-01")]
    with pytest.raises(QueryError) as refused:
        buckets(zone, bucket, stored).starts(midnights)
    assert refused.value.why.startswith(f"the largest stored bucket that can answer this is {largest};")
    assert buckets(zone, bucket, _seconds(largest)).starts(midnights)


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
    for bucket, start in (("1d", "14645-06-29T23"), ("1mo", "14645-05-31T23"), ("1y", "14644-12-31T23")):
        assert iso(buckets("Europe/Paris", bucket).start(400_000_000_000_000_000)).startswith(start)
