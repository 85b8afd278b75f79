"""Positions in a source's log: where batch hands over to speed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from dovetail.shared.errors import IntegrityError, QueryError

ROW_BITS = 40
"""Bits of an imported record's offset that tell its row; those above tell its file."""


class Position(Mapping[int, int]):
    """Offset per partition, exclusive: every record below it is included.

    A partition that is not named stands at 0: a partition new to a topic begins there.

    >>> Position({0: 5, 1: 7}).includes(1, 6), Position({0: 5}).includes(1, 0)
    (True, False)
    """

    __slots__ = ("_offsets",)

    def __init__(self, offsets: Mapping[int, int] | None = None) -> None:
        self._offsets = dict(sorted((offsets or {}).items()))
        bad = {p: o for p, o in self._offsets.items() if p < 0 or o < 0}
        if bad:
            raise IntegrityError(f"a position cannot be negative: {bad}")

    def __getitem__(self, partition: int) -> int:
        return self._offsets.get(partition, 0)

    def __iter__(self) -> Iterator[int]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, partition: object) -> bool:
        return partition in self._offsets

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Position):
            return NotImplemented
        return all(self[p] == other[p] for p in {*self, *other})

    def __hash__(self) -> int:
        return hash(tuple((p, o) for p, o in self._offsets.items() if o))

    def __str__(self) -> str:
        return "·".join(str(o) for o in self._offsets.values()) or "origin"

    def __repr__(self) -> str:
        return f"Position({self._offsets})"

    def includes(self, partition: int, offset: int) -> bool:
        """Whether the record at (partition, offset) lies below this position."""
        return offset < self[partition]

    def reaches(self, other: Position) -> bool:
        """Whether everything below `other` lies below this position too."""
        return all(self[p] >= o for p, o in other._offsets.items())

    def up_to(self, other: Position) -> Position:
        """The lower of the two in each partition.

        >>> Position({0: 5, 1: 7}).up_to(Position({0: 9, 1: 2}))
        Position({0: 5, 1: 2})
        """
        return Position({p: min(self[p], other[p]) for p in {*self, *other}})

    def at_least(self, other: Position) -> Position:
        """The higher of the two in each partition.

        >>> Position({0: 5, 1: 7}).at_least(Position({0: 9, 2: 1}))
        Position({0: 9, 1: 7, 2: 1})
        """
        return Position({p: max(self[p], other[p]) for p in {*self, *other}})

    def with_partitions(self, partitions: Mapping[int, int] | set[int]) -> Position:
        """This position naming each of `partitions` too, at 0 where it did not."""
        return Position({p: self[p] for p in {*self, *partitions}})

    def as_json(self) -> dict[str, int]:
        return {str(p): o for p, o in self._offsets.items()}

    @classmethod
    def from_json(cls, offsets: Mapping[str, int]) -> Position:
        return cls({int(p): int(o) for p, o in offsets.items()})


