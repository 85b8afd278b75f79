"""Instants and buckets in a time zone. Stored buckets are in UTC; a day in Paris is a sum of them, or is refused."""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa

from dovetail.shared.errors import QueryError, unknown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS = 1_000_000
HOUR = 3600
REMEMBERED = 200_000
_EARLIEST, _LATEST = (int((datetime(y, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * MICROS for y in (2, 9999))


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Raises QueryError for a name that is not in the IANA database."""
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        what = unknown("time zone", name, known).split(" Known:")[0].rstrip(".:")
        raise QueryError(what, next="use an IANA name, as in tz=Europe/Paris") from None


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


def length(seconds: int) -> str:
    """A length of time in its largest whole unit.

    >>> length(1800), length(86400), length(90)
    ('30m', '1d', '90s')
    """
    return next(
        f"{seconds // n}{unit}" for n, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if not seconds % n
    )


class Calendar:
    """Buckets of `seconds` in a zone, made of stored ones of `stored_seconds`; times are microseconds since 1970.

    Each is named by its first instant. Those longer than an hour follow the wall clock from its midnight, so a day may
    have 23 or 25 hours; shorter ones follow the instants: the hour that the clock shows twice is two. Whole days are
    counted from 1970-01-01.
    """

    def __init__(self, name: str, seconds: int, stored_seconds: int) -> None:
        self.name, self.seconds, self.stored_seconds = name, seconds, stored_seconds
        self._zone, self._width = zone(name), seconds * MICROS
        self._starts: dict[int, int] = {}

    @property
    def utc(self) -> bool:
        return self.name == "UTC"

    def start(self, us: int) -> int:
        """The first instant of the bucket that `us` lies in."""
        if self.utc:
            return us - us % self._width
        return self._following_clock(us) if self.seconds > HOUR else self._following_instants(us)

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

    def _refused(self, start: int, fitting: int) -> QueryError:
        return QueryError(
            f"buckets of {length(self.seconds)} in {self.name} cannot be made of stored ones of "
            f"{length(self.stored_seconds)}: one begins at {iso(start, self.name)}, which is {iso(start)}",
            why=f"the largest stored bucket that can answer this is {length(fitting)}; nothing is rounded silently",
            next=f'declare the view with bucket="{length(fitting)}", or ask in UTC',
        )

    def _following_clock(self, us: int) -> int:
        local = us + _offset(self._zone, us)
        midnight = local - local % self._width
        before = _offset_on_clock(self._zone, midnight)
        start = midnight - before
        if _offset(self._zone, start) == before:
            return start
        return self._change(start - 24 * HOUR * MICROS, start)  # the clock was put forward over its start

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
def calendar(name: str, seconds: int, stored_seconds: int) -> Calendar:
    return Calendar(name, seconds, stored_seconds)


def on_boundary(what: str, us: int, seconds: int, name: str) -> int:
    """`us` if a stored bucket of `seconds` begins there; raises QueryError with the nearest instants where one does."""
    below = us - us % (seconds * MICROS)
    if below != us:
        above = below + seconds * MICROS
        raise QueryError(
            f"{what} {iso(us, name)} lies inside a stored bucket of {length(seconds)}",
            why="a part of a bucket is not known; nothing is rounded silently",
            next=f"{what}={iso(below, name)} or {what}={iso(above, name)}",
        )
    return us


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
