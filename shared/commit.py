"""How a ledger grows: opening, attaching, and the one kind of commit that speed and batch both make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dovetail.shared.errors import Busy
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import (
    Books,
    CommitId,
    Fenced,
    Judged,
    LedgerRow,
    LedgerStore,
    LostRace,
    Stats,
    VersionFails,
    VersionId,
    new_commit_id,
)
from dovetail.shared.position import Position, Range


@dataclass(frozen=True)
class Folded:
    """What a range of records came to: states of each version, the books, the records in quarantine and the repeats.

    `failing` are by version the records that made it raise. `decoder`, `broken`, `stats` and `horizon` go into the
    ledger as they are: see `LedgerRow`. `published` is called with the row once it is there.
    """

    states: Mapping[VersionId, Any]
    books: Books
    quarantined: Any = None
    repeats: Any = None
    newest: int | None = None
    decoder: str = ""
    broken: Mapping[Judged, int] = field(default_factory=dict)
    stats: Stats = field(default_factory=dict)
    failing: Mapping[VersionId, Any] = field(default_factory=dict)
    horizon: int | None = None
    published: Callable[[LedgerRow], None] = lambda _: None


class CommitStore(Protocol):
    """Where commits put what they hold, invisible until the ledger names the commit id."""

    def write_states(self, version: VersionId, commit_id: CommitId, seq: int, states: Any) -> int:
        """Writes one version's states under `commit_id`; gives the number of state rows."""

    def write_quarantined(self, commit_id: CommitId, seq: int, records: Any) -> None: ...

    def write_repeats(self, commit_id: CommitId, seq: int, places: Any) -> None: ...

    def write_failing(self, commit_id: CommitId, seq: int, records: Any) -> None: ...


Fold = Callable[[Range, frozenset[VersionId]], Folded]
"""Folds the records of a range for each of the versions given."""


def open_source(ledger: LedgerStore, *, topic_id: str, origin: Position) -> LedgerRow:
    """The ledger's last row; where the source was never seen, its first row at `origin`."""
    while True:
        last = ledger.last()
        if last is not None:
            return last
        first = LedgerRow(0, 0, "open", Range(origin, origin), {}, topic_id, note="origin")
        _appended(ledger, first)


def open_epoch(ledger: LedgerStore, *, note: str = "") -> int:
    """Fences every earlier writer: only commits of the epoch returned can follow (rule 3)."""
    return _row(ledger, lambda last: _next(last, "open", epoch=last.epoch + 1, note=note)).epoch


def attach(ledger: LedgerStore, version: VersionId, *, note: str = "") -> LedgerRow:
    """Puts `version` in force from the row returned on (rule 4); the last row where it is already."""
    return _row(
        ledger,
        lambda last: (
            None
            if version in last.versions
            else _next(last, "attach", versions={**dict.fromkeys(last.versions, 0), version: 0}, note=note)
        ),
    )


def detach(ledger: LedgerStore, version: VersionId, *, note: str = "") -> LedgerRow:
    """Takes `version` out of force; its answers end at the row before the one returned."""
    return _row(
        ledger,
        lambda last: (
            _next(last, "detach", versions={v: 0 for v in last.versions if v != version}, note=note)
            if version in last.versions
            else None
        ),
    )


def supersede(
    ledger: LedgerStore,
    write: Callable[[CommitId, int], None],
    *,
    allowed: Callable[[LedgerRow], None],
    decoder: str = "",
) -> LedgerRow:
    """Publishes which records corrected ones take the place of: see `supersede.py`.

    Args:
        write: writes their places under the commit id and seq given, which nobody sees before the row is there.
        allowed: raises where they may not be superseded after this, the ledger's last row; asked again whenever another
            writer was first.
        decoder: how they were decoded when they were put in quarantine; empty where in several ways.
    """

    def made(last: LedgerRow) -> LedgerRow:
        allowed(last)
        row = replace(_next(last, "supersede"), decoder=decoder)
        write(row.commit_id, row.seq)
        failpoint("resend.places_written")
        return row

    done = _row(ledger, made)
    failpoint("resend.ledger_written")
    return done


