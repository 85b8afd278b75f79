"""The manifest: per view, which version answers, from which runs, and what may be rolled back to.

Pure rules and the seam to storage; `manifest_table.py` keeps it in Delta, each replacement a row of its history.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NewType, Protocol

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import LedgerRow, VersionId, covered
from dovetail.shared.position import Position, Range

RunId = NewType("RunId", str)
ORIGIN = RunId("origin")
"""The run of a version that was there from the first record on: it holds nothing and has no table."""


@dataclass(frozen=True)
class Admitted:
    """An import that a run holds, by its id: its records, and how many of them are in quarantine or repeat another."""

    id: int
    records: int
    quarantined: int = 0
    repeats: int = 0


@dataclass(frozen=True)
class Run:
    """One batch computation of one version: the records of ledger rows (from_seq, to_seq], written once.

    `lacks` are ranges in it that nobody held any more when it was computed, and that the version had not counted.
    `failed` are the records that made the version raise and that no commit has set apart: of before it was in force.
    `plan` is the plan that it was computed by, where that was named; for people.
    `imports` lie below every row of the ledger: only a run that begins there has any.
    """

    id: RunId
    version: VersionId
    from_seq: int
    to_seq: int
    range: Range
    state_rows: int = 0
    records: int = 0
    lacks: str = ""
    failed: int = 0
    plan: str = ""
    imports: tuple[Admitted, ...] = ()

    @property
    def cut(self) -> Position:
        return self.range.to

    @property
    def computed(self) -> int:
        """How many records it was computed of: those of the log, and those imported."""
        return self.records + sum(each.records for each in self.imports)


@dataclass(frozen=True)
class Pin:
    """A running batch's claim on its unfinished run and on the states of `version` above `seq`: prune leaves both."""

    version: VersionId
    seq: int
    owner: str


@dataclass(frozen=True)
class Manifest:
    """What answers for a view.

    `revision` counts every replacement and is what compare-and-set compares; `generation` grows only when the answer's
    parts change (promote, rollback). Floors: per version the seq at or below which speed states may be gone.
    Pins: by the run that is being written. Staged: sets of runs that are computed beside and answer once they are
    promoted, one a version. Replaced: when a version last stopped to answer, in seconds since 1970; for people, and
    for how long it may be gone back to. Left: by version that a rollback went away from, the generation it gave.
    """

    view: str
    revision: int
    generation: int
    runs: tuple[Run, ...]
    rollback: tuple[tuple[Run, ...], ...] = ()
    floors: Mapping[VersionId, int] = field(default_factory=dict)
    pins: Mapping[RunId, Pin] = field(default_factory=dict)
    staged: tuple[tuple[Run, ...], ...] = ()
    replaced: Mapping[VersionId, float] = field(default_factory=dict)
    left: Mapping[VersionId, int] = field(default_factory=dict)
    note: str = ""
    at: float = 0.0

    def __post_init__(self) -> None:
        for runs in (self.runs, *self.staged):
            adjoining(runs)

    @property
    def live(self) -> VersionId:
        return self.runs[-1].version

    @property
    def seq(self) -> int:
        """The ledger row at which batch hands over to speed."""
        return self.runs[-1].to_seq

    @property
    def cut(self) -> Position:
        return self.runs[-1].cut

    @property
    def sets(self) -> tuple[tuple[Run, ...], ...]:
        """Every set of runs that answers, may be gone back to or may be promoted."""
        return (self.runs, *self.rollback, *self.staged)

    @property
    def imports(self) -> tuple[Admitted, ...]:
        """What of old history is in the answers."""
        return self.runs[0].imports

    def floor(self, version: VersionId) -> int:
        return self.floors.get(version, -1)

    def in_full(self, declared: VersionId) -> VersionId:
        """The version that a full batch computes: the one declared, but for one that a rollback has left."""
        return self.live if declared in self.left else declared

    def staged_of(self, version: VersionId) -> tuple[Run, ...]:
        """What has been computed beside of a version; empty where nothing has."""
        return next((runs for runs in self.staged if runs[-1].version == version), ())

    def earlier_of(self, version: VersionId) -> tuple[Run, ...]:
        """The newest set of runs of a version that may be gone back to; empty where there is none."""
        return next((runs for runs in self.rollback if runs[-1].version == version), ())


class ManifestStore(Protocol):
    """Where a view's manifest is kept."""

    def read(self) -> Manifest | None:
        """The manifest, or None while the view has never answered."""

    def swap(self, new: Manifest) -> None:
        """Replaces revision `new.revision - 1` by `new`; raises LostRace if another revision is there."""


def adjoining(runs: tuple[Run, ...]) -> None:
    """Raises IntegrityError unless the runs join end to end, from the origin on, all of one version."""
    if not runs:
        raise IntegrityError("a manifest needs at least one run")
    for before, after in itertools.pairwise(runs):
        if (after.from_seq, after.range.from_, after.version) != (before.to_seq, before.cut, before.version):
            raise IntegrityError(f"run {after.id} does not join run {before.id}: {before} | {after}")
    for run in runs:
        if run.imports and run.from_seq >= 0:
            raise IntegrityError(f"run {run.id} begins at seq {run.from_seq}, above what it imports: {run}")


