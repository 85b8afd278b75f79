"""The seam to Kafka: a topic's identity, its partitions and where its log begins and ends."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from dovetail.shared.dialects import WHERE, for_librdkafka, for_python, for_spark
from dovetail.shared.errors import IntegrityError, ServiceMissing, SettingsError
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.reach import listening, out_of_reach

NEW_NAME = "give the source another name in views.py, and its views too: they begin with the topic as it is now"
PATIENCE_S = 10
"""How long a broker may take to answer before it counts as unreachable."""
TOPIC_AUTHORIZATION_FAILED = 29
OUTAGE_S = 120
"""How long a running layer waits for a broker that has stopped answering: as long as a restart takes, and more."""


class TopicMissing(ServiceMissing):
    """The broker answers, and has no such topic."""


@dataclass(frozen=True)
class Extent:
    """A topic as it stands: `begin` is the oldest offset kept, `end` the first a committed reader cannot see."""

    topic: str
    topic_id: str
    begin: Position
    end: Position

    def gone(self, position: Position) -> Range:
        """What the log no longer holds of the records from `position` on."""
        named = position.with_partitions(set(self.end))
        return Range(named, named.at_least(self.begin))


@dataclass(frozen=True)
class Waiting:
    """An open transaction, which readers of committed records wait for at `record`.

    `producer` is its transactional id, empty where no coordinator knows of it; `seconds` is since it wrote last.
    """

    record: RecordId
    producer: str
    seconds: float


@dataclass(frozen=True)
class Log:
    """One Kafka cluster. Every read is `read_committed`."""

    bootstrap: str
    options: Mapping[str, str]

    def extent(self, topic: str) -> Extent:
        """Raises ServiceMissing when no broker answers, TopicMissing when the topic is not there."""
        with closing(self.admin()) as admin:
            described = admin.describe_topics([topic])[0]
        _usable(topic, described, self.bootstrap)
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

    def waiting(self, extent: Extent) -> list[Waiting]:
        """The open transactions at which the topic ends for readers of committed records.

        None are told where the broker is too old to be asked, or does not let this client ask.
        """
        from kafka import IsolationLevel, TopicPartition
        from kafka.admin import OffsetSpec
        from kafka.errors import KafkaError

        ends = {TopicPartition(extent.topic, p): o for p, o in extent.end.items()}
        latest = dict.fromkeys(ends, OffsetSpec.LATEST)
        with closing(self.admin()) as admin:
            try:
                written = admin.list_partition_offsets(latest, isolation_level=IsolationLevel.READ_UNCOMMITTED)
                held = [place for place, end in ends.items() if written[place].offset > end]
                found = admin.describe_producers(held) if held else {}
                listed = [t for ts in admin.list_transactions().values() for t in ts] if held else []
            except KafkaError:
                return []
        names, now = {t.producer_id: t.transactional_id for t in listed}, time.time()
        return [
            Waiting(
                RecordId(place.partition, ends[place]),
                names.get(producer.producer_id, ""),
                now - producer.last_timestamp / 1000,
            )
            for place, state in found.items()
            for producer in state.active_producers
            if producer.current_transaction_start_offset == ends[place]
        ]

    @contextmanager
    def watched(self, topic: str, topic_id: str) -> Iterator[Callable[[], None]]:
        """Gives a look, on a connection of its own, that raises IntegrityError once the topic is another one.

        An id never comes back: records that were read before a look that finds it are records of this topic. A broker
        that is being started again is waited for.
        """
        from kafka.errors import KafkaError

        with closing(self.admin()) as admin:

            def look() -> None:
                given_up = time.monotonic() + OUTAGE_S
                while True:
                    try:
                        described = admin.describe_topics([topic])[0]
                        break
                    except (KafkaError, OSError) as error:
                        if time.monotonic() > given_up:
                            raise ServiceMissing(
                                "the Kafka broker stopped answering",
                                where=topic,
                                why=str(error),
                                next="dovetail doctor",
                            ) from error
                        time.sleep(1)
                now = "" if described["error_code"] else described["topic_id"]
                if now != topic_id:
                    raise another(topic, topic_id, now)

            yield look

    def create(self, topic: str, *, partitions: int, compacted: bool = False) -> bool:
        """Creates a topic; False where it was there already."""
        from kafka.admin import NewTopic
        from kafka.errors import TopicAlreadyExistsError

        with closing(self.admin()) as admin:
            try:
                configs = {"cleanup.policy": "compact"} if compacted else {}
                made = NewTopic(topic, num_partitions=partitions, replication_factor=-1, topic_configs=configs)
                admin.create_topics([made])
            except TopicAlreadyExistsError:
                return False
        return True

    def add_partitions(self, topic: str, *, total: int) -> None:
        with closing(self.admin()) as admin:
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

    def producer(self, *, transactional_id: str = "") -> Any:
        """A confluent-kafka producer, idempotent, waiting for all replicas: ten times the rate of kafka-python's."""
        from confluent_kafka import KafkaException, Producer

        given = for_librdkafka(self.options)
        own = {
            "bootstrap.servers": self.bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            "log_level": 2,
            **({"transactional.id": transactional_id} if transactional_id else {}),
        }
        while True:
            try:
                return Producer({**given, **own})
            except KafkaException as error:
                foreign = re.search(r'No such configuration property: "(.+?)"', str(error))
                if foreign is None or given.pop(foreign[1], None) is None:
                    raise SettingsError("Kafka's options are refused", where=WHERE, why=str(error)) from None

    def spark_options(self, topic: str, start: Position, *, max_records: int) -> dict[str, str]:
        """Options of Spark's Kafka source; every partition of the topic must be named in `start`."""
        return {
            **{f"kafka.{name}": value for name, value in for_spark(self.options).items()},
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

    def admin(self) -> Any:
        """A kafka-python client that asks about topics, and changes them."""
        from kafka.admin import KafkaAdminClient

        return self._connected(KafkaAdminClient)

    def _connected(self, client: Any, **config: Any) -> Any:
        from kafka.errors import KafkaError

        given = for_python(self.options, client.DEFAULT_CONFIG)
        own = {"bootstrap_servers": listening(self.bootstrap), "bootstrap_timeout_ms": PATIENCE_S * 1000}
        try:
            return client(**{**given, **own, **config})
        except (KafkaError, OSError) as error:
            raise out_of_reach(self.bootstrap, self.options, error) from None


def _usable(topic: str, described: Mapping[str, Any], bootstrap: str) -> None:
    """Raises where a topic is not there, or not for this user."""
    if described["error_code"] == TOPIC_AUTHORIZATION_FAILED:
        raise ServiceMissing(
            f"this login has no right to topic {topic}",
            where=bootstrap,
            next="let it be granted: docs/kafka.md says who needs which",
        )
    if described["error_code"]:
        raise TopicMissing(
            f"topic {topic} is not there",
            where=bootstrap,
            next="dovetail dev creates it, and so does dovetail load … --create; or create it yourself",
        )


def resumable(
    extent: Extent, topic_id: str, position: Position, *, reader: str, source: str, held: Position
) -> Position:
    """`position` naming every partition of the topic, if the log still holds what comes next.

    Args:
        held: up to where the master holds what came: beyond it nobody holds what the log has dropped.

    Raises:
        IntegrityError: the topic is another one than the ledger's, ends below the position, or begins above it.
    """
    refuse_another(extent, topic_id, position, reader=reader)
    gone = extent.gone(position)
    if not gone.empty:
        raise IntegrityError(
            f"Kafka dropped {gone} before {reader} read it, at most {gone.offsets:,} records",
            where=f"topic {extent.topic}",
            why="its retention is shorter than the time nothing was read, or somebody deleted them",
            next=f'accept it: dovetail accept-gap {source} {extent.gone(held)} --because "…"; '
            f"of a copy load what that says is lost, and no more: dovetail load {source} FILE",
        )
    return gone.from_


def refuse_another(extent: Extent, topic_id: str, position: Position, *, reader: str) -> None:
    """Raises IntegrityError where the topic is not the one that was read up to `position`."""
    if extent.topic_id != topic_id:
        raise another(extent.topic, topic_id, extent.topic_id)
    for p in position:
        if position[p] > extent.end[p]:
            raise IntegrityError(
                f"partition {p} ends at {extent.end[p]}, {reader} stands at {position[p]}",
                where=f"topic {extent.topic}",
                why="the broker has lost what it had acknowledged, or was put back to an older state",
                next=NEW_NAME,
            )


def another(topic: str, was: str, now: str) -> IntegrityError:
    """The error for a topic that is not the one that was read; `now` is empty where there is none."""
    what = f"deleted and made again: it was {was}, now it is {now}" if now else f"deleted: it was {was}"
    return IntegrityError(
        f"{topic} was {what}",
        where=f"topic {topic}",
        why="its offsets begin anew, so they do not name the records that were read",
        next=NEW_NAME,
    )
