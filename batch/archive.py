"""The archive: appends every record's bytes to the master dataset, then claims to hold everything below."""

from __future__ import annotations

from typing import Protocol

from dovetail.shared.failpoints import failpoint
from dovetail.shared.position import Position, Range


class ArchiveStore(Protocol):
    """The master dataset, as far as the archive needs it."""

    def held(self) -> Position:
        """The largest offset held plus one, per partition."""

    def claim(self) -> Position | None:
        """The last claim, or None before the first."""

    def append(self, span: Range) -> None:
        """Appends the records of `span` in one commit."""

    def write_claim(self, to: Position) -> None: ...


def resume_at(store: ArchiveStore, origin: Position) -> Position:
    """Where to go on: from the data itself, so that data without their claim are not read twice.

    Claims it too: data whose claim a crash prevented would else not count before the next record comes.
    """
    claimed, held = store.claim(), store.held()
    start = origin if claimed is None else claimed
    at = start.at_least(held)
    if at != claimed:
        store.write_claim(at)
    return at


def archive(store: ArchiveStore, span: Range) -> None:
    """One step: the data first, then the claim that covers them."""
    failpoint("archive.before_data")
    store.append(span)
    failpoint("archive.before_claim")
    store.write_claim(span.to)
    failpoint("archive.after_claim")
