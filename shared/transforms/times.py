"""Text to moments, by the formats it may be written in."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dovetail.shared.caller import place
from dovetail.shared.errors import unknown
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep
from dovetail.shared.transforms.sql import identifier, text
from dovetail.shared.transforms.text import trimmed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LETTERS = {
    **dict.fromkeys("dHhkKms", range(1, 3)),
    **dict.fromkeys("ML", range(1, 5)),
    "y": range(1, 7),
    "D": range(1, 4),
    "S": range(1, 10),
    "G": range(1, 5),
    "a": range(1, 2),
    "z": range(1, 5),
    "V": range(2, 3),
    "O": (1, 4),
    **dict.fromkeys("XxZ", range(1, 6)),
}
"""What Spark reads times by, and how often a letter may stand in a row.

https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
"""
ZONES = frozenset("zVOXxZ")
_OFFSET = re.compile(r"[+-](0\d|1[0-7]):[0-5]\d")
_PART = re.compile(r"'(?:[^']|'')*'|(?P<letters>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<bracket>[\[\]])|[^A-Za-z'\[\]]+")


def parse_timestamps(columns: str | Sequence[str], *, formats: Sequence[str], zone: str = "UTC") -> Step:
    """Text to moments in time; null where no format fits.

    The formats are tried in order, and the first that fits counts: put `MM/dd/yyyy` and `dd/MM/yyyy` in the order in
    which they are likely, for a text may fit both. Blanks around a text are left out. What a format does not say is
    0:00 o'clock, or the first of January, or 1970.

    A text without a zone is in `zone`. An hour that its clocks leave out in spring is read as if they had not been set
    yet (02:30 is 03:30); of an hour that comes twice in autumn, the first is meant.

    Where a source gets its times as text, its `event_time` is a column that the transform makes: `rename` the text to
    that name first.

    Args:
        columns: which ones; text.
        formats: in Spark's letters, as in `"yyyy-MM-dd HH:mm:ss"`; with `[…]` around what may be missing, but for
            zones: write one format with it and one without.
        zone: as in `"Europe/Paris"` or `"+02:00"`.

    Example:
        >>> texts = [("2026-03-01 08:15",), ("1 Mar 2026 08:15 +0000",), ("soon",)]
        >>> reports = spark.createDataFrame(texts, "at string")
        >>> spellings = ["yyyy-MM-dd HH:mm", "d MMM yyyy HH:mm xx"]
        >>> reports.transform(dv.transforms.parse_timestamps("at", formats=spellings, zone="Europe/Paris")).show()
        +-------------------+
        |                 at|
        +-------------------+
        |2026-03-01 07:15:00|
        |2026-03-01 08:15:00|
        |               NULL|
        +-------------------+
    """
    given = Given("parse_timestamps", place())
    if isinstance(formats, str) or not isinstance(formats, Sequence) or not formats:
        raise given.refuse(f"formats={formats!r}: give a list of at least one, as in ['yyyy-MM-dd HH:mm:ss']")
    for pattern in formats:
        _check(given, pattern)
    if not _is_zone(str(zone)):
        close = difflib.get_close_matches(str(zone), zoneinfo.available_timezones(), n=1)
        hint = f" did you mean '{close[0]}'?" if close else ""
        raise given.refuse(f"unknown time zone '{zone}':{hint} Write it as in 'Europe/Paris' or '+02:00'")
    return ParseTimestamps(columns=given.columns(columns), formats=tuple(formats), zone=zone, where=given.where)


@dataclass(frozen=True, kw_only=True)
class ParseTimestamps(RowStep):
    name: ClassVar[str] = "parse_timestamps"
    columns: tuple[str, ...]
    formats: tuple[str, ...]
    zone: str

    def applied(self, rows: DataFrame) -> DataFrame:
        fields = self.found(rows, self.columns, kinds=["text"])
        return self.replaced(rows, {f.name: self._parsed(trimmed(identifier(f.name))) for f in fields})

    def _parsed(self, sql: str) -> str:
        return f"coalesce({', '.join([self._tried(sql, pattern) for pattern in self.formats])})"

    def _tried(self, sql: str, pattern: str) -> str:
        if _zoned(pattern):
            return f"try_to_timestamp({sql}, {text(pattern)})"
        # Read as if in UTC, which is written behind it: the session's own zone has no part in it. Then moved; the name
        # of a zone could be written there too, but one that is too new for the engine's Java would make it null.
        clock = f"try_to_timestamp(concat({sql}, ' UTC'), {text(f'{pattern} VV')})"
        return clock if self.zone == "UTC" else f"to_utc_timestamp({clock}, {text(self.zone)})"


def _is_zone(name: str) -> bool:
    """Whether it is an offset, or a name that Java has too: of those without a place, such as EST, it lacks some."""
    if "/" not in name or name.startswith(("posix/", "right/")):
        return name == "UTC" or bool(_OFFSET.fullmatch(name))
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _zoned(pattern: str) -> bool:
    return any(part["letter"] in ZONES for part in _PART.finditer(pattern) if part["letter"])


def _check(given: Given, pattern: object) -> None:
    """Refuses what Spark would only refuse at the first record."""
    if not isinstance(pattern, str) or not pattern.strip():
        raise given.refuse(f"{pattern!r} is no format")
    depth = end = 0
    for part in _PART.finditer(pattern):
        depth += {"[": 1, "]": -1}.get(part["bracket"] or "", 0)
        if part.start() != end or not 0 <= depth <= 1:
            break
        end = part.end()
        if part["letter"]:
            _check_letters(given, pattern, part["letters"], optional=depth > 0)
    if end != len(pattern) or depth:
        raise given.refuse(f"format '{pattern}': a quote or a bracket is not closed, or brackets stand in brackets")


def _check_letters(given: Given, pattern: str, letters: str, *, optional: bool) -> None:
    allowed = LETTERS.get(letters[0])
    if not allowed:
        hint = " Formats are Spark's, as in 'yyyy-MM-dd HH:mm:ss'" if "%" in pattern else ""
        raise given.refuse(
            f"format '{pattern}': {unknown('letter', letters[0], LETTERS)}.{hint} 'Text' stands in quotes"
        )
    if len(letters) not in allowed:
        raise given.refuse(f"format '{pattern}': '{letters}' has too many or too few letters")
    if optional and letters[0] in ZONES:
        raise given.refuse(f"format '{pattern}': the zone may be missing: write one format with it and one without")
