"""How a project stands: each source, view and dimension. Reads tables, asks Kafka; no Spark. See troubles.py."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.compute as pc

from dovetail.shared import gaps, gates, locks, proofs
from dovetail.shared.alarm import MOST, Recent, recent
from dovetail.shared.claims import Claims
from dovetail.shared.declare import Source, View
from dovetail.shared.dimensions import Dimension, Version, Versions
from dovetail.shared.errors import DovetailError, ServiceMissing
from dovetail.shared.imports import Imports, coming, going
from dovetail.shared.ledger import Judged, LedgerRow, VersionId
from dovetail.shared.ledger_table import SCHEMA as LEDGER
from dovetail.shared.ledger_table import DeltaLedger, broken_in
from dovetail.shared.log import Extent, Log, TopicMissing, Waiting
from dovetail.shared.manifest import Manifest, RunId, needed, unnamed
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.pauses import Pause, paused
from dovetail.shared.places import size
from dovetail.shared.position import Position, RecordId
from dovetail.shared.project import Project
from dovetail.shared.proofs import Proved
from dovetail.shared.states import QUARANTINE
from dovetail.shared.supersede import noted, unsent
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.trino import sync as trino
from dovetail.shared.unread import Unread, unread


@dataclass(frozen=True)
class SourceState:
    """How one source stands; None for what is not known: never read, or Kafka does not answer.
    `held` is up to where its master holds what came; `waiting` are open transactions. `failure` is what reading its
    tables, or finding its topic, raised.
    """

    source: Source
    last: LedgerRow | None = None
    claim: Position | None = None
    extent: Extent | None = None
    consumed: int = 0
    quarantined: int = 0
    dropped: int = 0
    broken: Mapping[Judged, int] = field(default_factory=dict)
    too_many: Recent | None = None
    """The newest commits, where more of their records went to quarantine than `speed.warn_if_quarantined` says."""
    held: Position = Position()  # noqa: RUF009  a value
    waiting: Sequence[Waiting] = ()
    speed_runs: bool = False
    archive_runs: bool = False
    proved: Proved | None = None
    """What its last recount found."""
    near: Unread | None = None
    """The oldest unread record, where more of its time is over than `retention.warn_unread` says."""
    quarantine: int = 0
    """The bytes of the quarantine, where they are more than `retention.warn_quarantine` says."""
    speed_paused: Pause | None = None
    archive_paused: Pause | None = None
    unsent: Sequence[RecordId] = ()
    """Records that were put right and of whose corrected ones no acknowledgement is noted."""
    failure: DovetailError | None = None

    @property
    def position(self) -> Position | None:
        return self.last.to if self.last else None

    def ahead(self, of: Position | None) -> int | None:
        """Offsets between a position and the log's end; no count of records, for a log has holes."""
        if self.extent is None or of is None:
            return None
        return sum(max(0, end - of[p]) for p, end in self.extent.end.items())


@dataclass(frozen=True)
class ViewState:
    """How one view stands. `garbage` are run folders that no manifest and no running batch names."""

    view: View
    declared: VersionId | None = None
    manifest: Manifest | None = None
    batch_runs: bool = False
    batch_paused: Pause | None = None
    garbage: tuple[Path, ...] = ()
    waste: int = 0
    """The bytes that a clean would delete, where they are more than `retention.warn_waste` says."""
    held_back: gates.Held | None = None
    """Which gate keeps the newest batch from answering, with its figures."""
    coming: Sequence[int] = ()
    """Imports that are not in its answers yet, by their ids."""
    going: Sequence[int] = ()
    """Dropped ones that are in them still."""
    trino: str = ""
    """Why Trino was not brought up to date, where there is one and that failed last."""
    failure: DovetailError | None = None

    @property
    def changed(self) -> bool:
        """Whether the declaration is another one than what answers."""
        return self.manifest is not None and self.declared is not None and self.manifest.live != self.declared


@dataclass(frozen=True)
class DimensionState:
    """How one dimension stands: its newest version, when it was last read, and why not since then."""

    dimension: Dimension
    version: Version | None
    read_at: float
    problem: str

    @property
    def age_seconds(self) -> float:
        return time.time() - self.read_at


@dataclass(frozen=True)
class Status:
    """How the project stands. `down` is why Kafka could not be asked; `locks` are those that are held now."""

    sources: tuple[SourceState, ...]
    views: tuple[ViewState, ...]
    dimensions: tuple[DimensionState, ...] = ()
    down: DovetailError | None = None
    locks: tuple[locks.Owner, ...] = ()


