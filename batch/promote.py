"""Which runs answer for a view: pin, promote and prune, each one replacement of the manifest."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dovetail.shared import manifest as rules
from dovetail.shared.errors import Busy
from dovetail.shared.ledger import LedgerStore, LostRace, VersionId, covered
from dovetail.shared.manifest import Manifest, ManifestStore, Pin, Run

KEEP = 2
"""How many earlier sets of runs stay to be rolled back to."""


def promote(
    store: ManifestStore, ledger: LedgerStore, *, view: str, started: Manifest | None, runs: tuple[Run, ...], note: str
) -> Manifest:
    """Makes `runs` answer for the view, if nothing else was promoted since `started` was read.

    Raises:
        Busy: another promote or rollback came first, or the version is no longer in force for every record since.
    """
    version, seq = runs[-1].version, runs[-1].to_seq

    def replaced(now: Manifest | None) -> Manifest:
        same_generation(view, started, now)
        serveable(version, seq, ledger)
        return rules.promoted(now, runs, keep=KEEP, note=note) if now else rules.first(view, runs, note)

    return _swapped(store, replaced)


def same_generation(view: str, started: Manifest | None, now: Manifest | None) -> None:
    """Raises Busy when what answers for the view has changed since `started` (rule 7)."""
    before, after = (m.generation if m else None for m in (started, now))
    if before != after:
        raise Busy(
            f"{view} went from generation {before} to {after} while this was running",
            why=f"another process changed it: {now.note if now else 'it was removed'}",
            next=f"dovetail batch {view}",
        )


def serveable(version: VersionId, seq: int, ledger: LedgerStore) -> None:
    """Raises Busy unless a run of `version` up to `seq` joins what speed holds for it (rule 5)."""
    rows = ledger.rows(after=seq - 1)
    if not covered(version, seq, rows):
        raise Busy(f"{version} was not in force for every record since seq {seq}: its run there cannot answer")


@contextmanager
def pin(store: ManifestStore, version: VersionId, seq: int, *, owner: str) -> Iterator[None]:
    """Keeps the states of `version` above `seq` from being pruned while a batch runs."""
    if store.read() is None:
        yield
        return
    pin_id = uuid.uuid4().hex[:12]
    _swapped(store, lambda now: rules.pinned(_known(now), pin_id, Pin(version, seq, owner)))
    try:
        yield
    finally:
        _swapped(store, lambda now: rules.unpinned(_known(now), pin_id))


def raise_floors(store: ManifestStore) -> Manifest:
    """The first half of a prune: floors rise in the manifest, so that no reader counts on what is deleted next."""
    return _swapped(store, lambda now: rules.pruned(_known(now)))


def _swapped(store: ManifestStore, change: Callable[[Manifest | None], Manifest]) -> Manifest:
    while True:
        new = change(store.read())
        try:
            store.swap(new)
        except LostRace:
            continue
        return new


def _known(manifest: Manifest | None) -> Manifest:
    if manifest is None:
        raise RuntimeError("there is no manifest to change")
    return manifest
