"""What a reader hands over at a time: rows, and the marks that say how far it has come with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeAlias

from dovetail.feeding.shape import Shape

ROWS, BYTES = 10_000, 16_000_000
"""Of one part at most, but for one row: it is one transaction, for which all readers wait."""

Marks: TypeAlias = Mapping[str, Any]
"""How far a feed has read: by name, of a file or of a reader, what it needs to go on there; kept in the log as JSON."""


@dataclass(frozen=True)
class Row:
    """A record to be, and where it comes from. `bad` says why the source would not decode it."""

    value: bytes
    place: str
    key: bytes | None = None
    bad: str = ""


@dataclass(frozen=True)
class Part:
    """Rows that become records in one transaction with the marks that say that they have.

    `shape` is that of what they are from, all of it; `of` tells people where that is.
    """

    of: str
    rows: list[Row]
    marks: Marks
    shape: Shape = field(default_factory=dict)


class Reader(Protocol):
    """What is fed from. Raises Mend where it is not what it was, ServiceMissing where it is not there."""

    settle: float
    """Seconds after which a second look finds what a first could not trust yet."""

    def parts(self, marks: Marks) -> Iterator[Part]:
        """What there is now beyond the marks, which are brought up to date between two parts."""
        ...

    def close(self) -> None: ...


def cut(rows: Iterator[Row]) -> Iterator[tuple[list[Row], bool]]:
    """The rows in pieces that fit a part, each with whether it is the last; one empty piece of none."""
    rest = next(rows, None)
    while True:
        piece, size = list[Row](), 0
        while rest is not None and len(piece) < ROWS and (not piece or size + len(rest.value) <= BYTES):
            piece.append(rest)
            size += len(rest.value)
            rest = next(rows, None)
        yield piece, rest is None
        if rest is None:
            return


def skipped(rows: Iterator[Row], n: int) -> Iterator[Row]:
    """The rows after the first `n`."""
    return islice(rows, n, None)
