"""Keeps the speed layer's tables small: deletes below floors, joins small files. For the speed lock's holder."""

from __future__ import annotations

from dovetail.shared.claims import Claims
from dovetail.shared.failpoints import failpoint
from dovetail.shared.gaps import unarchived
from dovetail.shared.ledger import view_of
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout

COMMITS_BETWEEN = 100


def tidy(layout: Layout, source: str) -> None:
    """One round. Floors were raised in the manifest first (rule 7), so no reader counts on what goes."""
    ledger = DeltaLedger(layout.ledger(source))
    last = ledger.last()
    if last is None:
        return
    states = DeltaStates(layout, source)
    passed = Claims(layout.claims(source)).passed()
    only = [row.commit_id for row in unarchived(ledger.rows(), passed)] if passed else []
    for version in last.versions:
        manifest = DeltaManifest(layout.manifest(view_of(version))).read()
        if manifest and manifest.floor(version) >= 0:
            failpoint("prune.before_delete")
            states.delete_through(version, manifest.floor(version), keep=only)
            failpoint("prune.states_deleted")
    states.compact(last.versions)
    ledger.compact()
    failpoint("compact.ledger_joined")
