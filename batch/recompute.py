"""The nightly batch: choose a cut, check the master against the ledger, write one run, promote it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from dovetail.batch import promote
from dovetail.shared.commit import CommitStore, Folded, commit, open_epoch
from dovetail.shared.errors import IntegrityError, NotYet
from dovetail.shared.failpoints import failpoint
from dovetail.shared.gaps import unarchived
from dovetail.shared.imports import Import
from dovetail.shared.ledger import LedgerRow, LedgerStore, VersionId, covered
from dovetail.shared.manifest import Admitted, Manifest, ManifestStore, Run, RunId
from dovetail.shared.position import Position, Range


@dataclass(frozen=True)
class Written:
    """How many state rows a run holds, how many records the master holds in the range of each of its ledger rows by
    seq, how many it has set apart because they make the version raise, and what became of the imports that it took in.
    """

    state_rows: int
    counts: Mapping[int, int]
    failed: int = 0
    imports: tuple[Admitted, ...] = ()


class Master(Protocol):
    """The master dataset, as far as a batch needs it."""

    def claim(self) -> Position:
        """Everything below is in the master."""

    def fold(self, span: Range, versions: frozenset[VersionId]) -> Folded:
        """Folds the records of `span` as the speed layer would."""

    def passed(self) -> Sequence[Range]:
        """The ranges that were given up: they are in no master and no log."""

    def write_run(
        self, version: VersionId, run: RunId, rows: Sequence[LedgerRow], imports: Sequence[Import]
    ) -> Written:
        """Computes the states of the records of ledger rows, which follow each other, and of those imported, into a new
        table, but for those that make the version raise; counts them all."""


@dataclass(frozen=True)
class Plan:
    """One run to write: the ledger rows it covers, and the runs it joins."""

    version: VersionId
    joins: tuple[Run, ...]
    rows: tuple[LedgerRow, ...]
    """From the row after the last joined run (or the first of all) to the cut."""
    imports: tuple[Import, ...] = ()
    """Old history that it takes in: none where it joins a run, for that lies below every row."""

    @property
    def span(self) -> Range:
        return Range(self.rows[0].range.from_, self.rows[-1].to)

    @property
    def from_seq(self) -> int:
        return self.rows[0].seq - 1

    @property
    def cut_seq(self) -> int:
        return self.rows[-1].seq

    @property
    def records(self) -> int:
        return sum(r.books.consumed for r in self.rows)


def plan(
    manifest: Manifest | None,
    ledger: LedgerStore,
    claim: Position,
    version: VersionId,
    *,
    full: bool,
    imports: Sequence[Import] = (),
) -> Plan | None:
    """What a batch would do now: None when no record has come since the last run.

    `imports` are taken in by a run from the beginning only.

    Raises:
        NotYet: the archive has not reached the row from which on the version can answer.
    """
    joins = manifest.runs if manifest and manifest.live == version and not full else ()
    rows = ledger.rows(after=joins[-1].to_seq if joins else -1)
    cut = choose_cut(rows, claim, version)
    if cut is None:
        if joins:
            return None
        raise NotYet(
            f"{version} cannot be computed yet: it is in force from a later position than the archive's, {claim}",
            next="dovetail archive, then run the batch again",
        )
    taken = tuple(r for r in rows if r.seq <= cut.seq)
    nothing_new = all(r.range.empty for r in taken) and covered(version, taken[0].seq - 1, rows)
    return None if joins and nothing_new else Plan(version, joins, taken, () if joins else tuple(imports))


def choose_cut(rows: Sequence[LedgerRow], claim: Position, version: VersionId) -> LedgerRow | None:
    """The newest ledger row that lies in the master whole and from which on speed answers for `version`."""
    newest = next((r for r in reversed(rows) if claim.reaches(r.to)), None)
    # A version that is not in force from that row on is from no earlier one either: to look there would be quadratic.
    return newest if newest and covered(version, newest.seq, rows) else None


def run(
    view: str,
    version: VersionId,
    *,
    full: bool,
    owner: str,
    manifests: ManifestStore,
    ledger: LedgerStore,
    master: Master,
    keep: int | None = None,
    window: float = 0.0,
    imports: Sequence[Import] = (),
    on_plan: Callable[[Plan], None] = lambda _: None,
    judge: Callable[[Manifest | None, tuple[Run, ...]], str] = lambda *_: "",
) -> Manifest | None:
    """Plans, computes and promotes one run; None when there was nothing new. Only for the holder of the batch lock.

    `keep` earlier sets of runs stay to be rolled back to, and each other version that answered in the last `window`
    seconds. `judge` raises where the runs may not answer in the place of a manifest's, or gives what the history adds.

    Killed at any moment it leaves the old runs answering, and a table that nothing names.
    """
    promote.drop_pins(manifests)
    started = manifests.read()
    planned = plan(started, ledger, master.claim(), version, full=full, imports=imports)
    if planned is None:
        return None
    on_plan(planned)
    with computed(planned, owner=owner, manifests=manifests, master=master) as written:
        failpoint("batch.before_promote")
        kind = "full" if full else "incremental"
        runs = (*planned.joins, written)
        note = f"{kind} batch by {owner}{judge(started, runs)}"
        manifest = promote.promote(
            manifests, ledger, view=view, started=started, runs=runs, note=note, keep=keep, window=window
        )
        failpoint("batch.after_promote")
        return manifest


@contextmanager
def computed(planned: Plan, *, owner: str, manifests: ManifestStore, master: Master) -> Iterator[Run]:
    """Writes the run that is planned, and gives it; it is pinned while the block runs, which is to name it.

    Raises:
        IntegrityError: the master and the ledger disagree.
    """
    version, run_id = planned.version, RunId(uuid.uuid4().hex[:16])
    with promote.pin(manifests, run_id, version, planned.cut_seq, owner=owner):
        failpoint("batch.pinned")
        apart = unarchived(planned.rows, master.passed())
        failpoint("batch.before_run")
        done = master.write_run(version, run_id, planned.rows, planned.imports)
        failpoint("batch.run_written")
        check_counts([row for row in planned.rows if row not in apart], done.counts)
        lacks = [row.range.overlap(p) for row in apart if version not in row.versions for p in master.passed()]
        yield Run(
            run_id, version, planned.from_seq, planned.cut_seq, planned.span, done.state_rows, planned.records,
            lacks=" ".join(str(each) for each in lacks if not each.empty), failed=done.failed, imports=done.imports,
        )  # fmt: skip


def check_counts(rows: Sequence[LedgerRow], held: Mapping[int, int]) -> None:
    """Raises IntegrityError where the master holds more or fewer records than a commit consumed."""
    for row in rows:
        if row.kind == "commit" and held.get(row.seq, 0) != row.books.consumed:
            raise IntegrityError(
                f"the master holds {held.get(row.seq, 0)} records of ledger seq {row.seq} ({row.range}), "
                f"the commit consumed {row.books.consumed}",
                next="dovetail prove",
            )


def catch_up(
    ledger: LedgerStore, store: CommitStore, master: Master, *, slices: Callable[[Range], list[Position]]
) -> int:
    """Commits what the archive holds beyond the ledger's end, for all versions in force (rule 6).

    Only for the holder of the speed lock, while the speed job is stopped: so that it never holds batch back. `slices`
    cuts a long range at positions that fit into memory. Gives the number of records committed.
    """
    last, claim = ledger.last(), master.claim()
    if last is None or last.to.reaches(claim):
        return 0
    epoch, consumed = open_epoch(ledger, note="batch, speed stopped"), 0
    last = ledger.last() or last  # once more: until the epoch was opened, a paused writer could still commit
    ahead = claim.at_least(last.to)
    for to in slices(Range(last.to, ahead)) if ahead != last.to else ():
        consumed += commit(ledger, store, epoch=epoch, to=to, fold=master.fold).books.consumed
    return consumed
