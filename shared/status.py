"""How a project stands: what is wrong, worst first; each source and view. Reads tables, asks Kafka; no Spark."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

import pyarrow.compute as pc

from dovetail.shared import gaps, locks
from dovetail.shared.alarm import MOST, Recent, recent
from dovetail.shared.claims import Claims
from dovetail.shared.declare import Source, View
from dovetail.shared.dimensions import Dimension, Version, Versions
from dovetail.shared.duration import ago
from dovetail.shared.errors import DovetailError, IntegrityError, ServiceMissing
from dovetail.shared.ledger import Judged, LedgerRow, VersionId
from dovetail.shared.ledger_table import SCHEMA as LEDGER
from dovetail.shared.ledger_table import DeltaLedger, broken_in
from dovetail.shared.log import Extent, Log, TopicMissing, Waiting, resumable
from dovetail.shared.manifest import Manifest, RunId, unnamed
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, RecordId, named
from dovetail.shared.project import Project
from dovetail.shared.supersede import noted, unsent
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import short

SHOWN = 5
OPEN_S = 10.0
"""Seconds after which an open transaction is told: most end sooner."""


class Grade(IntEnum):
    """How bad a trouble is; the lowest is shown first."""

    WRONG = 0
    """Answers cannot be given, or records are gone."""
    STOPPED = 1
    """Answers are right and grow late."""
    UNFINISHED = 2
    """Something waits for a person."""


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong, and the one command that helps."""

    grade: Grade
    what: str
    next: str
    why: str = ""


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
    garbage: tuple[Path, ...] = ()
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
    """How the project stands. `down` is why Kafka could not be asked."""

    sources: tuple[SourceState, ...]
    views: tuple[ViewState, ...]
    dimensions: tuple[DimensionState, ...] = ()
    down: DovetailError | None = None

    @property
    def troubles(self) -> list[Trouble]:
        """Everything that is wrong, worst first."""
        last = {s.source.name: s.last for s in self.sources}
        found = [t for state in self.sources for t in _of_source(state)]
        found += [t for state in self.views for t in _of_view(state, last[state.view.source.name])]
        found += [t for state in self.dimensions for t in _of_dimension(state)]
        if self.down:
            found.append(_failed("Kafka", self.down, Grade.STOPPED))
        return sorted(found, key=lambda trouble: trouble.grade)


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
                state = replace(state, extent=extent, waiting=log.waiting(extent))
            except TopicMissing as missing:
                state = replace(state, failure=state.failure or missing)
            except ServiceMissing as missing:
                down = missing  # nothing more is asked: each question to a broker that is away takes its time
        sources.append(state)
    views = tuple(_view(project, view) for view in project.views.values())
    dimensions = tuple(_dimension(project.layout, dimension) for dimension in project.dimensions.values())
    return Status(tuple(sources), views, dimensions, down)


def _source(project: Project, source: Source) -> SourceState:
    layout, limit = project.layout, project.settings.speed.warn_if_quarantined
    state = SourceState(
        source,
        speed_runs=_held(layout.lock(f"speed-{source.name}")),
        archive_runs=_held(layout.lock(f"archive-{source.name}")),
    )
    try:
        last, claim = DeltaLedger(layout.ledger(source.name)).last(), Claims(layout.claims(source.name)).last()
        held = gaps.held(layout, source.name)
        # A few columns only: a ledger may have millions of rows.
        columns = ["consumed", "quarantined", "dropped", "rules", "seq", "kind", "commit_id", "format"]
        books = AppendTable(layout.ledger(source.name), LEDGER).read(columns=columns)
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
        too_many=newest if limit is not None and newest.above(limit) else None,
        unsent=unsent(layout, source.name, noted(books)),
        broken=broken_in(books["rules"].drop_null().to_pylist()),
    )


def _view(project: Project, view: View) -> ViewState:
    layout = project.layout
    running = _held(layout.lock(f"batch-{view.name}"))
    try:
        # The folders first, the manifest after: a batch pins its run before it writes the table.
        stored = {RunId(f.name): f for f in (layout.root / "views" / view.name / "versions").glob("*/runs/*")}
        manifest = DeltaManifest(layout.manifest(view.name)).read()
        declared = project.version(view)
    except DovetailError as error:
        return ViewState(view, batch_runs=running, failure=error)
    # The first run of a view has no manifest to pin it, but its batch holds the lock.
    never = set[RunId]() if running else set(stored)
    left = unnamed(stored, manifest) if manifest else never
    return ViewState(view, declared, manifest, running, tuple(sorted(stored[run] for run in left)))


