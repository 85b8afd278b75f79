"""When a view is due for a batch: by the age of its newest run, as its manifests tell it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dovetail.shared.declare import View
from dovetail.shared.manifest import ORIGIN, Manifest
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.tables import Layout


def ran_at(history: Sequence[Manifest]) -> float | None:
    """When the newest run that answers was first named, in seconds since 1970; None where no batch wrote it.

    After a rollback that is a run of the version gone back to.

    Args:
        history: every manifest of the view, oldest first.
    """
    if not history or (newest := history[-1].runs[-1].id) == ORIGIN:
        return None
    return next(m.at for m in history if any(run.id == newest for runs in m.sets for run in runs))


def ages(layout: Layout, views: Iterable[View], now: float) -> dict[str, float | None]:
    """By view how many seconds old its newest run is; None where there is none, or a clock was put back."""
    at = {view.name: ran_at(DeltaManifest(layout.manifest(view.name)).history()) for view in views}
    return {name: now - then if then is not None and then <= now else None for name, then in at.items()}
