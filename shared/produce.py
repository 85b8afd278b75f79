"""Sending records by hand: one that is waited for, or a file of them as fast as the broker takes it.

confluent-kafka sends them: measured here, a batch of its records is acknowledged at 133,000 a second, where
kafka-python's own batching comes to 11,700.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from dovetail.shared.changes import Changes
from dovetail.shared.declare import Json, Source, View
from dovetail.shared.duration import bucket_seconds
from dovetail.shared.errors import DovetailError, ServiceMissing, UsageError, unknown
from dovetail.shared.log import Log
from dovetail.shared.position import RecordId

PATIENCE_S = 30
"""The producer gives up on a record after as long."""


@dataclass(frozen=True)
class Sent:
    """One acknowledged record. `late` is Kafka's timestamp less the event time; None where the record tells none."""

    record: RecordId
    event_time: datetime | None
    late: timedelta | None


@dataclass(frozen=True)
class Line:
    """One record to send, and where in its file it comes from. `bad` says why the source would not decode it."""

    number: int
    value: bytes
    key: bytes | None = None
    bad: str = ""
    read: int = 0
    """Bytes of the file up to and with this line."""
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Progress:
    """How far a load is."""

    read: int = 0
    sent: int = 0
    acknowledged: int = 0
    kept_bad: int = 0
    failures: list[str] = field(default_factory=list)


def ready(log: Log, topic: str, *, partitions: int | None = None) -> None:
    """Raises ServiceMissing unless the topic is there; creates it where `partitions` is given."""
    if partitions is None or not log.create(topic, partitions=partitions):
        log.extent(topic)


def parsed(text: str | bytes) -> dict[str, Any]:
    """The object that a record's text is; raises UsageError for text that is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"this is not JSON: {error}", next="--raw sends any text as it is") from None
    if not isinstance(value, dict):
        raise UsageError(
            f"a record is a JSON object, not {_kind(value)}",
            why="anything else goes to quarantine",
            next="--raw sends any text as it is",
        )
    return value


def doubts(source: Source, names: Iterable[str]) -> list[str]:
    """What is probably not meant by a record with these fields, in words."""
    given, columns = list(names), source.columns
    if source.sign:
        return [] if {"op", "payload"} & {*given} else ["there is no op, as a change has: it will go to quarantine"]
    found = [f"{unknown('field', name, columns)}; it is sent, and ignored" for name in given if name not in columns]
    if source.event_time in columns and source.event_time not in given:
        found.append(f"there is no {source.event_time}: the record will go to quarantine")
    return found


def doubts_of(source: Source, value: str | bytes) -> list[str]:
    """The same of a record's text; raises UsageError where it is to be JSON, and is no object."""
    return doubts(source, parsed(value)) if isinstance(source.format, Json | Changes) else []


def send(log: Log, source: Source, value: bytes, *, key: bytes | None = None) -> Sent:
    """Sends one record and waits for its acknowledgement.

    Raises:
        ServiceMissing: no broker, no topic, or no acknowledgement in time.
    """
    ready(log, source.topic)
    answers: list[tuple[Any, Any]] = []
    producer = log.producer()
    producer.produce(
        source.topic, value=value, key=key, on_delivery=lambda error, message: answers.append((error, message))
    )
    producer.flush(PATIENCE_S)
    error, message = answers[0] if answers else ("no acknowledgement came", None)
    if error is not None or message is None:
        raise ServiceMissing(f"the record was not acknowledged: {error}", where=log.bootstrap, next="dovetail doctor")
    happened = event_time(source, value)
    taken = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
    late = taken - happened if happened else None
    return Sent(RecordId(message.partition(), message.offset()), happened, late)


