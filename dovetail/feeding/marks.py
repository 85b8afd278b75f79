"""The marks of a feed as the log keeps them: in a compacted topic of its own, written with the records they are of."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import orjson

from dovetail.shared.errors import IntegrityError, Mend, ServiceMissing
from dovetail.shared.feed import Feed
from dovetail.shared.log import PATIENCE_S, Extent, Log, TopicMissing, another

FORMAT = 1
ABOUT = "feed"
"""The mark that says what the others are of."""


def read(log: Log, feed: Feed, into: Extent) -> dict[str, Any]:
    """The last of each name that is committed; none where nothing was fed yet.

    Raises:
        IntegrityError: the source's topic is another one than was fed.
        Mend: they are of another thing than is declared, or of a Dovetail that is newer, or the topic is not compacted.
    """
    marks = _last_of_each(log, feed)
    about = marks.get(ABOUT, {"format": FORMAT, "topic_id": into.topic_id, "of": feed.of})
    if about["format"] > FORMAT:
        raise Mend(f"the marks of feed {feed.name} were written by a newer Dovetail", where=f"topic {feed.id}")
    if about["topic_id"] != into.topic_id:
        raise another(into.topic, about["topic_id"], into.topic_id)
    if about["of"] != feed.of:
        raise Mend(
            f"feed {feed.name} has fed something else before: {orjson.dumps(about['of']).decode()}", where=feed.where,
            next="give the feed another name: it begins anew",
        )  # fmt: skip
    return {**marks, ABOUT: about}


def ready(log: Log, feed: Feed) -> None:
    """Makes the topic where there is none; raises Mend for one that would forget."""
    from kafka.admin import ConfigResource

    log.create(feed.id, partitions=1, compacted=True)
    with closing(log.admin()) as admin:
        found = admin.describe_configs([ConfigResource("topic", feed.id)], config_filter="all")
    told = found["topic"].get(feed.id, {}).get("cleanup.policy")
    if told is None:
        raise ServiceMissing(
            f"this login may not see whether {feed.id}, which keeps how far the feed has read, is compacted",
            where=log.bootstrap,
            next="let DescribeConfigs on it be granted, and more: docs/kafka.md says who needs which",
        )
    policy = str(told["value"])
    if policy != "compact":
        raise Mend(
            f"the topic that keeps how far feed {feed.name} has read is not compacted but cleanup.policy={policy}",
            where=f"topic {feed.id}", why="what it forgets would be fed again",
            next=f"kafka-configs.sh --alter --topic {feed.id} --add-config cleanup.policy=compact",
        )  # fmt: skip


def _last_of_each(log: Log, feed: Feed) -> dict[str, Any]:
    from kafka import TopicPartition

    try:
        extent = log.extent(feed.id)
    except TopicMissing:
        return {}
    marks, at, end = dict[str, Any](), TopicPartition(feed.id, 0), extent.end[0]
    with closing(log.consumer()) as consumer:
        consumer.assign([at])
        consumer.seek(at, extent.begin[0])
        moved = time.monotonic()
        while (position := consumer.position(at)) < end:
            for record in consumer.poll(500).get(at, ()):
                try:
                    marks[record.key.decode()] = orjson.loads(record.value)
                except (ValueError, AttributeError, TypeError):
                    raise IntegrityError(f"offset {record.offset} holds no mark", where=f"topic {feed.id}") from None
            if consumer.position(at) > position:
                moved = time.monotonic()
            elif time.monotonic() - moved > PATIENCE_S:
                raise ServiceMissing("Kafka does not give what it holds", where=f"topic {feed.id} at {position}")
    return marks