def forget(ledger: LedgerStore, write: Callable[[CommitId, int], None], *, note: str) -> LedgerRow:
    """Publishes who is forgotten from the row returned on: see `forgotten.py`.

    Args:
        write: writes their hashes under the commit id and seq given, which nobody sees before the row is there.
    """

    def made(last: LedgerRow) -> LedgerRow:
        row = _next(last, "forget", note=note)
        write(row.commit_id, row.seq)
        failpoint("forget.list_written")
        return row

    done = _row(ledger, made)
    failpoint("forget.listed")
    return done


def pass_lost(ledger: LedgerStore, span: Range, *, because: str) -> LedgerRow:
    """Passes records that nobody holds any more, and fences every earlier writer (rule 6).

    Raises:
        Busy: the ledger does not end where `span` begins.
    """

    def made(last: LedgerRow) -> LedgerRow:
        if last.to != span.from_:
            raise Busy(f"the ledger came to {last.to} meanwhile", next="dovetail status")
        return replace(_next(last, "lost", epoch=last.epoch + 1, note=because), range=span)

    return _row(ledger, made)


def commit(ledger: LedgerStore, store: CommitStore, *, epoch: int, to: Position, fold: Fold) -> LedgerRow:
    """Publishes the records from the ledger's end up to `to`, for every version in force at once.

    States are written first, under a fresh id that nobody can see; the ledger row that names the id publishes them. A
    row that another writer got in first (an attach, say) is no loss: the range is folded again with the new versions.
    A version that cannot be had of the range is detached, with the reason: its answers end where the range begins.

    Raises:
        Fenced: a newer epoch was opened; this writer must stop.
    """
    while True:
        last = _last(ledger)
        fence(last, epoch)
        span = Range(last.to, to)
        failpoint("speed.batch_begin")
        try:
            folded = fold(span, frozenset(last.versions))
        except VersionFails as failure:
            detach(ledger, failure.version, note=f"it raises {failure.raised} for records {span}")
            continue
        folded.books.check()
        commit_id, seq = new_commit_id(), last.seq + 1
        if folded.quarantined is not None:
            store.write_quarantined(commit_id, seq, folded.quarantined)
            failpoint("speed.quarantine_written")
        if folded.repeats is not None:
            store.write_repeats(commit_id, seq, folded.repeats)
            failpoint("speed.repeats_written")
        for records in folded.failing.values():
            store.write_failing(commit_id, seq, records)
            failpoint("speed.failing_written")
        written = {}
        for version in sorted(last.versions):
            written[version] = store.write_states(version, commit_id, seq, folded.states[version])
            failpoint("speed.between_versions")
        row = LedgerRow(
            seq, epoch, "commit", span, written, last.topic_id, commit_id, folded.books, folded.newest,
            decoder=folded.decoder, broken=folded.broken, stats=folded.stats,
            failing={version: len(records) for version, records in folded.failing.items()}, horizon=folded.horizon,
        )  # fmt: skip
        failpoint("speed.before_ledger")
        if _appended(ledger, row):
            failpoint("speed.after_ledger")
            folded.published(row)
            return row


def fence(last: LedgerRow, epoch: int) -> None:
    """Raises Fenced when `last` belongs to another epoch than this writer's."""
    if last.epoch != epoch:
        raise Fenced(
            f"epoch {last.epoch} was opened after this writer's epoch {epoch}",
            why="another speed job or batch run took over while this one was paused",
        )


def _row(ledger: LedgerStore, make: Callable[[LedgerRow], LedgerRow | None]) -> LedgerRow:
    while True:
        last = _last(ledger)
        row = make(last)
        if row is None:
            return last
        if _appended(ledger, row):
            return row


def _appended(ledger: LedgerStore, row: LedgerRow) -> bool:
    try:
        ledger.append(row)
    except LostRace:
        return False
    return True


def _last(ledger: LedgerStore) -> LedgerRow:
    last = ledger.last()
    if last is None:
        raise RuntimeError("the source was not opened: call open_source first")
    return last


def _next(
    last: LedgerRow,
    kind: Any,
    *,
    epoch: int | None = None,
    versions: Mapping[VersionId, int] | None = None,
    note: str = "",
) -> LedgerRow:
    return LedgerRow(
        last.seq + 1,
        last.epoch if epoch is None else epoch,
        kind,
        Range(last.to, last.to),
        dict.fromkeys(last.versions, 0) if versions is None else versions,
        last.topic_id,
        note=note,
    )
