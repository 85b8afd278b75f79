"""The ledger: per source, the one ordered list of what happened to its log.

Pure rules and the seam to storage; `ledger_table.py` keeps it in Delta.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NewType, Protocol

from dovetail.shared.errors import Busy, IntegrityError, UserCodeError
from dovetail.shared.position import Position, Range

CommitId = NewType("CommitId", str)
VersionId = NewType("VersionId", str)
"""A view and the fingerprint of one of its versions: `sales@3f2a9c0d41e7b652`."""

Kind = Literal["open", "attach", "detach", "commit", "lost", "supersede", "forget"]


class Judged(NamedTuple):
    """A rule by its name, and what it did with those that broke it: both may change while its source lives on."""

    rule: str
    otherwise: str


Stats = Mapping[str, Mapping[str, float]]
"""By column what rules on a commit need of it: `nulls`; `n` and `sum` of its values."""


class LostRace(Busy):
    """Another writer took this place in the ledger or manifest first: read again and decide again."""


class Fenced(Busy):
    """A newer epoch was opened: this writer was paused or replaced and must stop."""


def view_of(version: VersionId) -> str:
    """The name of the view that a version is of."""
    return version.split("@")[0]


class VersionFails(UserCodeError):
    """A version cannot be had of a range, and that is not because of a few records of it."""

    def __init__(self, version: VersionId, raised: str) -> None:
        super().__init__(f"{version} raises {raised}, and no few records are at fault", next="dovetail check --deep")
        self.version, self.raised = version, raised


@dataclass(frozen=True)
class Books:
    """Records of one commit: consumed = decoded + quarantined, decoded = repeats + failed + dropped + offered.

    Quarantined are those that could not be read, and those that broke a rule which says so; failed those that made at
    least one version raise, which the other versions count all the same.
    """

    consumed: int = 0
    decoded: int = 0
    quarantined: int = 0
    repeats: int = 0
    failed: int = 0
    offered: int = 0
    dropped: int = 0

    def check(self) -> None:
        """Raises IntegrityError when the books do not balance."""
        accounted = self.repeats + self.failed + self.dropped + self.offered
        if self.consumed != self.decoded + self.quarantined or self.decoded != accounted:
            raise IntegrityError(f"the books do not balance: {self}")

    @property
    def seen(self) -> int:
        """Those that views see, be it that one raises for them."""
        return self.offered + self.failed

    def __add__(self, other: Books) -> Books:
        return Books(*(a + b for a, b in zip(_figures(self), _figures(other), strict=True)))


@dataclass(frozen=True)
class LedgerRow:
    """One thing that happened. Rows with a range are commits; open, attach, detach, supersede and forget have none.

    `versions` are those in force from this row on, each with the number of state rows this commit holds for it.
    `newest` is the largest Kafka timestamp in the range, in milliseconds. `at` is for people; nothing depends on it.
    `decoder` names how the records were decoded and judged, `broken` counts by rule what broke it (a rule on a whole
    commit counts once), `stats` is what such rules look back at. `failing` counts by version the records that made it
    raise. `horizon` is how far, in milliseconds, repeats were looked for; None where they were not, or before format 4.
    """

    seq: int
    epoch: int
    kind: Kind
    range: Range
    versions: Mapping[VersionId, int]
    topic_id: str
    commit_id: CommitId = field(default_factory=lambda: new_commit_id())
    books: Books = Books()
    newest: int | None = None
    note: str = ""
    at: float = 0.0
    decoder: str = ""
    broken: Mapping[Judged, int] = field(default_factory=dict)
    stats: Stats = field(default_factory=dict)
    failing: Mapping[VersionId, int] = field(default_factory=dict)
    horizon: int | None = None

    @property
    def to(self) -> Position:
        return self.range.to


class LedgerStore(Protocol):
    """Where a ledger is kept."""

    def first(self) -> LedgerRow | None:
        """The row at the origin, or None before the source was first seen."""

    def last(self) -> LedgerRow | None:
        """The newest row, or None before the source was first seen."""

    def rows(self, after: int = -1) -> Sequence[LedgerRow]:
        """The rows with seq > `after`, in order; raises IntegrityError on a gap or overlap."""

    def append(self, row: LedgerRow) -> None:
        """Appends `row` if and only if the last row is `row.seq - 1`; raises LostRace otherwise."""


def new_commit_id() -> CommitId:
    """Fresh for every attempt (rule 1): what a crashed attempt wrote can never become visible."""
    return CommitId(uuid.uuid4().hex)


def follows(previous: LedgerRow | None, row: LedgerRow) -> None:
    """Raises IntegrityError unless `row` may stand right after `previous` (rule 9)."""
    if previous is None:
        if row.seq != 0 or not row.range.empty:
            raise IntegrityError(f"a ledger begins with seq 0 and an empty range at the origin, not with {row}")
        return
    if row.seq != previous.seq + 1:
        raise IntegrityError(f"the ledger jumps from seq {previous.seq} to {row.seq}")
    if row.range.from_ != previous.to:
        what = "repeats" if previous.to.reaches(row.range.from_) else "skips"
        raise IntegrityError(
            f"ledger seq {row.seq} {what} records: seq {previous.seq} ends at {previous.to!r}, "
            f"this begins at {row.range.from_!r}"
        )
    if row.kind not in ("commit", "lost") and not row.range.empty:
        raise IntegrityError(f"ledger seq {row.seq} is a row of kind {row.kind}: its range is empty, not {row.range}")
    row.books.check()


def checked(rows: Iterable[LedgerRow], previous: LedgerRow | None = None) -> list[LedgerRow]:
    """The rows in order of seq, each verified to follow the one before; `previous` may be unknown for a slice."""
    ordered = sorted(rows, key=lambda r: r.seq)
    for row in ordered:
        if previous is not None or row.seq == 0:
            follows(previous, row)
        previous = row
    return ordered


def covered(version: VersionId, seq: int, rows: Sequence[LedgerRow]) -> bool:
    """Whether a version with a run up to `seq` answers for the whole of `rows` (rule 5).

    Every row in (seq, n] must name it, and the last row too: rows that a version missed are in no table of its.
    """
    return bool(rows) and all(version in r.versions for r in rows if r.seq > seq) and version in rows[-1].versions


def until_detached(version: VersionId, rows: Sequence[LedgerRow]) -> Sequence[LedgerRow]:
    """The rows up to the one that detached the version, from one on that names it.

    What it answers then is late, and right for where it ends.
    """
    end = next((i for i, row in enumerate(rows) if row.kind == "detach" and version not in row.versions), len(rows))
    return rows[:end]


def visible(version: VersionId, rows: Iterable[LedgerRow], *, after: int) -> dict[CommitId, int]:
    """The commits whose states count for `version` above seq `after`, each with its number of state rows (rule 1)."""
    return {r.commit_id: r.versions[version] for r in rows if r.seq > after and r.versions.get(version)}


def _figures(b: Books) -> tuple[int, ...]:
    return (b.consumed, b.decoded, b.quarantined, b.repeats, b.failed, b.offered, b.dropped)
