"""Lets the runs that answer stand for a changed view, where every state of theirs was verified to be what it makes.

Their tables are named again, as the first parts of its reprocessing: what came after them it computes itself.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from dovetail.batch import promote
from dovetail.batch.job import owner
from dovetail.batch.verify import Verified, last
from dovetail.shared import places
from dovetail.shared.errors import UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.manifest import ORIGIN, Manifest, ManifestStore, Run, RunId
from dovetail.shared.tables import Layout


def stage(layout: Layout, manifests: ManifestStore, version: VersionId, *, plan: str = "") -> tuple[Run, ...]:
    """Names the verified runs as what was computed of `version`; gives them, or what was computed of it already.

    Only for the holder of the batch lock, while the version is in force. Killed at any moment it leaves tables that
    nothing names.

    Raises:
        UsageError: its states were not all verified to be equal, or the runs have changed since.
    """
    now = manifests.read()
    if now is not None and (done := now.staged_of(version)):
        return done
    verified, runs = verified_runs(layout, now, version)
    copies = tuple(replace(run, id=_id(run), version=version, plan=plan) for run in runs)
    newest = copies[-1]
    with promote.pin(manifests, newest.id, version, newest.to_seq, owner=owner()):
        for run, copy in zip(runs, copies, strict=True):
            if run.id != ORIGIN:
                places.copy(layout.run(run.version, run.id), layout.run(version, copy.id))
                failpoint("relabel.run_linked")
        note = f"relabel by {owner()}: {verified.groups:,} groups of {verified.before} equal up to seq {verified.seq}"
        promote.stage(manifests, copies, note=note)
        failpoint("reprocess.staged")
    return copies


def verified_runs(layout: Layout, now: Manifest | None, version: VersionId) -> tuple[Verified, tuple[Run, ...]]:
    """What was verified of `version`, and the runs that it was compared with; raises UsageError as `stage` does."""
    view, verified = view_of(version), last(layout, version)
    if verified is None:
        raise UsageError(f"the states of {version} were not verified", next=f"dovetail plan {view} --verify")
    size = len(verified.runs)
    kept = [each[:size] for each in now.sets if tuple(run.id for run in each[:size]) == verified.runs] if now else []
    found = [runs for runs in kept if runs[-1].version == verified.before]
    if not found:
        raise UsageError(
            f"the runs of {verified.before} that {version} was compared with are there no more",
            next=f"dovetail plan {view} --verify",
        )
    if found[0][0].imports:  # which lie beside the master, over which the two were compared
        raise UsageError(
            f"what answers for {view} holds imports, which were not compared", next=f"dovetail reprocess {view}"
        )
    return verified, found[0]


def _id(run: Run) -> RunId:
    return run.id if run.id == ORIGIN else RunId(uuid.uuid4().hex[:16])
