"""Reprocessing: computes the history of a changed view beside what answers, part by part, and promotes nothing.

The version is attached to the running speed job first; then its history is computed up to a ledger row from which on
speed answers for it. Each finished part is named in the manifest, so that a killed one goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from dovetail.batch import promote, relabel
from dovetail.batch.change import known
from dovetail.batch.job import BETWEEN_PARTS, catch_up_if_stopped, judging_master, owner
from dovetail.batch.master import DeltaMaster
from dovetail.batch.plan_id import refuse_another
from dovetail.batch.recompute import Plan, computed
from dovetail.batch.replay import refuse_dropped
from dovetail.shared import pauses
from dovetail.shared.commit import detach
from dovetail.shared.declare import View
from dovetail.shared.errors import Busy, NotYet, UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.imports import Import, Imports
from dovetail.shared.inforce import attach_declared, open_ledger, put_in_force
from dovetail.shared.ledger import LedgerRow, LedgerStore, VersionId, covered, view_of
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.manifest import Manifest, ManifestStore, Run, needed
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position
from dovetail.shared.project import Project

PATIENCE = 120.0
"""Seconds that the archive may stand still while it is waited for."""
LOOK = 0.5
"""Seconds between two looks at how far the archive is."""


@dataclass(frozen=True)
class Progress:
    """The records of the parts that are done and of all that there are, and the seconds and records of this try."""

    version: VersionId
    done: int
    records: int
    computed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Records a second; 0 before the first part."""
        return self.computed / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at this rate; None where it is not known."""
        return (self.records - self.done) / self.rate if self.rate else None


def run(
    project: Project,
    view: View,
    log: Log,
    spark: SparkSession,
    *,
    from_scratch: bool = False,
    relabelled: bool = False,
    replay: bool = False,
    plan: str = "",
    max_rate: float = 0.0,
    on_part: Callable[[Progress], None] = lambda _: None,
) -> tuple[Manifest, VersionId]:
    """Computes the declared version of `view` over all of its history, beside what answers; gives it with the manifest
    that names it.

    Args:
        from_scratch: also where the declared version is the one that answers.
        relabelled: take the runs that answer for its first parts, where they were verified: see `relabel`.
        replay: read the log, which must still hold everything, in the place of the master.
        plan: the id of the plan that this is to be; empty for whatever there is to do.
        max_rate: records a second that are not exceeded over the parts of this try; 0 for as fast as it goes.

    Raises:
        UsageError: the declaration is what answers, or nothing answers yet; it was not verified, or the log
            has dropped records.
        Busy: a reprocessing of this view is running; or the plan has become another one.
        Paused: a person has paused the batch of this view; what is done stays.
        NotYet: the archive has not come far enough, and does not.
        IntegrityError: the master and the ledger disagree.
    """
    layout, source, lock = project.layout, view.source, project.layout.lock(f"batch-{view.name}")
    pauses.refuse(layout, "batch", view.name)
    with held(layout.lock(f"reprocess-{view.name}"), f"a reprocessing of {view.name}"):
        ledger = open_ledger(project, source, log)
        put_in_force(project, source, ledger, spark)
        manifests = DeltaManifest(layout.manifest(view.name))
        refuse(project, view, from_scratch=from_scratch, relabelled=relabelled, plan=plan)
        if replay:
            refuse_dropped(layout, source, log)
        version = attach_declared(project, view, ledger, spark)
        master = judging_master(project, source, ledger, log, spark, replay=replay)
        catch_up_if_stopped(project, source, ledger, master)
        size = project.settings.batch.records_per_part
        rows = ledger.rows()
        goal = rows[-1].seq
        with held(lock, f"a part of the reprocessing of {view.name}", patience=BETWEEN_PARTS):
            promote.drop_pins(manifests)  # also where all parts are there: the one before may have been killed then
            if relabelled:
                relabel.stage(layout, manifests, version, plan=plan)
        imports = Imports(layout, source.name).live()
        everything = sum(row.books.consumed for row in rows) + _imported(manifests, version, imports)
        began, computed_here = time.monotonic(), 0
        while planned := next_part(manifests, ledger, master.claim, version, goal=goal, size=size, imports=imports):
            pauses.refuse(layout, "batch", view.name)
            with held(lock, f"a part of the reprocessing of {view.name}", patience=BETWEEN_PARTS):
                written = _part(planned, manifests, master, plan)
            computed_here += written.computed
            if max_rate:
                time.sleep(max(0.0, computed_here / max_rate - (time.monotonic() - began)))
            done = sum(r.computed for r in (*planned.joins, written))
            on_part(Progress(version, done, max(done, everything), computed_here, time.monotonic() - began))
        found = manifests.read()
        if found is None:
            raise RuntimeError("there is no manifest any more")
        return found, version


def refuse(project: Project, view: View, *, from_scratch: bool, relabelled: bool, plan: str) -> None:
    """Raises, as `run` does, where there is nothing to compute beside what answers, or not in the way that is meant."""
    now, declared = DeltaManifest(project.layout.manifest(view.name)).read(), project.version(view)
    if now is None:
        raise UsageError(f"nothing answers for {view.name} yet", next=f"dovetail batch {view.name}")
    if now.live == declared and not from_scratch:
        raise UsageError(
            f"{view.name} is declared as it answers, {declared}: there is nothing to reprocess",
            next=f"change it, or dovetail reprocess {view.name} --from-scratch",
        )
    if plan:
        live = Imports(project.layout, view.source.name).live()
        refuse_another(plan, now, declared, (each.id for each in live))
    if relabelled and not now.staged_of(declared):
        relabel.verified_runs(project.layout, now, declared)


def _imported(manifests: ManifestStore, version: VersionId, imports: Sequence[Import]) -> int:
    """How many records of imports its first part takes in, or has taken in."""
    now = manifests.read()
    done = now.staged_of(version) if now else ()
    return sum(each.records for each in (done[0].imports if done else imports))


def ahead(project: Project, view: View, *, relabelled: bool = False) -> tuple[VersionId, int, tuple[Import, ...]]:
    """The declared version, and what is still to be computed for it: how many records of the ledger, which imports."""
    layout, version = project.layout, project.version(view)
    now = DeltaManifest(layout.manifest(view.name)).read()
    done = now.staged_of(version) if now else ()
    if relabelled and not done:
        _, done = relabel.verified_runs(layout, now, version)
    rows = DeltaLedger(layout.ledger(view.source.name)).rows(after=done[-1].to_seq if done else -1)
    imports = () if done else Imports(layout, view.source.name).live()
    return version, sum(row.books.consumed for row in rows), imports


def give_up(project: Project, view: View, named: str = "", *, dry_run: bool = False) -> VersionId:
    """Lets go of what was computed beside of the version named, or else of the one declared, and takes it out of force
    unless something else needs it; gives it. The next batch deletes its runs.

    Raises:
        UsageError: nothing was computed of it.
        Busy: a reprocessing of this view is running.
    """
    layout, version = project.layout, project.version(view)
    with held(layout.lock(f"reprocess-{view.name}"), f"giving up what was reprocessed of {view.name}"):
        manifests, ledger = DeltaManifest(layout.manifest(view.name)), DeltaLedger(layout.ledger(view.source.name))
        now, last = manifests.read(), ledger.last()
        in_force = {v for v in (last.versions if last else ()) if view_of(v) == view.name}
        if now is not None and named:
            version = known(now, named, in_force)
        if now is None or not (now.staged_of(version) or version in in_force - set(needed(now))):
            raise UsageError(
                f"nothing of {version} was computed beside what answers", next=f"dovetail history {view.name}"
            )
        if dry_run:
            return version
        now = promote.unstage(manifests, version, note=f"given up by {owner()}")
        failpoint("reprocess.unstaged")
        if version not in needed(now):
            detach(ledger, version, note="given up")
        return version


def next_part(
    manifests: ManifestStore,
    ledger: LedgerStore,
    claim: Callable[[], Position],
    version: VersionId,
    *,
    goal: int,
    size: int,
    imports: Sequence[Import] = (),
) -> Plan | None:
    """The next ledger rows to compute, of about `size` records; None where row `goal` is reached and speed goes on.

    The first part takes in the imports. Waits for the archive where it lags behind the goal.

    Raises:
        NotYet: it has not moved for PATIENCE seconds.
    """
    now = manifests.read()
    done = now.staged_of(version) if now else ()
    at = done[-1].to_seq if done else -1
    known = ledger.rows(after=max(at - 1, -1))
    if at >= goal and covered(version, at, known):
        return None
    rows = [row for row in known if row.seq > at]
    if rows and version not in rows[-1].versions:
        raise Busy(f"{version} was taken out of force meanwhile: {rows[-1].note}", next="dovetail status")
    until = time.monotonic() + PATIENCE
    while not (taken := _taken(rows, claim(), goal=max(goal, _attached(rows, version)), size=size)):
        if time.monotonic() > until:
            raise NotYet(
                f"{version} is computed up to seq {at}, and the archive does not come to seq {rows[0].seq}",
                next="dovetail archive, then reprocess again: it goes on from there",
            )
        time.sleep(LOOK)
    return Plan(version, done, taken, () if done else tuple(imports))


def _attached(rows: Sequence[LedgerRow], version: VersionId) -> int:
    """The row from which on the version is in force to the end."""
    return next((row.seq + 1 for row in reversed(rows) if version not in row.versions), 0)


def _taken(rows: Sequence[LedgerRow], claim: Position, *, goal: int, size: int) -> tuple[LedgerRow, ...]:
    """The first of the rows up to `goal` that lie in the master whole, as many as hold `size` records."""
    taken, records = list[LedgerRow](), 0
    for row in rows:
        full = records >= size and row.books.consumed > 0  # a part of no records would cost a run of its own
        if row.seq > goal or full or not claim.reaches(row.to):
            break
        taken.append(row)
        records += row.books.consumed
    return tuple(taken)


def _part(planned: Plan, manifests: ManifestStore, master: DeltaMaster, plan: str) -> Run:
    """Computes and names one part. Only for the holder of the batch lock."""
    with computed(planned, owner=owner(), manifests=manifests, master=master) as run:
        written = replace(run, plan=plan)
        failpoint("reprocess.before_staged")
        note = f"reprocess by {owner()}: {written.records:,} records up to seq {written.to_seq}"
        promote.stage(manifests, (*planned.joins, written), note=note)
        failpoint("reprocess.staged")
        return written