def look(project: Project, log: Log | ServiceMissing) -> Status:
    """Looks at every source and view.

    Args:
        log: the project's Kafka, or why there is none to ask.
    """
    down = log if isinstance(log, ServiceMissing) else None
    sources = []
    for source in project.sources.values():
        state = _source(project, source)
        if isinstance(log, Log) and down is None:
            try:
                extent = log.extent(source.topic)
                near = _near(project, log, extent, state)
                state = replace(state, extent=extent, waiting=log.waiting(extent), near=near)
            except TopicMissing as missing:
                state = replace(state, failure=state.failure or missing)
            except ServiceMissing as missing:
                down = missing  # nothing more is asked: each question to a broker that is away takes its time
        sources.append(state)
    last = {state.source.name: state.last for state in sources}
    views = tuple(_view(project, view, last[view.source.name]) for view in project.views.values())
    dimensions = tuple(_dimension(project.layout, dimension) for dimension in project.dimensions.values())
    held = tuple(locks.owners(project.layout.lock("").parent))
    return Status(tuple(sources), views, dimensions, down, held)


def _source(project: Project, source: Source) -> SourceState:
    layout, limit = project.layout, project.settings.speed.warn_if_quarantined
    state = SourceState(
        source,
        speed_runs=_held(layout.lock(f"speed-{source.name}")),
        archive_runs=_held(layout.lock(f"archive-{source.name}")),
        proved=proofs.last(layout, source.name),
        speed_paused=paused(layout, "speed", source.name),
        archive_paused=paused(layout, "archive", source.name),
    )
    try:
        last, claim = DeltaLedger(layout.ledger(source.name)).last(), Claims(layout.claims(source.name)).last()
        held = gaps.held(layout, source.name)
        # A few columns only: a ledger may have millions of rows.
        columns = ["consumed", "quarantined", "dropped", "rules", "seq", "kind", "commit_id", "format"]
        books = AppendTable(layout.ledger(source.name), LEDGER).read(columns=columns)
        _, size = AppendTable(layout.quarantine(source.name), QUARANTINE).size
    except DovetailError as error:
        return replace(state, failure=error)
    consumed, quarantined, dropped = (pc.sum(books[name]).as_py() or 0 for name in columns[:3])
    commits = books.filter(pc.equal(books["kind"], "commit")).sort_by([("seq", "descending")]).slice(0, MOST)
    newest = recent(zip(*(commits[name].to_pylist() for name in columns[:2]), strict=True))
    return replace(
        state,
        last=last,
        claim=claim,
        held=held,
        consumed=consumed,
        quarantined=quarantined,
        dropped=dropped,
        quarantine=size if size > project.settings.retention.warn_quarantine else 0,
        too_many=newest if limit is not None and newest.above(limit) else None,
        unsent=unsent(layout, source.name, noted(books)),
        broken=broken_in(books["rules"].drop_null().to_pylist()),
    )


def _near(project: Project, log: Log, extent: Extent, state: SourceState) -> Unread | None:
    share = project.settings.retention.warn_unread
    if share is None or state.last is None or not extent.gone(state.last.to.up_to(state.held)).empty:
        return None  # what is gone already is told as such
    found = unread(log, extent, state.last.to.up_to(state.held))
    return found if found and found.above(share) else None


def _view(project: Project, view: View, last: LedgerRow | None) -> ViewState:
    layout = project.layout
    running = _held(layout.lock(f"batch-{view.name}"))
    state = ViewState(view, batch_runs=running, batch_paused=paused(layout, "batch", view.name))
    try:
        # The folders first, the manifest after: a batch pins its run before it writes the table.
        stored = {RunId(f.name): f for f in (layout.root / "views" / view.name / "versions").glob("*/runs/*")}
        manifest = DeltaManifest(layout.manifest(view.name)).read()
        declared = project.version(view)
        live = Imports(layout, view.source.name).live()
    except DovetailError as error:
        return replace(state, failure=error)
    # The first run of a view has no manifest to pin it, but its batch holds the lock.
    never = set[RunId]() if running else set(stored)
    left = unnamed(stored, manifest) if manifest else never
    garbage = tuple(sorted(stored[run] for run in left))
    needs = {*(last.versions if last else ()), *(needed(manifest) if manifest else ())}
    every = layout.versions(view.name).glob("[!.]*/states")
    earlier = [f for f in every if f"{view.name}@{f.parent.name}" not in needs] if manifest else []
    waste, most = sum(map(size, [*garbage, *earlier])), project.settings.retention.warn_waste
    return replace(
        state,
        declared=declared,
        manifest=manifest,
        garbage=garbage,
        waste=waste if waste > most else 0,
        coming=coming(manifest, live) if manifest else (),
        going=going(manifest, live) if manifest else (),
        held_back=gates.held_back(layout, manifest) if manifest else None,
        trino=trino.behind(layout, view.name) if project.settings.trino.url else "",
    )


def _dimension(layout: Layout, dimension: Dimension) -> DimensionState:
    versions = Versions(layout, dimension.name)
    said = versions.standing()
    return DimensionState(dimension, versions.last(), said["at"], said["problem"])


def _held(lock: Path) -> bool:
    return lock.exists() and locks.is_held(lock)  # asking must not make the file
