"""What an operator sees of a view's changes: what waits, what the last diff found, who changed it, the way back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from dovetail.shared import gates, last_diff
from dovetail.shared.errors import DovetailError
from dovetail.shared.manifest import Manifest
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.tables import Layout


class Changes:
    """Follows manifests while somebody looks. For threads that may wait."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._stores = dict[str, DeltaManifest]()
        self._last = dict[str, tuple[int, dict[str, Any] | None]]()
        self._lock = threading.Lock()

    def of(self, view: str) -> dict[str, Any] | None:
        """None where the view has no manifest that can be read; what is wrong with it is told of the view itself."""
        with self._lock:
            try:
                return self._of(view)
            except DovetailError:
                del self._stores[view]  # opened anew at the next look
                return None

    def _of(self, view: str) -> dict[str, Any] | None:
        if view not in self._stores:
            self._stores[view] = DeltaManifest(self._layout.manifest(view))
        store = self._stores[view]
        now = store.read()
        if now is None:
            return None
        if self._last.get(view, (-1,))[0] != now.generation:
            self._last[view] = now.generation, changed(store.history())
        held = gates.held_back(self._layout, now)
        return {
            **_ways(now),
            "changed": self._last[view][1],
            "diff": self._diff(now),
            "held_back": asdict(held) if held else None,
        }

    def _diff(self, now: Manifest) -> Mapping[str, Any] | None:
        """The last diff, while what it compared still waits."""
        found = last_diff.last(self._layout, now.view)
        waits = found is not None and found.before == now.live and any(r[-1].version == found.after for r in now.staged)
        return asdict(found) if found and waits else None


def changed(history: Sequence[Manifest]) -> dict[str, Any] | None:
    """When another version came to answer last, and the note of who made it; None where none ever did."""
    for before, after in reversed([*pairwise(history)]):
        if before.live != after.live:
            return {"version": after.live, "before": before.live, "at": after.at, "note": after.note}
    return None


def _ways(now: Manifest) -> dict[str, Any]:
    back = next((runs[-1].version for runs in now.rollback if runs[-1].version != now.live), None)
    return {
        "staged": [
            {"version": runs[-1].version, "seq": runs[-1].to_seq,
             "next": f"dovetail promote {now.view} --to {runs[-1].version}"}
            for runs in now.staged
        ],
        "back": back and {"version": back, "next": f"dovetail rollback {now.view} --to {back}"},
    }  # fmt: skip
