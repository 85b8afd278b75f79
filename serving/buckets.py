"""Instants and buckets in a time zone. Stored buckets are in UTC; a day in Paris is a sum of them, or is refused."""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa

from dovetail.shared.duration import Span, length
from dovetail.shared.errors import QueryError, unknown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS = 1_000_000
HOUR = 3600
DAY = 86400 * MICROS
MONDAY = -3 * DAY
"""The Monday of the week of 1970-01-01."""
ERA = 146_097 * DAY
"""The calendar repeats itself every 400 years; Python's own ends with the year 9999, Spark's does not."""
REMEMBERED = 200_000
_EARLIEST, _LATEST = (int((datetime(y, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * MICROS for y in (2, 9999))


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Raises QueryError for a name that is not in the IANA database."""
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        what = unknown("time zone", name, _zones()).split(" Known:")[0].rstrip(".:")
        raise QueryError(what, next="use an IANA name, as in tz=Europe/Paris") from None


@cache
def _zones() -> set[str]:
    return zoneinfo.available_timezones()  # which looks through folders


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def instant(text: str, name: str) -> int:
    """The microseconds since 1970 of an ISO 8601 date or datetime; without an offset it is in the zone `name`."""
    try:
        moment = _parsed(text)
        return micros(moment if moment.tzinfo else moment.replace(tzinfo=zone(name)))
    except (ValueError, OverflowError):
        raise QueryError(f"'{text}' is not a time: write 2026-03-01, 2026-03-01T06:00 or 2026-03-01T06:00Z") from None


def iso(us: int, name: str = "UTC") -> str:
    """An instant in a zone, with its offset: `2026-03-01T00:00:00+01:00`, and `Z` in UTC."""
    try:
        local = (EPOCH + timedelta(microseconds=us)).astimezone(zone(name))
    except OverflowError:  # beyond the year 9999, which Spark allows
        text: str = pa.scalar(us, pa.timestamp("us")).cast(pa.string()).as_py()
        return text.replace(" ", "T") + "Z"
    return local.isoformat().removesuffix("+00:00") + "Z" if name == "UTC" else local.isoformat()


class Calendar:
    """Buckets of a `span` in a zone, made of stored ones of `stored_seconds`; times are microseconds since 1970.

    Each is named by its first instant. Those longer than an hour follow the wall clock from its midnight, so a day may
    have 23 or 25 hours; shorter ones follow the instants: the hour that the clock shows twice is two. Whole days are
    counted from 1970-01-01. Weeks begin on Monday and are counted from that of 1970-01-01. Months are counted from the
    year 0: quarters are those of the year, ten years are a decade.
    """

    def __init__(self, name: str, span: Span, stored_seconds: int) -> None:
        self.name, self.span, self.stored_seconds = name, span, stored_seconds
        self._zone, self._width = zone(name), span.longest * MICROS
        self._origin = MONDAY if span.unit == "w" else 0
        self._on_clock = span.unit != "s" or span.n > HOUR
        self._starts: dict[int, int] = {}

    @property
    def grid(self) -> tuple[int, int] | None:
        """Width and origin of buckets that are all equally long, as they are in UTC; None where they are not."""
        return (self._width, self._origin) if self.name == "UTC" and self.span.unit != "mo" else None

    def start(self, us: int) -> int:
        """The first instant of the bucket that `us` lies in."""
        if self.grid:
            return us - (us - self._origin) % self._width
        return self._instant(self._floored(self._clock(us))) if self._on_clock else self._following_instants(us)

    def end(self, start: int) -> int:
        """The first instant after the bucket that begins at `start`."""
        if self.grid:
            return start + self._width
        if self._on_clock:
            return self._instant(self._end_on_clock(start))
        end = self.start(start + self._width)
        while (before := self.start(end - 1)) > start:  # where the clock was changed, shorter ones lie between
            end = before
        return end

    def reach(self, start: int, window: Span) -> int:
        """The first instant of the window that ends with the bucket that begins at `start`.

        Whole days, weeks and months go back on the wall clock, and so does any window over buckets that follow it; a
        month back from the 31st is the last of that month. Other windows are as long as they say. One that would begin
        where the clock was put forward begins there; where it shows a time twice, at the first.
        """
        if self._on_clock:  # the end as it would have been shown, had the clock not been put forward over it
            return self._instant(_moved(self._end_on_clock(start), window, -1))
        end = self.end(start)
        if window.days:
            return self.start(self._instant(_moved(self._clock(end), window, -1)))
        return self.start(end - window.longest * MICROS)

    def starts(self, stored: Iterable[int]) -> dict[int, int]:
        """The bucket of each stored bucket.

        Raises:
            QueryError: one of these does not begin or end where a stored bucket does, with the largest that would.
        """
        found, fitting, torn = dict[int, int](), self.stored_seconds, list[int]()
        for us in stored:
            if us not in self._starts:
                first, last = self.start(us), self.start(us + self.stored_seconds * MICROS - 1)
                if first != last or first % (self.stored_seconds * MICROS):
                    fitting = math.gcd(fitting, first // MICROS, last // MICROS)
                    torn.append(last)
                    continue
                if len(self._starts) >= REMEMBERED:
                    self._starts.clear()
                self._starts[us] = first
            found[us] = self._starts[us]
        if torn:
            raise self._refused(min(torn), fitting)
        return found

    def check_start(self, what: str, us: int) -> None:
        """Raises QueryError, with the nearest instants where one of these buckets begins, if none does at `us`."""
        below = self.start(us)
        if below != us:
            raise _inside(what, us, f"a bucket of {self.span}", (below, self.end(below)), self.name)

    def _refused(self, start: int, fitting: int) -> QueryError:
        return QueryError(
            f"buckets of {self.span} in {self.name} cannot be made of stored ones of "
            f"{length(self.stored_seconds)}: one begins at {iso(start, self.name)}, which is {iso(start)}",
            why=f"the largest stored bucket that can answer this is {length(fitting)}; nothing is rounded silently",
            next=f'declare the view with bucket="{length(fitting)}", or ask in UTC',
        )

    def _clock(self, us: int) -> int:
        """What the clock shows, as microseconds since it would have shown 1970-01-01 in UTC."""
        return us if self.name == "UTC" else us + _offset(self._zone, us)

    def _instant(self, local: int) -> int:
        """When the clock first shows `local`, or is put forward over it."""
        if self.name == "UTC":
            return local
        before = _offset_on_clock(self._zone, local)
        instant = local - before
        if _offset(self._zone, instant) == before:
            return instant
        return self._change(instant - 24 * HOUR * MICROS, instant)

    def _floored(self, local: int) -> int:
        if self.span.unit == "mo":
            month, _ = _month(local)
            return _first_of(month - month % self.span.n)
        return local - (local - self._origin) % self._width

    def _end_on_clock(self, start: int) -> int:
        return _moved(self._floored(self._clock(start)), self.span, 1)

    def _following_instants(self, us: int) -> int:
        offset = _offset(self._zone, us)
        local = us + offset
        start = local - local % self._width - offset
        return start if _offset(self._zone, start) == offset else self._change(start, us)

    def _change(self, low: int, high: int) -> int:
        """The instant in (low, high] from which on the offset is that of `high`."""
        after = _offset(self._zone, high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _offset(self._zone, middle) == after else (middle, high)
        return high


@lru_cache(maxsize=64)
def calendar(name: str, span: Span, stored_seconds: int) -> Calendar:
    return Calendar(name, span, stored_seconds)


def on_boundary(what: str, us: int, seconds: int, name: str) -> int:
    """`us` if a stored bucket of `seconds` begins there; raises QueryError with the nearest instants where one does."""
    below = us - us % (seconds * MICROS)
    if below != us:
        raise _inside(what, us, f"a stored bucket of {length(seconds)}", (below, below + seconds * MICROS), name)
    return us


def _inside(what: str, us: int, bucket: str, nearest: tuple[int, int], name: str) -> QueryError:
    return QueryError(
        f"{what} {iso(us, name)} lies inside {bucket}",
        why="a part of a bucket is not known; nothing is rounded silently",
        next=" or ".join(f"{what}={iso(n, name)}" for n in nearest),
    )


def _moved(local: int, span: Span, sign: Literal[1, -1]) -> int:
    """`local` a span later or earlier on the clock; a day that the month then does not have is its last."""
    if span.unit != "mo":
        return local + sign * span.longest * MICROS
    month, rest = _month(local)
    first, following = (_first_of(month + sign * span.n + i) for i in (0, 1))
    return first + min(rest, following - first - DAY + rest % DAY)


def _month(local: int) -> tuple[int, int]:
    """The number of months from the year 0 to that of `local`, and what has passed of it."""
    era, within = divmod(local, ERA)
    moment = EPOCH + timedelta(microseconds=within)
    month = era * 4800 + moment.year * 12 + moment.month - 1
    return month, local - _first_of(month)


def _first_of(month: int) -> int:
    era, within = divmod(month - 1970 * 12, 4800)
    return era * ERA + micros(datetime(1970 + within // 12, within % 12 + 1, 1, tzinfo=UTC))


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # in a URL a plus sign means a blank
        return datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text))


def _offset(tz: ZoneInfo, us: int) -> int:
    moment = EPOCH + timedelta(microseconds=min(max(us, _EARLIEST), _LATEST))
    return (moment.astimezone(tz).utcoffset() or timedelta()) // timedelta(microseconds=1)


def _offset_on_clock(tz: ZoneInfo, local: int) -> int:
    """The offset when the clock shows `local`: the first time where it does so twice, that before a jump over it."""
    shown = EPOCH + timedelta(microseconds=min(max(local, _EARLIEST), _LATEST))
    return (shown.replace(tzinfo=tz).utcoffset() or timedelta()) // timedelta(microseconds=1)
