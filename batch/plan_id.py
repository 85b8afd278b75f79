"""The short name of a plan: what was printed is what a reprocessing does, or it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from dovetail.shared.errors import Busy
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.manifest import Manifest


def plan_id(manifest: Manifest | None, declared: VersionId, imports: Iterable[int] = ()) -> str:
    """Names going from what answers to what is declared, with these imports: another one where any has changed since.

    A nightly batch of what answers changes none of it, but where that is to be computed once more.
    """
    answers = [manifest.live, manifest.generation if manifest.live == declared else 0] if manifest else []
    return hashlib.sha256(json.dumps([declared, *answers, sorted(imports)]).encode()).hexdigest()[:8]


def refuse_another(planned: str, manifest: Manifest | None, declared: VersionId, imports: Iterable[int] = ()) -> None:
    """Raises Busy where the plan of this id is no longer what there is to do, nor what has been done a part of."""
    if planned != plan_id(manifest, declared, imports) and not _begun(planned, manifest, declared):
        view = view_of(declared)
        raise Busy(
            f"{planned} is not the plan of {view} any more: it is declared, or answers, otherwise than then, or "
            "something was imported",
            why=f"{manifest.live} answers, generation {manifest.generation}: {manifest.note}" if manifest else "",
            next=f"dovetail plan {view}",
        )


def _begun(planned: str, manifest: Manifest | None, declared: VersionId) -> bool:
    """Whether a part was computed by this plan: what it took in stays, and the nights since are not its matter."""
    parts = manifest.staged_of(declared) if manifest else ()
    if manifest is None or planned not in {part.plan for part in parts}:
        return False
    return manifest.live == declared or planned == plan_id(manifest, declared, (each.id for each in parts[0].imports))
