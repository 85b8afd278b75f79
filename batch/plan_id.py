"""The short name of a plan: what was printed is what a reprocessing does, or it refuses."""

from __future__ import annotations

import hashlib
import json

from dovetail.shared.errors import Busy
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.manifest import Manifest


def plan_id(manifest: Manifest | None, declared: VersionId) -> str:
    """Names going from what answers to what is declared: another one where either has changed since."""
    answers = [manifest.live, manifest.generation] if manifest else []
    return hashlib.sha256(json.dumps([declared, *answers]).encode()).hexdigest()[:8]


def refuse_another(planned: str, manifest: Manifest | None, declared: VersionId) -> None:
    """Raises Busy where the plan of this id is no longer what there is to do."""
    if planned != plan_id(manifest, declared):
        view = view_of(declared)
        raise Busy(
            f"{planned} is not the plan of {view} any more: it is declared, or answers, otherwise than then",
            why=f"{manifest.live} answers, generation {manifest.generation}: {manifest.note}" if manifest else "",
            next=f"dovetail plan {view}",
        )
