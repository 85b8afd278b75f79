"""Lengths of time as people write them: "15m", "1h", "10 seconds"."""

from __future__ import annotations

import re
from datetime import timedelta

from dovetail.shared.errors import DeclarationError

UNITS = {
    "ms": 0.001, "millisecond": 0.001, "s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86400, "day": 86400,
}  # fmt: skip
DAY = 86400


def parse(text: str) -> timedelta:
    """Raises DeclarationError for what is not a number and a unit.

    >>> parse("1h"), parse("200 milliseconds")
    (datetime.timedelta(seconds=3600), datetime.timedelta(microseconds=200000))
    """
    match = re.fullmatch(r"\s*(\d{1,9})\s*([a-z]+)\s*", text)
    unit = match and (UNITS.get(match[2]) or UNITS.get(match[2].removesuffix("s")))
    if not match or not unit:
        raise DeclarationError(
            f"'{text}' is not a length of time: write a number and a unit, as in 15m, 1h, 10 seconds"
        )
    return timedelta(seconds=int(match[1]) * unit)


def bucket_seconds(text: str) -> int:
    """The length of a bucket in seconds; it divides a day or is whole days, so that buckets in UTC never shift."""
    length = parse(text)
    seconds = int(length.total_seconds())
    if seconds < 1 or length.microseconds or (DAY % seconds and seconds % DAY):
        raise DeclarationError(f"a bucket of '{text}' neither divides a day nor is whole days: use 15m, 1h, 6h, 1d…")
    return seconds
