"""Which runs answer for a view: pin, stage, promote, roll back and prune, each one replacement of the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dovetail.shared import manifest as rules
from dovetail.shared.errors import Busy, UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import LedgerStore, LostRace, VersionId, covered
from dovetail.shared.manifest import Manifest, ManifestStore, Pin, Run, RunId

KEEP = 2
"""How many earlier sets of runs stay to be rolled back to, where nothing is said."""


def promote(
    store: ManifestStore,
    ledger: LedgerStore,
    *,
    view: str,
    started: Manifest | None,
    runs: tuple[Run, ...],
    note: str,
    keep: int | None = None,
    window: float = 0.0,
) -> Manifest:
    """Makes `runs` answer for the view, if nothing else was promoted since `started` was read.

    `keep` earlier sets of runs stay to be rolled back to, and each other version that answered in the last `window`
    seconds.

    Raises:
        Busy: another promote or rollback came first, the run's pin was dropped, or the version is no longer in force
            for every record since.
    """
    version, seq = runs[-1].version, runs[-1].to_seq

    def replaced(now: Manifest | None) -> Manifest:
        same_generation(view, started, now)
        still_pinned(now, runs[-1])
        serveable(version, seq, ledger)
        if now is None:
            return rules.first(view, runs, note)
        kept = KEEP if keep is None else keep
        return rules.promoted(now, runs, keep=kept, note=note, now=time.time(), window=window)

    return _swapped(store, replaced)


def stage(store: ManifestStore, runs: tuple[Run, ...], *, note: str) -> Manifest:
    """Names `runs`, the last of which is pinned, as what has been computed beside of their version.

    Raises:
        Busy: the run's pin was dropped.
    """

    def replaced(now: Manifest | None) -> Manifest:
        if now is None or runs[-1].id not in now.pins:
            raise Busy(f"run {runs[-1].id} was not pinned all the time, so its table may be gone")
        return rules.staged(now, runs, note=note)

    return _swapped(store, replaced)


def unstage(store: ManifestStore, version: VersionId, *, note: str) -> Manifest:
    """Gives up what was computed beside of a version."""
    return _swapped(store, lambda now: rules.unstaged(_known(now), version, note=note))


def switch(
    store: ManifestStore,
    ledger: LedgerStore,
    *,
    view: str,
    started: Manifest | None,
    to: tuple[Run, ...],
    note: str,
    keep: int | None = None,
    window: float = 0.0,
    back: bool = False,
) -> Manifest:
    """Makes `to`, a set of runs that is staged or kept to be gone back to, answer for the view: forth or `back`.

    Raises:
        UsageError: that set of runs is not kept any more.
        Busy: another promote or rollback came first, or the version is no longer in force for every record since.
    """
    version, seq = to[-1].version, to[-1].to_seq

    def replaced(now: Manifest | None) -> Manifest:
        same_generation(view, started, now)
        if now is None or to not in (*now.staged, *now.rollback) or now.floor(version) > seq:
            raise UsageError(
                f"{view} cannot go to {version} at seq {seq}: it is not kept", next=f"dovetail history {view}"
            )
        serveable(version, seq, ledger)
        kept = KEEP if keep is None else keep
        return rules.promoted(now, to, keep=kept, note=note, now=time.time(), window=window, back=back)

    failpoint("switch.asked")
    manifest = _swapped(store, replaced)
    failpoint("switch.done")
    return manifest


def same_generation(view: str, started: Manifest | None, now: Manifest | None) -> None:
    """Raises Busy when what answers for the view has changed since `started` (rule 7)."""
    before, after = (m.generation if m else None for m in (started, now))
    if before != after:
        raise Busy(
            f"{view} went from generation {before} to {after} while this was running",
            why=f"another process changed it: {now.note if now else 'it was removed'}",
            next=f"dovetail batch {view}",
        )


def still_pinned(now: Manifest | None, run: Run) -> None:
    """Raises Busy when the pin of `run` is gone, or came after states above the run were given up (rule 7)."""
    if now is not None and (run.id not in now.pins or now.floor(run.version) > run.to_seq):
        raise Busy(
            f"run {run.id} up to seq {run.to_seq} was not pinned all the time, so parts of it may have been pruned",
            why="another batch of this view took over while this one was paused",
        )


def serveable(version: VersionId, seq: int, ledger: LedgerStore) -> None:
    """Raises Busy unless a run of `version` up to `seq` joins what speed holds for it (rule 5)."""
    rows = ledger.rows(after=seq - 1)
    if not covered(version, seq, rows):
        raise Busy(f"{version} was not in force for every record since seq {seq}: its run there cannot answer")


@contextmanager
def pin(store: ManifestStore, run: RunId, version: VersionId, seq: int, *, owner: str) -> Iterator[None]:
    """Keeps `run`, while it is written, and the states of `version` above `seq` from being pruned.

    The first run of a view needs none: nothing is pruned before there is a manifest.
    """
    if store.read() is None:
        yield
        return
    _swapped(store, lambda now: rules.pinned(_known(now), run, Pin(version, seq, owner)))
    try:
        yield
    finally:
        _swapped(store, lambda now: rules.unpinned(_known(now), [run]))


def drop_pins(store: ManifestStore) -> None:
    """Drops what killed batches left pinned. Only for the holder of the view's batch lock, before it pins."""
    now = store.read()
    if now is not None and now.pins:
        _swapped(store, lambda now: rules.unpinned(_known(now), _known(now).pins))


def raise_floors(store: ManifestStore) -> Manifest:
    """The first half of a prune: floors rise in the manifest, so that no reader counts on what is deleted next."""
    now = _known(store.read())
    if rules.pruned(now).floors == now.floors:
        return now
    return _swapped(store, lambda now: rules.pruned(_known(now)))


def give_up(store: ManifestStore, versions: Iterable[VersionId], seq: int) -> Manifest:
    """The first half of a clean: no receipt and no rollback counts on these versions' states up to `seq` any more.

    One that answers, may be gone back to or is being computed, by now, is left out.
    """
    return _swapped(store, lambda now: rules.given_up(_known(now), versions, seq))


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
