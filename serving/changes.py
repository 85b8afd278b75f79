"""What an operator sees of a view's changes: what waits, what the last diff found, who changed it, the way back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from dovetail.shared import gates, last_diff
from dovetail.shared.errors import DovetailError
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, Run, go_on, ready
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.tables import Layout


class Changes:
    """Follows manifests while somebody looks. For threads that may wait."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._stores = dict[str, DeltaManifest]()
        self._ledgers = dict[str, DeltaLedger]()
        self._last = dict[str, tuple[int, dict[str, Any] | None]]()
        self._lock = threading.Lock()

    def of(self, view: str, source: str) -> dict[str, Any] | None:
        """None where the view has no manifest that can be read; what is wrong with it is told of the view itself."""
        with self._lock:
            try:
                return self._of(view, source)
            except DovetailError:
                self._stores.pop(view, None)  # opened anew at the next look
                self._ledgers.pop(source, None)
                return None

    def _of(self, view: str, source: str) -> dict[str, Any] | None:
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
            "staged": [self._waiting(now, runs, source) for runs in now.staged],
            "back": _back(now),
            "changed": self._last[view][1],
            "diff": self._diff(now),
            "held_back": asdict(held) if held else None,
        }

    def _waiting(self, now: Manifest, runs: tuple[Run, ...], source: str) -> dict[str, Any]:
        """What was computed beside: may it answer, or is a part of it still to be computed?"""
        if source not in self._ledgers:
            self._ledgers[source] = DeltaLedger(self._layout.ledger(source))
        version, seq = runs[-1].version, runs[-1].to_seq
        whole = ready(now, runs, self._ledgers[source].rows(after=seq - 1))
        way = f"dovetail promote {now.view} --to {version}" if whole else go_on(now, version)
        return {"version": version, "seq": seq, "ready": whole, "next": way}

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


def _back(now: Manifest) -> dict[str, Any] | None:
    version = next((runs[-1].version for runs in now.rollback if runs[-1].version != now.live), None)
    return {"version": version, "next": f"dovetail rollback {now.view} --to {version}"} if version else None