def first(view: str, runs: tuple[Run, ...], note: str) -> Manifest:
    return Manifest(view=view, revision=0, generation=0, runs=runs, note=note)


def promoted(
    old: Manifest, runs: tuple[Run, ...], *, keep: int, note: str, now: float = 0.0, window: float = 0.0,
    back: bool = False,
) -> Manifest:  # fmt: skip
    """`runs` answer from now on; `back`, if that is to leave for good what answered, as a rollback does.

    To be gone back to stay the `keep` latest earlier sets, and of each other version that answered less than `window`
    seconds before `now` the newest one.
    """
    replaced = _replaced(old, runs, now)
    earlier = (old.runs, *(each for each in old.rollback if each != runs))
    fresh = {v for v, at in replaced.items() if at > now - window}
    newest = {each[-1].version: i for i, each in reversed([*enumerate(earlier)])}
    left = {old.live: old.generation + 1} if back else {}
    return replace(
        old,
        revision=old.revision + 1,
        generation=old.generation + 1,
        runs=runs,
        rollback=tuple(
            each
            for i, each in enumerate(earlier)
            if i < keep or (each[-1].version in fresh and newest[each[-1].version] == i)
        ),
        staged=tuple(each for each in old.staged if each != runs),
        replaced=replaced,
        left={v: at for v, at in old.left.items() if v != runs[-1].version} | left,
        note=note,
    )


def staged(old: Manifest, runs: tuple[Run, ...], *, note: str) -> Manifest:
    """`runs` are what has been computed beside of their version; what answers stays as it is."""
    others = tuple(each for each in old.staged if each[-1].version != runs[-1].version)
    return replace(old, revision=old.revision + 1, staged=(*others, runs), note=note)


def unstaged(old: Manifest, version: VersionId, *, note: str) -> Manifest:
    """What was computed beside of a version is given up."""
    left = tuple(each for each in old.staged if each[-1].version != version)
    return replace(old, revision=old.revision + 1, staged=left, note=note)


def _replaced(old: Manifest, runs: tuple[Run, ...], now: float) -> dict[VersionId, float]:
    version = runs[-1].version
    stopped = {} if old.live == version else {old.live: now}
    return {v: at for v, at in {**old.replaced, **stopped}.items() if v != version}


def pinned(old: Manifest, run: RunId, pin: Pin) -> Manifest:
    return replace(old, revision=old.revision + 1, pins={**old.pins, run: pin}, note=f"pin by {pin.owner}")


def unpinned(old: Manifest, runs: Iterable[RunId]) -> Manifest:
    gone = set(runs)
    left = {run: pin for run, pin in old.pins.items() if run not in gone}
    return replace(old, revision=old.revision + 1, pins=left, note="unpin")


def needed(manifest: Manifest) -> dict[VersionId, int]:
    """Per version that is live, kept, staged or being computed: the seq above which its states must stay."""
    lowest: dict[VersionId, int] = {}
    for version, seq in [
        *((runs[-1].version, runs[-1].to_seq) for runs in manifest.sets),
        *((pin.version, pin.seq) for pin in manifest.pins.values()),
    ]:
        lowest[version] = min(seq, lowest.get(version, seq))
    return lowest


def pruned(old: Manifest) -> Manifest:
    """Floors raised to what no live run, rollback target or pin still needs; rule 7: this first, deletion after."""
    floors = {**old.floors, **{v: max(seq, old.floor(v)) for v, seq in needed(old).items()}}
    return replace(old, revision=old.revision + 1, floors=floors, note="prune")


def given_up(old: Manifest, versions: Iterable[VersionId], seq: int) -> Manifest:
    """Floors of versions that nothing needs raised to `seq`; those that something needs stay as they are."""
    gone = {v: max(old.floor(v), seq) for v in versions if v not in needed(old)}
    return replace(old, revision=old.revision + 1, floors={**old.floors, **gone}, note="clean")


def ready(manifest: Manifest, runs: tuple[Run, ...], rows: Sequence[LedgerRow]) -> bool:
    """Whether speed answers for every record of `rows` after these runs: it folded each, and has kept its states."""
    version, seq = runs[-1].version, runs[-1].to_seq
    return covered(version, seq, rows) and manifest.floor(version) <= seq


def go_on(manifest: Manifest, version: VersionId) -> str:
    """The command that computes the rest of what is staged of a version, while that is the one declared."""
    return f"dovetail reprocess {manifest.view}{' --from-scratch' if version == manifest.live else ''}"


def runs_of(manifest: Manifest | None, version: VersionId) -> dict[RunId, Run]:
    """The runs of a version that answer or may be rolled back to."""
    sets = (manifest.runs, *manifest.rollback) if manifest else ()
    return {run.id: run for runs in sets for run in runs if run.version == version}


def unnamed(stored: Iterable[RunId], manifest: Manifest) -> set[RunId]:
    """Those of the run tables `stored` that may be deleted: no set of runs and no running batch names them.

    List the tables first and read the manifest after: a batch pins its run before it writes the table.
    """
    named = {run.id for runs in manifest.sets for run in runs}
    return set(stored) - named - set(manifest.pins)
