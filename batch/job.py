"""The batch job of a view: catch up if speed is stopped, compute a run, promote it, raise the floors."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

from pyspark.sql import SparkSession

from dovetail.batch import gates, recompute
from dovetail.batch.master import DeltaMaster
from dovetail.batch.promote import raise_floors
from dovetail.batch.replay import ReplayedLog
from dovetail.shared import hooks, lineage, pauses
from dovetail.shared.aside import IN_PLACE
from dovetail.shared.commit import attach, detach
from dovetail.shared.declare import Source, View
from dovetail.shared.errors import Busy, GateClosed, IntegrityError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.imports import Imports
from dovetail.shared.inforce import BATCH_ALONE, attach_declared, open_ledger, put_in_force
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held, is_held
from dovetail.shared.log import Log
from dovetail.shared.manifest import Manifest, RunId, needed, unnamed
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.places import delete
from dovetail.shared.position import slices
from dovetail.shared.project import Project
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout
from dovetail.shared.trino import sync as trino
from dovetail.shared.upkeep import tidy

BETWEEN_PARTS = 600.0


@lineage.of_batch
def run(
    project: Project,
    view: View,
    log: Log,
    spark: SparkSession,
    *,
    full: bool = False,
    despite: str | None = None,
    on_plan: Callable[[recompute.Plan], None] = lambda _: None,
) -> Manifest | None:
    """Brings the batch part of `view` up to what the archive holds; None when there was nothing new.

    A view that has never answered, or a full run of one whose declaration changed, runs the declared version, unless a
    rollback has left that; any other run goes on with the live one. A view that speed does not fold is in force while
    its batch runs, and its answers end there.

    Args:
        despite: why the run is to answer although a gate is closed; None where it is not to.

    Raises:
        GateClosed: the run moves what a gate of the view lets move no further; what answered goes on.
        Busy: a batch of this view is running, or another process changed the view meanwhile.
        Paused: a person has paused the batch of this view.
        NotYet: the archive has not come far enough.
        IntegrityError: the master and the ledger disagree.
    """
    layout, source = project.layout, view.source
    pauses.refuse(layout, "batch", view.name)
    with (
        ExitStack() as after,
        held(layout.lock(f"batch-{view.name}"), f"a batch of {view.name}", patience=patience(layout, view.name)),
    ):
        ledger = open_ledger(project, source, log)
        put_in_force(project, source, ledger, spark)
        manifests = DeltaManifest(layout.manifest(view.name))
        now = before = manifests.read()
        version = _version(project, view, now, full=full)
        if now is None or (full and version != now.live):
            attach_declared(project, view, ledger, spark)
        elif full:
            attach(ledger, version, note="for a full batch")
        if not view.speed:
            attach(ledger, version, note="speed=False: for its batch alone")
        master = judging_master(project, source, ledger, log, spark)
        catch_up_if_stopped(project, source, ledger, master)
        try:
            promoted = recompute.run(
                view.name,
                version,
                full=full,
                owner=owner(),
                manifests=manifests,
                ledger=ledger,
                master=master,
                keep=project.settings.retention.rollbacks,
                window=project.settings.retention.rollback_seconds,
                imports=Imports(layout, source.name).live(),
                on_plan=on_plan,
                judge=lambda started, runs: gates.of_batch(project, view, started, runs, spark, despite=despite),
            )
        except (GateClosed, IntegrityError):  # of a run that was written
            if left := manifests.read():
                delete_unnamed_runs(layout, left)
            raise
        finally:
            if not (view.speed or is_held(layout.lock(f"reprocess-{view.name}"))):
                detach(ledger, version, note=BATCH_ALONE)
        if promoted:  # told whatever comes of the tidying below, and once the lock is free for what the hook may run
            after.callback(hooks.promoted, project.settings, before, promoted, by="batch")
        now = manifests.read()
        if now is not None:  # where nothing was new, too: the batch before may have been killed from here on
            trino.follow(project.settings, view.name)  # whose view reads what may be deleted from here on
            now = raise_floors(manifests)
            failpoint("batch.floors_raised")
            delete_unnamed_runs(layout, now)
            retire(layout, now, ledger)
        _tidy_if_stopped(project, view)
        return now if promoted else None


def _version(project: Project, view: View, now: Manifest | None, *, full: bool) -> VersionId:
    if now is None:
        return project.version(view)
    return now.in_full(project.version(view)) if full else now.live


def delete_unnamed_runs(layout: Layout, manifest: Manifest) -> None:
    """Deletes the run tables that nothing names any more: of killed batches, and beyond the last rollback target."""
    stored = layout.of_runs(manifest.view)
    gone = unnamed((RunId(folder.name) for folder in stored), manifest)
    for folder in (f for f in stored if f.name in gone):
        with suppress(OSError):  # it is named by nothing: the next one tries again
            delete(folder)
        failpoint("batch.run_deleted")


def judging_master(
    project: Project, source: Source, ledger: DeltaLedger, log: Log, spark: SparkSession, *, replay: bool = False
) -> DeltaMaster:
    """The master of a source, for one that commits in the place of speed: it judges records as commits do.

    Args:
        replay: the log takes its place.
    """
    stop = project.settings.speed.stop_if_quarantined
    judge = Judge.of_commits(source, ledger, project.layout, log, spark, stop=stop)
    if replay:
        return ReplayedLog(project.layout, source, log, spark, judge=judge)
    return DeltaMaster(project.layout, source, spark, judge=judge)


def owner() -> str:
    """This process, as pins and notes name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def patience(layout: Layout, view: str) -> float:
    """Seconds that a batch waits for the one that holds its lock: as long as a part takes, where that is what runs."""
    return BETWEEN_PARTS if is_held(layout.lock(f"reprocess-{view}")) else 0.0