def event_time(source: Source, value: bytes) -> datetime | None:
    """When a record says it happened, in UTC where it names no zone; None where it does not, or not in ISO 8601."""
    try:
        written = orjson.loads(value)[source.event_time]
        when = datetime.fromisoformat(written)
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def question(view: View, sent: Sent) -> str:
    """The command that shows the answer a record is in: that of its bucket, once the record is counted."""
    span = ""
    if sent.event_time is not None and view.bucket and view.source.event_time in view.source.columns:
        seconds = bucket_seconds(view.bucket)
        start = int(sent.event_time.timestamp() // seconds * seconds)
        span = " ".join(
            f"--{name} {datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
            for name, at in (("start", start), ("end", start + seconds))
        )
    by = f"--by {','.join(view.keys)}" if view.keys else ""
    return " ".join(p for p in ("dovetail query", view.name, by, span, f"--at-least {sent.record}") if p)


def lateness(late: timedelta) -> str:
    """A delay in its largest unit.

    >>> lateness(timedelta(days=51, hours=3)), lateness(timedelta(hours=-2)), lateness(timedelta(milliseconds=40))
    ('51 days late', '2 hours ahead', 'on time')
    """
    seconds = abs(late.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n:,} {unit}{'' if n == 1 else 's'} {'late' if late > timedelta() else 'ahead'}"
    return "on time"


def load(
    log: Log,
    topic: str,
    lines: Iterable[Line],
    *,
    keep_bad: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Sends the records of a file and waits until every one is acknowledged.

    Raises:
        UsageError: a line is bad and `keep_bad` is not set; what stood before it is sent and acknowledged.
        ServiceMissing: the broker did not acknowledge some; says how many.
    """
    producer, progress = log.producer(), Progress()

    def on_delivery(error: Any, _message: Any) -> None:
        if error is None:
            progress.acknowledged += 1
        else:
            progress.failures.append(str(error))

    for line in _good(lines, progress, keep_bad=keep_bad, finish=lambda: _finish(producer, progress, log, on_progress)):
        while True:
            try:
                producer.produce(
                    topic, value=line.value, key=line.key, headers=[*line.headers], on_delivery=on_delivery
                )
                break
            except BufferError:  # its queue is full: wait for some to be acknowledged
                producer.poll(0.1)
                _check(producer, progress, log)
        progress.sent += 1
        if progress.sent % 1000 == 0:
            producer.poll(0)
            _check(producer, progress, log)
            on_progress(progress)
    _finish(producer, progress, log, on_progress)
    return progress


def counted(lines: Iterable[Line], *, keep_bad: bool = False) -> Progress:
    """What `load` would send, without sending it; raises the same UsageError for a bad line."""
    progress = Progress()
    for _ in _good(lines, progress, keep_bad=keep_bad, finish=lambda: None):
        progress.sent += 1
    return progress


def _good(lines: Iterable[Line], progress: Progress, *, keep_bad: bool, finish: Callable[[], None]) -> Iterator[Line]:
    for line in lines:
        if line.bad and not keep_bad:
            finish()
            raise UsageError(
                f"line {line.number}: {line.bad}",
                why=f"the {progress.acknowledged:,} records before it are sent" if progress.acknowledged else "",
                next="mend it and load from that line on, or --keep-bad sends such lines as they are, for quarantine",
            )
        progress.kept_bad += bool(line.bad)
        progress.read = line.read
        yield line


def _finish(producer: Any, progress: Progress, log: Log, on_progress: Callable[[Progress], None]) -> None:
    began = time.monotonic()
    while producer.flush(0.5) and time.monotonic() - began < 2 * PATIENCE_S:
        on_progress(progress)
    on_progress(progress)
    _check(producer, progress, log)
    if progress.acknowledged < progress.sent:
        raise _unacknowledged(progress, log, "no answer came in time")


def _check(producer: Any, progress: Progress, log: Log) -> None:
    if progress.failures:
        producer.flush(PATIENCE_S)  # so that those still on their way are not counted among the lost
        raise _unacknowledged(progress, log, progress.failures[0])


def _unacknowledged(progress: Progress, log: Log, why: str) -> DovetailError:
    return ServiceMissing(
        f"{progress.sent - progress.acknowledged:,} of {progress.sent:,} records were not acknowledged",
        where=log.bootstrap,
        why=why,
        next="dovetail doctor; then load the rest",
    )


def _kind(value: object) -> str:
    names: Mapping[type, str] = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
