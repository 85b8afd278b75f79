"""The seam to Kafka: a topic's identity, its partitions and where its log begins and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from dovetail.shared.errors import IntegrityError, ServiceMissing
from dovetail.shared.position import Position

PATIENCE_S = 10
"""How long a broker may take to answer before it counts as unreachable."""


class TopicMissing(ServiceMissing):
    """The broker answers, and has no such topic."""


@dataclass(frozen=True)
class Extent:
    """A topic as it stands: `begin` is the oldest offset kept, `end` the first a committed reader cannot see."""

    topic: str
    topic_id: str
    begin: Position
    end: Position


@dataclass(frozen=True)
class Log:
    """One Kafka cluster. Every read is `read_committed`."""

    bootstrap: str
    options: Mapping[str, str]

    def extent(self, topic: str) -> Extent:
        """Raises ServiceMissing when no broker answers, TopicMissing when the topic is not there."""
        with closing(self._admin()) as admin:
            described = admin.describe_topics([topic])[0]
        if described["error_code"]:
            raise TopicMissing(
                f"topic {topic} is not there",
                where=self.bootstrap,
                next="dovetail dev creates it, and so does dovetail load … --create; or create it yourself",
            )
        partitions = [p["partition_index"] for p in described["partitions"]]
        with closing(self.consumer()) as consumer:
            from kafka import TopicPartition

            named = [TopicPartition(topic, p) for p in partitions]
            begin, end = consumer.beginning_offsets(named), consumer.end_offsets(named)
        return Extent(
            topic,
            described["topic_id"],
            Position({t.partition: o for t, o in begin.items()}),
            Position({t.partition: o for t, o in end.items()}),
        )

    def create(self, topic: str, *, partitions: int) -> bool:
        """Creates a topic; False where it was there already."""
        from kafka.admin import NewTopic
        from kafka.errors import TopicAlreadyExistsError

        with closing(self._admin()) as admin:
            try:
                admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=-1)])
            except TopicAlreadyExistsError:
                return False
        return True

    def add_partitions(self, topic: str, *, total: int) -> None:
        with closing(self._admin()) as admin:
            admin.create_partitions({topic: total})

    def consumer(self) -> Any:
        """A kafka-python consumer that belongs to no group and sees committed records only."""
        from kafka import KafkaConsumer

        return self._connected(
            KafkaConsumer,
            isolation_level="read_committed",
            enable_auto_commit=False,
            group_id=None,
            auto_offset_reset="none",
        )

    def producer(self) -> Any:
        """A confluent-kafka producer, idempotent, waiting for all replicas: ten times the rate of kafka-python's."""
        from confluent_kafka import Producer

        return Producer(
            {
                **self.options,
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 30_000,
                "log_level": 2,
            }
        )

    def spark_options(self, topic: str, start: Position, *, max_records: int) -> dict[str, str]:
        """Options of Spark's Kafka source; every partition of the topic must be named in `start`."""
        return {
            **{f"kafka.{name}": value for name, value in self.options.items()},
            "kafka.bootstrap.servers": self.bootstrap,
            # Spark's own default is read_uncommitted, which would count what a producer took back.
            "kafka.isolation.level": "read_committed",
            "subscribe": topic,
            "startingOffsets": json.dumps({topic: start.as_json()}),
            "maxOffsetsPerTrigger": str(max_records),
            "failOnDataLoss": "true",
            "includeHeaders": "true",
        }

    def spark_span_options(self, topic: str, begin: Position, end: Position) -> dict[str, str]:
        """The same for a read of a whole span at once; both positions must name every partition of the topic."""
        options = self.spark_options(topic, begin, max_records=0)
        del options["maxOffsetsPerTrigger"]
        return {**options, "endingOffsets": json.dumps({topic: end.as_json()})}

    def _admin(self) -> Any:
        from kafka.admin import KafkaAdminClient

        return self._connected(KafkaAdminClient)

    def _connected(self, client: Any, **config: Any) -> Any:
        from kafka.errors import KafkaError

        known = {name.replace(".", "_"): value for name, value in self.options.items()}
        own = {name: value for name, value in known.items() if name in client.DEFAULT_CONFIG}
        try:
            return client(
                bootstrap_servers=self.bootstrap.split(","), bootstrap_timeout_ms=PATIENCE_S * 1000, **own, **config
            )
        except (KafkaError, OSError) as error:
            raise ServiceMissing(
                f"no Kafka broker answers at {self.bootstrap}",
                where="kafka.bootstrap in dovetail.toml",
                why=str(error),
                next="start it (dovetail kafka runs one), or correct kafka.bootstrap",
            ) from None


def resumable(extent: Extent, topic_id: str, position: Position, *, reader: str) -> Position:
    """`position` naming every partition of the topic, if the log still holds what comes next.

    Raises:
        IntegrityError: the topic is another one than the ledger's, ends below the position, or begins above it.
    """
    where = f"topic {extent.topic}"
    if extent.topic_id != topic_id:
        raise IntegrityError(
            f"{extent.topic} was deleted and made again: it was {topic_id}, now it is {extent.topic_id}",
            where=where,
            next="declare a new source for the new topic; the old one's answers stay as they are",
        )
    for p in position:
        if position[p] > extent.end[p]:
            raise IntegrityError(
                f"partition {p} ends at {extent.end[p]}, {reader} stands at {position[p]}", where=where
            )
    named = position.with_partitions(set(extent.end))
    gone = {p: (named[p], extent.begin[p]) for p in named if extent.begin[p] > named[p]}
    if gone:
        ranges = " ".join(f"{p}@{a}..{b}" for p, (a, b) in gone.items())
        raise IntegrityError(
            f"Kafka dropped {ranges} before {reader} read it",
            where=where,
            why="its retention is shorter than the time nothing was read",
            next="dovetail batch commits what the archive still holds; then start this again",
        )
    return named
