"""What is wrong with a project, worst first: each trouble with its command, and the page that says more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from dovetail.shared.duration import ago
from dovetail.shared.errors import DovetailError, IntegrityError
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.log import Extent, TopicMissing, refuse_another, resumable
from dovetail.shared.pauses import Pause
from dovetail.shared.position import RecordId, named
from dovetail.shared.proofs import Proved
from dovetail.shared.status import DimensionState, SourceState, Status, ViewState
from dovetail.shared.unread import Unread
from dovetail.shared.versions import short

SHOWN = 5
"""Records that are named one by one."""
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


class Code(StrEnum):
    """Which kind of trouble it is. A code keeps its meaning for good, and is the name of its page in docs/runbook."""

    ANOTHER_LOG = "another-log"
    ARCHIVE_PAUSED = "archive-paused"
    ARCHIVE_STOPPED = "archive-stopped"
    BATCH_PAUSED = "batch-paused"
    DIMENSION_NEVER_READ = "dimension-never-read"
    DIMENSION_STALE = "dimension-stale"
    GATE_CLOSED = "gate-closed"
    IMPORT_WAITING = "import-waiting"
    KAFKA_DOWN = "kafka-down"
    NEVER_ANSWERED = "never-answered"
    NEVER_READ = "never-read"
    OPEN_TRANSACTION = "open-transaction"
    PROOF_FAILED = "proof-failed"
    QUARANTINE_SHARE = "quarantine-share"
    QUARANTINE_SIZE = "quarantine-size"
    RECORDS_GONE = "records-gone"
    RESEND_UNSENT = "resend-unsent"
    RETENTION_NEAR = "retention-near"
    SPEED_PAUSED = "speed-paused"
    SPEED_STOPPED = "speed-stopped"
    STAGED_UNDECLARED = "staged-undeclared"
    TOPIC_MISSING = "topic-missing"
    UNREADABLE = "unreadable"
    VERSION_DETACHED = "version-detached"
    VIEW_CHANGED = "view-changed"
    WASTE = "waste"

    @property
    def page(self) -> str:
        """Where what to do is written, from the root of the repository."""
        return f"docs/runbook/{self}.md"


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong, and the one command that helps."""

    code: Code
    grade: Grade
    what: str
    next: str
    why: str = ""


def troubles(found: Status) -> list[Trouble]:
    """Everything that is wrong, worst first."""
    last = {s.source.name: s.last for s in found.sources}
    told = [t for state in found.sources for t in _of_source(state)]
    told += [t for state in found.views for t in _of_view(state, last[state.view.source.name])]
    told += [t for state in found.dimensions for t in _of_dimension(state)]
    if found.down:
        told.append(_failed(Code.KAFKA_DOWN, "Kafka", found.down, Grade.STOPPED))
    return sorted(told, key=lambda trouble: trouble.grade)


def _of_source(state: SourceState) -> Iterator[Trouble]:
    name, last = state.source.name, state.last
    yield from _paused(Code.SPEED_PAUSED, state.speed_paused)
    yield from _paused(Code.ARCHIVE_PAUSED, state.archive_paused)
    if state.failure is not None:
        missing = isinstance(state.failure, TopicMissing)
        yield _failed(Code.TOPIC_MISSING if missing else Code.UNREADABLE, name, state.failure, Grade.WRONG)
    elif last is None:
        yield Trouble(Code.NEVER_READ, Grade.UNFINISHED, f"{name}: was never read", "dovetail dev")
    else:
        if state.proved is not None and not state.proved.holds:
            yield _disproved(name, state.proved)
        if state.too_many is not None:
            what = f"{name}: {state.too_many} went to quarantine"
            yield Trouble(Code.QUARANTINE_SHARE, Grade.UNFINISHED, what, f"dovetail quarantine list {name}")
        if state.quarantine:
            what = f"{name}: its quarantine takes {state.quarantine:,} bytes"
            yield Trouble(Code.QUARANTINE_SIZE, Grade.UNFINISHED, what, f"dovetail quarantine list {name}")
        if state.near is not None:
            yield _near(state, last, state.near)
        if state.unsent:
            yield _unsent(name, state.unsent)
        if state.extent is not None:
            yield from _gone(state, last, state.extent)
            yield from _waiting(state)
        if not state.speed_runs and not state.speed_paused:
            yield _stopped(Code.SPEED_STOPPED, f"{name}: speed", state.ahead(last.to), f"dovetail speed {name}")
        if not state.archive_runs and not state.archive_paused:
            ahead = state.ahead(state.claim)
            yield _stopped(Code.ARCHIVE_STOPPED, f"{name}: the archive", ahead, f"dovetail archive {name}")


def _unsent(source: str, records: Sequence[RecordId]) -> Trouble:
    return Trouble(
        Code.RESEND_UNSENT,
        Grade.UNFINISHED,
        f"{source}: {named(records, most=SHOWN)} put right by a resend and not known to be sent",
        f"dovetail quarantine resend {source} {records[0]} --edit --again, unless the topic holds it",
        "the resend was cut short; answers leave out the broken record either way",
    )


def _disproved(source: str, proved: Proved) -> Trouble:
    when = f"{ago(time.time() - proved.at)} ago, at seq {proved.seq}"
    what = f"{source}: the recount of {when}, did not hold: {proved.lost:,} lost, {proved.doubled:,} doubled"
    return Trouble(Code.PROOF_FAILED, Grade.WRONG, what, f"dovetail prove {source}")


