"""What a topic holds for a reader of committed records."""

from __future__ import annotations

import time
from typing import Any

from kafka import TopicPartition

from dovetail.shared.log import Log


def committed(log: Log, topic: str) -> list[Any]:
    """Every record that a reader of committed records sees."""
    extent, found = log.extent(topic), list[Any]()
    consumer = log.consumer()
    places = [TopicPartition(topic, p) for p in extent.end]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    until = time.monotonic() + 60
    while any(consumer.position(p) < extent.end[p.partition] for p in places):
        assert time.monotonic() < until
        found += [record for records in consumer.poll(500).values() for record in records]
    consumer.close()
    return found
