"""How near Kafka is to dropping what was not read: the age of the oldest such record, and how long it is kept."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

from dovetail.shared.log import Extent, Log
from dovetail.shared.position import Position, RecordId

POLL_MS = 2_000


@dataclass(frozen=True)
class Unread:
    """The oldest record that was not read, its age by Kafka's timestamp, and how long the topic keeps records.

    Kafka drops whole segments, once the newest record of one is older than that: never sooner, unless it also keeps
    no more than so many bytes, which is not looked at.
    """

    record: RecordId
    seconds: float
    kept: float

    def above(self, share: float) -> bool:
        """Whether more than that share of its time is over."""
        return self.seconds > share * self.kept


def unread(log: Log, extent: Extent, position: Position) -> Unread | None:
    """The oldest record from `position` on; None where all is read, or the topic keeps records for good."""
    behind = {p: position[p] for p, end in extent.end.items() if position[p] < end}
    kept = retention(log, extent.topic) if behind else None
    if kept is None:
        return None
    found = [first for p, offset in behind.items() if (first := _first(log, extent.topic, RecordId(p, offset)))]
    oldest = min(found, key=lambda each: each[1], default=None)
    return Unread(oldest[0], time.time() - oldest[1], kept) if oldest else None


def retention(log: Log, topic: str) -> float | None:
    """How long the topic keeps records, in seconds; None where it is for good, or this client may not ask."""
    from kafka.admin import ConfigResource
    from kafka.errors import KafkaError

    with closing(log.admin()) as admin:
        try:
            found = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")["topic"][topic]
        except KafkaError:
            return None
    by_time = "delete" in str(found["cleanup.policy"]["value"])
    milliseconds = int(found["retention.ms"]["value"]) if by_time else -1
    return milliseconds / 1000 if milliseconds >= 0 else None


def _first(log: Log, topic: str, place: RecordId) -> tuple[RecordId, float] | None:
    """The first record at a place or after it, and its timestamp in seconds; None where none comes in time."""
    from kafka import TopicPartition
    from kafka.errors import KafkaError

    partition = TopicPartition(topic, place.partition)
    with closing(log.consumer()) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, place.offset)
        try:
            records = consumer.poll(timeout_ms=POLL_MS, max_records=1).get(partition, [])
        except KafkaError:  # dropped meanwhile, which is told elsewhere
            return None
    return next(((RecordId(place.partition, r.offset), r.timestamp / 1000) for r in records), None)
