"""Fault switches at named steps: `DOVETAIL_FAILPOINT=name:crash|raise|sleep=5[|nth=3]`, in test mode only."""

from __future__ import annotations

import os
import signal
import time
from functools import cache

from dovetail.shared.errors import UsageError

NAMES = {
    "accept_gap.ledger_written": "the ledger has passed what is lost; the archive does not know of it yet",
    "accept_gap.claimed": "the archive has passed what is gone, too",
    "archive.before_data": "a micro-batch has come; nothing of it is written",
    "archive.before_claim": "its records are in the master; no claim covers them",
    "archive.after_claim": "the claim covers them",
    "attach.bundle_written": "all of a version's code is copied, under a name that nobody looks for",
    "attach.bundle_stored": "a version's code is stored; it has no table",
    "attach.states_created": "its table is there; the ledger does not name it",
    "attach.in_force": "the ledger names it; a first version has no manifest yet",
    "attach.answered": "the first manifest of a view is there; other views may wait for theirs",
    "batch.pinned": "the run about to be written is pinned in the manifest",
    "batch.before_run": "the master's records are being counted; nothing is written",
    "batch.failed_written": "the records that a run sets apart are written; no manifest names the run",
    "batch.slice_written": "the states of the run are written; what it sets apart may wait for it",
    "batch.run_written": "the run's table is whole; no manifest names it",
    "batch.before_promote": "the same, with all that the manifest will say of it known",
    "batch.after_promote": "the manifest names the run; its pin is still there",
    "batch.floors_raised": "floors are raised in the manifest; nothing below them is deleted",
    "batch.run_deleted": "one run's table that nothing names is deleted; others may wait for it",
    "batch.retired": "a version that nothing needs is out of force; others may wait for it",
    "clean.fenced": "an epoch is opened, so that what killed commits left is dead for good; nothing is deleted",
    "clean.rows_deleted": "the rows of killed commits are deleted from one table; others may wait for it",
    "clean.floors_raised": "the manifest has given up versions that nothing needs; their states are still there",
    "clean.states_deleted": "one such version's states are deleted; others may wait for it",
    "clean.folder_deleted": "a run table that nothing names, or scratch, is deleted; others may wait for it",
    "compact.files_joined": "a table's small files are joined; those replaced long ago are not removed yet",
    "compact.table_joined": "one table of the speed layer is through; others and the ledger may wait for it",
    "compact.ledger_joined": "the ledger is through, too",
    "dimension.file_written": "the new content lies in a file of its own; no version names it",
    "dimension.version_named": "the version is there; when it was looked at is not noted",
    "import.rows_written": "the records of an import are written under a name that no row of the imports has",
    "import.named": "the table of imports names it; the command has not said so",
    "import.dropped": "the table of imports says that it is dropped; its records are still there",
    "import.folder_deleted": "the records of a killed or dropped import are deleted; others may wait for it",
    "dimension.version_dropped": "an earlier version is named no more; its file is still there",
    "feed.opened": "a feeder has fenced those before it, and knows how far they came; it has read nothing",
    "feed.read": "a part of what it feeds is read; nothing of it is in the log",
    "feed.sent": "its records and its marks are in the log, in a transaction that is not committed",
    "feed.committed": "the transaction is committed; nobody has been told",
    "forget.list_written": "hashes of who is forgotten are written under an id that no ledger row names",
    "forget.listed": "the ledger names it: none of their records counts from there on; what is stored is as it was",
    "forget.apart_blanked": "their records are blanked in one table of what is kept apart; the master holds them all",
    "forget.master_blanked": "they are blanked in the master, too; its earlier files and all states still hold them",
    "forget.view_computed": "one view answers without them; others may wait for it",
    "forget.floors_raised": "receipts and rollbacks of before are given up; runs and states of then are still there",
    "forget.states_deleted": "states of one version below its floor are deleted; others may wait for it",
    "forget.bundle_set_aside": "a version whose code names them is none any more; its files lie in scratch",
    "forget.cleaned": "nothing but earlier files and logs of tables holds them",
    "forget.history_deleted": "one table has no earlier files and no log of them; others may wait for it",
    "prune.before_delete": "a version's states below its floor are about to be deleted",
    "prune.states_deleted": "they are deleted; those of other versions may wait for it",
    "push.noted": "what is about to be delivered is in the push's state",
    "push.delivered": "the receiver has it; that is not in the push's state",
    "relabel.run_linked": "the table of one run lies under a second name, which no manifest names; others may wait",
    "reprocess.before_staged": "the run of a part is written; the manifest names it as pinned alone",
    "reprocess.staged": "the manifest names it among what is computed beside; others may be left to compute",
    "reprocess.unstaged": "the manifest has let go of what was computed beside; its version is still in force",
    "resend.places_written": "the places put right are written under an id that no ledger row names",
    "resend.ledger_written": "the ledger names it: the broken records count nowhere; the corrected ones are not sent",
    "resend.sent": "the corrected records are acknowledged; that is not noted, and the command has not said so",
    "resend.noted": "it is noted; the command has not said so",
    "speed.epoch_opened": "the ledger has a new epoch; nothing is read",
    "speed.batch_begin": "a micro-batch has come; nothing of it is written",
    "speed.quarantine_written": "its broken records are written under an id that no ledger row names",
    "speed.repeats_written": "and the places of its repeats",
    "speed.failing_written": "and the records that make one version raise",
    "speed.between_versions": "and the states of one more version",
    "speed.before_ledger": "and all of it; the ledger row is about to be appended",
    "speed.after_ledger": "the ledger row publishes the commit",
    "speed.index_written": "the ids that it counted are in the index of repeats, in a file of their own",
    "speed.index_joined": "that file is joined with the one before, and both are still there",
    "switch.asked": "a promote or rollback knows what it goes to; the manifest is as it was",
    "switch.done": "the manifest names it; the command has not said so",
}
"""By name what was just done where a process may be made to fail: between any two writes that a crash can part."""


def failpoint(name: str) -> None:
    """Does what DOVETAIL_FAILPOINT says for `name`: nothing, unless a test set it."""
    if name not in NAMES:
        raise UsageError(f"no failpoint is called {name}", where="shared/failpoints.py")
    armed = _armed()
    if armed is None or armed[0] != name:
        return
    _, action, nth = armed
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] != nth:
        return
    if action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "raise":
        raise RuntimeError(f"failpoint {name}")
    else:
        time.sleep(float(action.removeprefix("sleep=")))


_passed: dict[str, int] = {}


@cache
def _armed() -> tuple[str, str, int] | None:
    text = os.environ.get("DOVETAIL_FAILPOINT", "")
    if not text:
        return None
    if os.environ.get("DOVETAIL_TEST_MODE") != "1":
        raise UsageError(
            "DOVETAIL_FAILPOINT is set outside test mode",
            next="unset it, or set DOVETAIL_TEST_MODE=1 if this is a test",
        )
    name, _, rest = text.partition(":")
    parts = rest.split("|")
    nth = next((int(p.removeprefix("nth=")) for p in parts if p.startswith("nth=")), 1)
    action = parts[0]
    if name not in NAMES or not (action in ("crash", "raise") or action.startswith("sleep=")):
        raise UsageError(f"DOVETAIL_FAILPOINT='{text}' is not name:crash|raise|sleep=SECONDS[|nth=N]")
    return name, action, nth
