"""How long a computation will take, by what others took: a manifest's history says when each began and ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.shared.manifest import Manifest, RunId


@dataclass(frozen=True)
class Rate:
    """Records a second of the run that was measured, which had so many records."""

    run: RunId
    records: int
    seconds: float

    def of(self, records: int) -> float:
        """Seconds that so many records take at this rate."""
        return records * self.seconds / self.records


def measured(history: Sequence[Manifest]) -> Rate | None:
    """The rate of the largest run in a history, oldest first; None where none was measured.

    A run is pinned before it is written, and named when it is whole: so its pin is where it began. The largest, for a
    small one takes as long as it takes to begin. The first run of a view has no pin, for there is no manifest.
    """
    began: dict[RunId, float] = {}
    found: list[Rate] = []
    for manifest in history:
        for run in (run for runs in (manifest.runs, *manifest.staged) for run in runs):
            if (at := began.pop(run.id, None)) is not None and run.computed and manifest.at > at:
                found.append(Rate(run.id, run.computed, manifest.at - at))
        named = {run.id for runs in manifest.sets for run in runs}
        began |= {run: manifest.at for run in manifest.pins if run not in named and run not in began}
    return max(reversed(found), key=lambda rate: rate.records, default=None)