@dataclass(frozen=True)
class Range:
    """The records from `from_` (inclusive) to `to` (exclusive); raises IntegrityError where `to` lies below `from_`.

    Offsets have holes (transactions, compaction), so a range says which records, never how many.
    """

    from_: Position
    to: Position

    def __post_init__(self) -> None:
        if not self.to.reaches(self.from_):
            raise IntegrityError(f"a range runs backwards: from {self.from_!r} to {self.to!r}")

    @property
    def empty(self) -> bool:
        return self.from_ == self.to

    def partitions(self) -> list[tuple[int, int, int]]:
        """(partition, first offset, end offset) of each partition in which the range is not empty."""
        return [(p, self.from_[p], self.to[p]) for p in self.to if self.to[p] > self.from_[p]]

    def includes(self, partition: int, offset: int) -> bool:
        return not self.from_.includes(partition, offset) and self.to.includes(partition, offset)

    def overlap(self, other: Range) -> Range:
        """What lies in both.

        >>> str(Range(Position(), Position({0: 9})).overlap(Range(Position({0: 4}), Position({0: 20, 1: 5}))))
        '0@4..9'
        """
        first = Position({p: max(self.from_[p], other.from_[p]) for p in self.to})
        return Range(first, Position({p: max(o, min(self.to[p], other.to[p])) for p, o in first.items()}))

    @property
    def offsets(self) -> int:
        """The most records there can be in it."""
        return sum(end - first for _, first, end in self.partitions())

    def __str__(self) -> str:
        return " ".join(f"{p}@{a}..{b}" for p, a, b in self.partitions()) or "nothing"

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Range:
        """From texts `partition@first..end`, as it is written; raises QueryError for anything else.

        >>> str(Range.parse(["3@100..2000", "0@5..6"]))
        '0@5..6 3@100..2000'
        """
        found: dict[int, tuple[int, int]] = {}
        for text in texts:
            match = re.fullmatch(r"(\d{1,9})@(\d{1,18})\.\.(\d{1,18})", text)
            p, first, end = map(int, match.groups()) if match else (0, 0, 0)
            if first >= end or p in found:
                raise QueryError(f"'{text}' is not a range of its own: write partition@first..end, as in 3@100..2000")
            found[p] = first, end
        return cls(Position({p: a for p, (a, _) in found.items()}), Position({p: b for p, (_, b) in found.items()}))


@dataclass(frozen=True)
class RecordId:
    """One record's place: in a topic, written `partition@offset`; in an import, written `import:ID/FILE#ROW`.

    An imported record has the negative of its import's id for a partition, which no log has: so it lies in no range of
    a ledger, and above none of its cuts. Its offset is made of its file's number and its row, both from 1 on.
    """

    partition: int
    offset: int

    def __str__(self) -> str:
        if self.partition < 0:
            return f"import:{-self.partition}/{self.offset >> ROW_BITS}#{self.offset & ((1 << ROW_BITS) - 1)}"
        return f"{self.partition}@{self.offset}"

    @classmethod
    def imported(cls, of: int, file: int, row: int) -> RecordId:
        """The record of a row of an import.

        >>> str(RecordId.imported(3, file=1, row=17))
        'import:3/1#17'
        """
        return cls(-of, (file << ROW_BITS) + row)

    @classmethod
    def parse(cls, text: str) -> RecordId:
        """Raises QueryError when `text` is neither `partition@offset` nor `import:ID/FILE#ROW`.

        >>> RecordId.parse("2@3141"), RecordId.parse("import:3/1#17") == RecordId.imported(3, file=1, row=17)
        (RecordId(partition=2, offset=3141), True)
        """
        if match := re.fullmatch(r"import:([1-9][0-9]{0,8})/([1-9][0-9]{0,5})#([1-9][0-9]{0,11})", text):
            return cls.imported(*map(int, match.groups()))
        match = re.fullmatch(r"([0-9]{1,9})@([0-9]{1,18})", text)
        if not match:
            raise QueryError(
                f"'{text}' is not a record: write partition@offset, as in 2@3141, or import:ID/FILE#ROW of an import"
            )
        return cls(int(match[1]), int(match[2]))


def named(places: Sequence[RecordId], *, most: int) -> str:
    """The first of them, and how many more there are.

    >>> named([RecordId(0, 1), RecordId(0, 2), RecordId(1, 7)], most=2)
    '0@1, 0@2 and 1 more'
    """
    more = len(places) - most
    return ", ".join(map(str, places[:most])) + (f" and {more:,} more" if more > 0 else "")


def slices(span: Range, limit: int) -> list[Position]:
    """Positions that cut `span` into pieces of at most `limit` offsets, the last being its end.

    >>> slices(Range(Position({0: 0, 1: 5}), Position({0: 10, 1: 9})), 8)
    [Position({0: 4, 1: 9}), Position({0: 8, 1: 9}), Position({0: 10, 1: 9})]
    """
    step = max(1, limit // max(1, len(span.to)))
    cuts = []
    for n in count(1):
        cut = Position({p: min(span.from_[p] + n * step, o) for p, o in span.to.items()})
        cuts.append(cut)
        if cut == span.to:
            return cuts
    return cuts
