"""What an answer is made of: a manifest, the ledger above its cut and the states that both name, read in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import CommitId, LedgerRow, VersionId, covered, until_detached, visible
from dovetail.shared.manifest import Manifest

ATTEMPTS = 20


class ManifestReader(Protocol):
    """Where a view's manifest is read."""

    def read(self) -> Manifest | None: ...


class LedgerReader(Protocol):
    """Where a source's ledger is read."""

    def rows(self, after: int = -1) -> Sequence[LedgerRow]:
        """The rows with seq > `after`, in order; raises IntegrityError on a gap or overlap."""


class StateReader(Protocol):
    """Where the states of the speed layer are read."""

    def commits(self, version: VersionId, after: int) -> Mapping[CommitId, Any]:
        """The stored states above seq `after`, by commit id: also those of attempts that never came into the ledger.

        Each value's `len` is its number of state rows.
        """


@dataclass(frozen=True)
class Snapshot:
    """The parts of an answer: the manifest's runs below the cut, and these commits above it."""

    manifest: Manifest
    rows: Sequence[LedgerRow]
    """The ledger from the cut's own row on."""
    commits: Mapping[CommitId, Any]

    @property
    def last(self) -> LedgerRow:
        return self.rows[-1]


def read(manifests: ManifestReader, ledger: LedgerReader, states: StateReader) -> Snapshot | None:
    """The newest snapshot; None while the view has never answered.

    Raises:
        IntegrityError: the parts do not fit together and the manifest is not being changed: never a number instead.
    """
    problem, view = "", ""
    for _ in range(ATTEMPTS):
        manifest = manifests.read()
        if manifest is None:
            return None
        view = manifest.view
        rows = until_detached(manifest.live, ledger.rows(after=manifest.seq - 1))
        stored = states.commits(manifest.live, manifest.seq)
        now = manifests.read()
        problem = misfit(manifest, now or manifest, rows, stored)
        if not problem:
            named = visible(manifest.live, rows, after=manifest.seq)
            return Snapshot(manifest, rows, {c: stored[c] for c in named})
        if now == manifest:
            break
    raise IntegrityError(f"{view} cannot be answered: {problem}", next="dovetail status")


def misfit(manifest: Manifest, now: Manifest, rows: Sequence[LedgerRow], stored: Mapping[CommitId, Any]) -> str:
    """Why the parts cannot make an answer, or nothing (rules 5 and 8)."""
    if below_floor(manifest, now):
        return f"states of {manifest.live} above its cut at seq {manifest.seq} have been pruned"
    if not covered(manifest.live, manifest.seq, rows):
        return f"{manifest.live} was not in force for every record since seq {manifest.seq}"
    return miscounted(manifest, rows, stored)


def miscounted(manifest: Manifest, rows: Sequence[LedgerRow], stored: Mapping[CommitId, Any]) -> str:
    """Which commit holds more or fewer state rows than the ledger says, or nothing."""
    for commit_id, count in visible(manifest.live, rows, after=manifest.seq).items():
        held = len(stored.get(commit_id, ()))
        if held != count:
            return f"commit {commit_id} holds {held} state rows of {manifest.live}, the ledger says {count}"
    return ""


def below_floor(manifest: Manifest, now: Manifest) -> bool:
    """Whether states that `manifest` needs may have been deleted since it was read."""
    return now.floor(manifest.live) > manifest.seq