def retire(layout: Layout, manifest: Manifest, ledger: DeltaLedger) -> None:
    """Takes out of force what nothing answers from, may go back to, or is being computed beside. For the holder of the
    batch lock: the manifest has let go of it first."""
    last = ledger.last()
    if last is None or is_held(layout.lock(f"reprocess-{manifest.view}")):
        return
    wanted = needed(manifest)
    for version in last.versions:
        if view_of(version) == manifest.view and version not in wanted:
            detach(ledger, version, note="replaced, and no longer kept to be gone back to")
            failpoint("batch.retired")


def live(project: Project, view: View) -> Manifest | None:
    """What answers for the view now."""
    return DeltaManifest(project.layout.manifest(view.name)).read()


def plan(project: Project, view: View, log: Log, spark: SparkSession, *, full: bool) -> recompute.Plan | None:
    """What `run` would compute now, writing nothing; records that only the archive holds so far are left out."""
    ledger, manifest = open_ledger(project, view.source, log), live(project, view)
    claim = DeltaMaster(project.layout, view.source, spark).claim()
    version = _version(project, view, manifest, full=full)
    imports = Imports(project.layout, view.source.name).live()
    return recompute.plan(manifest, ledger, claim, version, full=full, imports=imports)


def catch_up_if_stopped(project: Project, source: Source, ledger: DeltaLedger, master: DeltaMaster) -> None:
    if pauses.paused(project.layout, "speed", source.name):
        return  # a person wants no commit, by whomever
    limit, states = project.settings.speed.max_records_per_commit, DeltaStates(project.layout, source.name)
    try:
        with held(project.layout.lock(f"speed-{source.name}"), IN_PLACE):
            recompute.catch_up(ledger, states, master, slices=lambda span: slices(span, limit))
    except Busy:
        return  # the speed job runs: it moves the ledger itself


def _tidy_if_stopped(project: Project, view: View) -> None:
    try:
        with held(project.layout.lock(f"speed-{view.source.name}"), IN_PLACE):
            tidy(project.layout, view.source.name)
    except Busy:
        return  # the speed job owns the states and tidies them between commits