def _dimension(layout: Layout, dimension: Dimension) -> DimensionState:
    versions = Versions(layout, dimension.name)
    said = versions.standing()
    return DimensionState(dimension, versions.last(), said["at"], said["problem"])


def _of_source(state: SourceState) -> Iterator[Trouble]:
    name, last = state.source.name, state.last
    if state.failure is not None:
        yield _failed(name, state.failure, Grade.WRONG)
    elif last is None:
        yield Trouble(Grade.UNFINISHED, f"{name}: was never read", "dovetail dev")
    else:
        if state.too_many is not None:
            what = f"{name}: {state.too_many} went to quarantine"
            yield Trouble(Grade.UNFINISHED, what, f"dovetail quarantine list {name}")
        if state.unsent:
            what = f"{name}: {named(state.unsent, most=SHOWN)} put right by a resend and not known to be sent"
            next_ = f"dovetail quarantine resend {name} {state.unsent[0]} --edit --again, unless the topic holds it"
            why = "the resend was cut short; answers leave out the broken record either way"
            yield Trouble(Grade.UNFINISHED, what, next_, why)
        if state.extent is not None:
            yield from _gone(state, last, state.extent)
            yield from _waiting(state)
        for layer, verb, runs, position in (
            ("speed", "speed", state.speed_runs, last.to),
            ("the archive", "archive", state.archive_runs, state.claim),
        ):
            if not runs:
                ahead = state.ahead(position)
                by = f", the log is {ahead:,} offset{'' if ahead == 1 else 's'} ahead" if ahead else ""
                yield Trouble(Grade.STOPPED, f"{name}: {layer} does not run{by}", f"dovetail {verb} {name}")


def _gone(state: SourceState, last: LedgerRow, extent: Extent) -> Iterator[Trouble]:
    """What the log no longer holds and was not read."""
    held, name = state.held, state.source.name
    at = last.to.at_least(held)  # what it can take from there
    for reader, position in {"the speed layer": at, "the archive": held}.items():
        try:
            resumable(extent, last.topic_id, position, reader=reader, source=name, held=held)
        except IntegrityError as error:
            yield _failed(name, error, Grade.WRONG)


def _waiting(state: SourceState) -> Iterator[Trouble]:
    """Transactions that no reader of committed records gets past."""
    for each in state.waiting:
        if each.seconds >= OPEN_S:
            by = f"of producer {each.producer}" if each.producer else "of an unknown producer"
            yield Trouble(
                Grade.STOPPED,
                f"{state.source.name}: position stands still at {each.record} while the log grows: a transaction {by} "
                f"is open, its last record {ago(each.seconds)} old",
                f"let that producer commit or abort; else kafka-transactions.sh abort --topic {state.source.topic} "
                f"--partition {each.record.partition} --start-offset {each.record.offset}",
                "answers are right and late: what may yet be aborted is not counted",
            )


def _of_view(state: ViewState, last: LedgerRow | None) -> Iterator[Trouble]:
    name, manifest = state.view.name, state.manifest
    if state.failure is not None:
        yield _failed(name, state.failure, Grade.WRONG)
    elif last is None:
        return  # its source was never read, which is said there
    elif manifest is None:
        yield Trouble(Grade.UNFINISHED, f"{name}: has never answered", f"dovetail batch {name}")
    elif manifest.live not in last.versions:
        what = f"{name}: does not go on, for {short(manifest.live)} is not in force for new records"
        yield Trouble(Grade.WRONG, what, f"dovetail batch {name} --full")
    elif state.changed:
        fingerprint = short(manifest.live).partition("@")[2]
        what = f"{name}: changed since {fingerprint}, which still answers; a full batch adopts the change"
        yield Trouble(Grade.UNFINISHED, what, f"dovetail batch {name} --full")


def _of_dimension(state: DimensionState) -> Iterator[Trouble]:
    name = f"dimension {state.dimension.name}"
    if state.problem and state.version is not None:
        what = f"{name}: version {state.version.n}, read {ago(state.age_seconds)} ago, goes on serving"
        yield Trouble(Grade.STOPPED, what, "dovetail batch", state.problem)
    elif state.version is None:
        yield Trouble(Grade.UNFINISHED, f"{name}: has never been read", "dovetail batch", state.problem)


def _failed(subject: str, error: DovetailError, grade: Grade) -> Trouble:
    return Trouble(grade, f"{subject}: {error.what}", error.next or "dovetail doctor", error.why)


def _held(lock: Path) -> bool:
    return lock.exists() and locks.is_held(lock)  # asking must not make the file
