"""How the views stand that somebody may ask: what is wrong with them, and up to where batch and speed have come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from dovetail.serving import describe
from dovetail.serving.behind import Behind
from dovetail.serving.edition import Edition
from dovetail.serving.view import View
from dovetail.shared import proofs
from dovetail.shared.manifest import ORIGIN
from dovetail.shared.tables import Layout


def whole(
    views: Sequence[View], behind: Behind, layout: Layout, change: Callable[[str], dict[str, Any] | None],
    operates: Callable[[str], bool],
) -> dict[str, Any]:  # fmt: skip
    """Problems with the command that helps, and every view; times are in seconds since 1970, as is `now`.

    `change` gives what is told of a view's changes, None for nothing; who `operates` a view is told of the inside.

    Reads what the last recount of each source found: for a thread that may wait.
    """
    told = [_view(view, behind, layout, operates(view.name)) | {"change": change(view.name)} for view in views]
    return {"now": time.time(), "problems": [*_refused(views, operates), *_disproved(told)], "views": told}


def _view(view: View, behind: Behind, layout: Layout, inside: bool) -> dict[str, Any]:
    edition, line = view.published, describe.line(view, inside=inside)
    if edition is None:
        return line
    topic, end = edition.shape.topic, behind.end(edition.shape.topic)
    proved = proofs.last(layout, edition.shape.source)
    return {
        **line,
        **edition.account_of(),
        "source": edition.shape.source,
        "origin": edition.manifest.runs[0].range.from_.as_json(),
        "end": end.as_json() if end is not None else None,
        "behind": behind.of(topic, edition.position),
        "run_at": _run_at(edition, layout),
        "proved": asdict(proved) if proved else None,
    }


def _refused(views: Sequence[View], operates: Callable[[str], bool]) -> Iterator[dict[str, str]]:
    for view in views:
        if refusal := describe.refusal(view):
            what = describe.told(refusal, inside=operates(view.name))
            yield {"of": view.name, "what": what, "next": refusal.next}


def _disproved(told: Sequence[dict[str, Any]]) -> Iterator[dict[str, str]]:
    found = {view["source"]: view["proved"] for view in told if view.get("proved")}
    for source, proved in found.items():
        if not proved["holds"]:
            what = f"{proved['lost']} lost, {proved['doubled']} doubled: found by the recount at seq {proved['seq']}"
            yield {"of": source, "what": what, "next": f"dovetail prove {source}"}


def _run_at(edition: Edition, layout: Layout) -> float | None:
    """When the newest run was written; None where there is none, or it cannot be told."""
    run = edition.manifest.runs[-1]
    return None if run.id == ORIGIN else _written(layout.run(run.version, run.id))


@lru_cache(maxsize=1024)
def _written(table: Path) -> float | None:
    # A run's table is written once, under a path that is never used again.
    try:
        return float(DeltaTable(str(table)).history(1)[0]["timestamp"]) / 1000
    except (DeltaError, OSError, LookupError):
        return None