def _near(state: SourceState, last: LedgerRow, near: Unread) -> Trouble:
    name, record = state.source.name, near.record
    layer = "archive" if state.held[record.partition] <= last.to[record.partition] else "speed"
    what = (
        f"{name}: {layer} has not read {record}, which is {ago(near.seconds)} old; Kafka keeps it for {ago(near.kept)}"
    )
    return Trouble(Code.RETENTION_NEAR, Grade.STOPPED, what, f"dovetail {layer} {name}")


def _paused(code: Code, pause: Pause | None) -> Iterator[Trouble]:
    if pause:
        yield Trouble(code, Grade.STOPPED, str(pause), pause.command)


def _stopped(code: Code, layer: str, ahead: int | None, command: str) -> Trouble:
    by = f", the log is {ahead:,} offset{'' if ahead == 1 else 's'} ahead" if ahead else ""
    return Trouble(code, Grade.STOPPED, f"{layer} does not run{by}", command)


def _gone(state: SourceState, last: LedgerRow, extent: Extent) -> Iterator[Trouble]:
    """What the log no longer holds and was not read; or that it is another log."""
    held, name = state.held, state.source.name
    at = last.to.at_least(held)  # what it can take from there
    for reader, position in {"the speed layer": at, "the archive": held}.items():
        code = Code.ANOTHER_LOG
        try:
            refuse_another(extent, last.topic_id, position, reader=reader)
            code = Code.RECORDS_GONE
            resumable(extent, last.topic_id, position, reader=reader, source=name, held=held)
        except IntegrityError as error:
            yield _failed(code, name, error, Grade.WRONG)


def _waiting(state: SourceState) -> Iterator[Trouble]:
    """Transactions that no reader of committed records gets past."""
    for each in state.waiting:
        if each.seconds >= OPEN_S:
            by = f"of producer {each.producer}" if each.producer else "of an unknown producer"
            yield Trouble(
                Code.OPEN_TRANSACTION,
                Grade.STOPPED,
                f"{state.source.name}: position stands still at {each.record} while the log grows: a transaction {by} "
                f"is open, its last record {ago(each.seconds)} old",
                f"let that producer commit or abort; else kafka-transactions.sh abort --topic {state.source.topic} "
                f"--partition {each.record.partition} --start-offset {each.record.offset}",
                "answers are right and late: what may yet be aborted is not counted",
            )


def _of_view(state: ViewState, last: LedgerRow | None) -> Iterator[Trouble]:
    name, manifest = state.view.name, state.manifest
    yield from _paused(Code.BATCH_PAUSED, state.batch_paused)
    if state.held_back:
        why = "the last batch is held back, and what answered goes on"
        yield Trouble(Code.GATE_CLOSED, Grade.STOPPED, state.held_back.what, state.held_back.next, why)
    if state.waste:
        what = f"{name}: {state.waste:,} bytes that nothing needs can be deleted"
        yield Trouble(Code.WASTE, Grade.UNFINISHED, what, "dovetail clean")
    if state.failure is not None:
        yield _failed(Code.UNREADABLE, name, state.failure, Grade.WRONG)
    elif last is None:
        return  # its source was never read, which is said there
    elif manifest is None:
        yield Trouble(Code.NEVER_ANSWERED, Grade.UNFINISHED, f"{name}: has never answered", f"dovetail batch {name}")
    elif state.view.speed and manifest.live not in last.versions:
        what = f"{name}: does not go on, for {short(manifest.live)} is not in force for new records"
        yield Trouble(Code.VERSION_DETACHED, Grade.WRONG, what, f"dovetail batch {name} --full")
    elif state.changed:
        fingerprint = short(manifest.live).partition("@")[2]
        what = f"{name}: changed since {fingerprint}, which still answers"
        yield Trouble(Code.VIEW_CHANGED, Grade.UNFINISHED, what, f"dovetail plan {name}")
    for runs in manifest.staged if manifest else ():
        version = runs[-1].version
        if manifest is not None and version not in (state.declared, manifest.live):
            what = f"{name}: {short(version)} is computed beside what answers, and declared no more"
            command = f"dovetail reprocess {name} --give-up --to {version}, unless it is to be promoted"
            yield Trouble(Code.STAGED_UNDECLARED, Grade.UNFINISHED, what, command)
    if manifest is not None and (state.coming or state.going):
        ways = {"not in its answers yet": state.coming, "dropped, and in its answers still": state.going}
        told = [f"import {', '.join(map(str, ids))} is {way}" for way, ids in ways.items() if ids]
        what = f"{name}: {'; '.join(told)}"
        yield Trouble(Code.IMPORT_WAITING, Grade.UNFINISHED, what, f"dovetail batch {name} --full", _adopting(state))


def _adopting(state: ViewState) -> str:
    """What a full batch of a changed view does besides."""
    now, declared = state.manifest, state.declared
    adopts = now is not None and declared is not None and now.in_full(declared) != now.live
    return f"that batch also lets {short(declared)} answer, as it is declared" if adopts and declared else ""


def _of_dimension(state: DimensionState) -> Iterator[Trouble]:
    name = f"dimension {state.dimension.name}"
    if state.problem and state.version is not None:
        what = f"{name}: version {state.version.n}, read {ago(state.age_seconds)} ago, goes on serving"
        yield Trouble(Code.DIMENSION_STALE, Grade.STOPPED, what, "dovetail batch", state.problem)
    elif state.version is None:
        what = f"{name}: has never been read"
        yield Trouble(Code.DIMENSION_NEVER_READ, Grade.UNFINISHED, what, "dovetail batch", state.problem)


def _failed(code: Code, subject: str, error: DovetailError, grade: Grade) -> Trouble:
    return Trouble(code, grade, f"{subject}: {error.what}", error.next or "dovetail doctor", error.why)
