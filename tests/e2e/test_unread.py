"""How near a real broker is to dropping what was not read."""

from __future__ import annotations

import time

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from dovetail.shared.log import Log
from dovetail.shared.position import Position, RecordId
from dovetail.shared.unread import retention, unread

pytestmark = pytest.mark.java
TOPIC = "unread"


def configure(log: Log, **of_topic: str) -> None:
    changes = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in of_topic.items()
    ]
    topic = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=changes)
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(30)


def test_the_oldest_unread_record_is_found_with_its_age_and_how_long_it_is_kept(log: Log) -> None:
    log.create(TOPIC, partitions=2)
    producer, now = log.producer(), time.time()
    for partition, hours in ((0, 6), (0, 5), (1, 7), (1, 1)):
        producer.produce(TOPIC, b"x", partition=partition, timestamp=int((now - hours * 3600) * 1000))
    assert producer.flush(60) == 0
    extent = log.extent(TOPIC)
    assert retention(log, TOPIC) is None  # the embedded broker keeps everything
    configure(log, retention_ms=str(10 * 3600 * 1000))

    found = unread(log, extent, Position({0: 1, 1: 1}))
    assert found is not None
    assert (found.record, found.kept) == (RecordId(0, 1), 36_000)
    assert found.seconds == pytest.approx(5 * 3600, abs=120)
    assert (found.above(0.49), found.above(0.52)) == (True, False)
    assert unread(log, extent, Position({0: 0, 1: 1})).record == RecordId(0, 0)  # type: ignore[union-attr]
    assert unread(log, extent, extent.end) is None

    for forever in ({"retention_ms": "-1"}, {"retention_ms": "3600000", "cleanup_policy": "compact"}):
        configure(log, **forever)
        assert unread(log, extent, Position()) is None
