"""Changes sent to a topic of a real broker: a record a group, and the same key for its next change."""

from __future__ import annotations

import anyio
import orjson
import pytest
from kafka import KafkaConsumer, TopicPartition

from dovetail.pushing.changes import Change
from dovetail.pushing.deliver import ToTopic
from dovetail.pushing.state import Delivery
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.log import Log

pytestmark = [pytest.mark.java, pytest.mark.timeout(300)]


def test_each_changed_group_is_a_record_of_its_key(log: Log) -> None:
    with pytest.raises(ServiceMissing, match="push-changes"):
        ToTopic(log, "push-changes")
    log.create("push-changes", partitions=1)
    deliver = ToTopic(log, "push-changes")
    fr, de = {"country": "FR"}, {"country": "DE"}
    for n, changes in enumerate(
        [(Change(fr, None, {"lines": 1}), Change(de, None, {"lines": 2})), (Change(fr, {"lines": 1}, None, False),)]
    ):
        anyio.run(deliver, Delivery("low", "sales", f"s1.{n}.abc", "0a1b2c3d", changes))
    consumer = KafkaConsumer(bootstrap_servers=log.bootstrap, isolation_level="read_committed")
    at = TopicPartition("push-changes", 0)
    consumer.assign([at])
    consumer.seek_to_beginning(at)
    found = [record for _ in range(20) for records in consumer.poll(500).values() for record in records]
    consumer.close()
    assert [orjson.loads(record.key) for record in found] == [fr, de, fr]
    assert found[0].key == found[2].key
    assert orjson.loads(found[0].value) == {
        "push": "low", "view": "sales", "receipt": "s1.0.abc", "key": fr, "before": None, "after": {"lines": 1},
    }  # fmt: skip
    assert orjson.loads(found[2].value)["fired"] is False
    assert found[2].headers == [("push", b"low"), ("receipt", b"s1.1.abc")]
