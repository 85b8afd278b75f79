"""Lengths of time as people write them: "15m", "1h", "10 seconds"; and of buckets in a question, "1w", "1mo" too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from dovetail.shared.errors import DeclarationError

DAY = 86400
UNITS = {
    "ms": 0.001, "millisecond": 0.001, "s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": DAY, "day": DAY,
}  # fmt: skip
CALENDAR: dict[str, tuple[int, Literal["w", "mo"]]] = {
    "w": (1, "w"), "week": (1, "w"), "mo": (1, "mo"), "month": (1, "mo"), "q": (3, "mo"), "quarter": (3, "mo"),
    "y": (12, "mo"), "year": (12, "mo"),
}  # fmt: skip
LONGEST = 10_000 * 366 * DAY
PACES = (0.05, 60.0)
"""Seconds that changes may be waited for at least, and at most, before they are sent."""


@dataclass(frozen=True)
class Span:
    """So many seconds, calendar weeks or calendar months, where the day at hand decides how long a month is.

    >>> str(Span(604_800)), str(Span(1, "w")), str(Span(6, "mo"))
    ('7d', '1w', '2q')
    """

    n: int
    unit: Literal["s", "w", "mo"] = "s"

    @property
    def longest(self) -> int:
        """The most seconds it takes, but for the hours by which clocks are put forward and back."""
        return self.n * {"s": 1, "w": 7 * DAY, "mo": 31 * DAY}[self.unit]

    @property
    def days(self) -> bool:
        """Whether it is whole days, weeks or months, which follow the wall clock."""
        return self.unit != "s" or self.n % DAY == 0

    def __str__(self) -> str:
        if self.unit == "s":
            return length(self.n)
        years_first = ((12, "y"), (3, "q"), (1, "mo")) if self.unit == "mo" else ((1, "w"),)
        return next(f"{self.n // n}{unit}" for n, unit in years_first if not self.n % n)


def parse(text: str) -> timedelta:
    """Raises DeclarationError for what is not a number and a unit.

    >>> parse("1h"), parse("200 milliseconds")
    (datetime.timedelta(seconds=3600), datetime.timedelta(microseconds=200000))
    """
    n, unit = _read(text)
    factor = UNITS.get(unit) or UNITS.get(unit.removesuffix("s"))
    if not factor:
        raise _no_length(text)
    return timedelta(seconds=n * factor)


def pace(text: str) -> float:
    """The least time between two things that are sent, in seconds; raises DeclarationError beyond 50ms to 60s.

    >>> pace("1s"), pace("250ms")
    (1.0, 0.25)
    """
    seconds = parse(text).total_seconds()
    if not PACES[0] <= seconds <= PACES[1]:
        raise DeclarationError(f"every={text} is no time from 50ms to 60s", next="every=1s")
    return seconds


def span(text: str) -> Span:
    """A length of time in whole seconds, or in weeks (`w`), months (`mo`), quarters (`q`) or years (`y`).

    Raises:
        DeclarationError: it is no such length, or none at all, or beyond what a calendar holds.

    >>> span("90m"), span("1 quarter")
    (Span(n=5400, unit='s'), Span(n=3, unit='mo'))
    """
    n, unit = _read(text)
    factor = CALENDAR.get(unit) or CALENDAR.get(unit.removesuffix("s"))
    if factor:
        found = Span(n * factor[0], factor[1])
    else:
        fixed = parse(text)
        found = Span(0 if fixed.microseconds else int(fixed.total_seconds()))
    if not 0 < found.longest <= LONGEST:
        raise DeclarationError(f"'{text}' is not a whole number of seconds, at least one, within 10,000 years")
    return found


def bucket_span(text: str) -> Span:
    """The length of the buckets of an answer: as stored buckets are, or weeks, or months that make years."""
    found = span(text)
    if found.unit == "s":
        return Span(bucket_seconds(text))
    if found.unit == "mo" and 12 % found.n and found.n % 12:
        raise DeclarationError(f"a bucket of '{text}' neither divides a year nor is whole years: use 1mo, 1q, 1y…")
    return found


def bucket_seconds(text: str) -> int:
    """The length of a stored bucket in seconds; it divides a day or is whole days, so that buckets never shift."""
    if _read(text)[1].removesuffix("s") in CALENDAR:
        raise DeclarationError(
            f"a stored bucket of '{text}' would differ between time zones",
            next=f"store 15m, 1h or 1d: bucket={text} can be asked",
        )
    fixed = parse(text)
    seconds = int(fixed.total_seconds())
    if seconds < 1 or fixed.microseconds or (DAY % seconds and seconds % DAY):
        raise DeclarationError(f"a bucket of '{text}' neither divides a day nor is whole days: use 15m, 1h, 6h, 1d…")
    return seconds


def length(seconds: int) -> str:
    """A length of time in its largest whole unit.

    >>> length(1800), length(86400), length(90)
    ('30m', '1d', '90s')
    """
    return next(
        f"{seconds // n}{unit}" for n, unit in ((DAY, "d"), (3600, "h"), (60, "m"), (1, "s")) if not seconds % n
    )


def _read(text: str) -> tuple[int, str]:
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*([a-z]+)\s*", text)
    if not match:
        raise _no_length(text)
    return int(match[1]), match[2]


def _no_length(text: str) -> DeclarationError:
    return DeclarationError(f"'{text}' is not a length of time: write a number and a unit, as in 15m, 1h, 10 seconds")


def ago(seconds: float) -> str:
    """An age as people say it.

    >>> ago(3.2), ago(600), ago(7200), ago(3 * DAY)
    ('3 s', '10 min', '2 h', '3 d')
    """
    for unit, size, least in (("d", DAY, 2 * DAY), ("h", 3600, 7200), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
