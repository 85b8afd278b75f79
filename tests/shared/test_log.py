"""Whether the log still holds what comes next, asked at every start of a layer."""

from __future__ import annotations

import pytest

from dovetail.shared.errors import IntegrityError
from dovetail.shared.log import Extent, Log, resumable
from dovetail.shared.position import Position

TOPIC = Extent("shop.orders", "id", Position({0: 3, 1: 0}), Position({0: 9, 1: 4}))


def test_a_position_in_the_log_goes_on_from_there_and_a_new_partition_from_zero() -> None:
    start = resumable(TOPIC, "id", Position({0: 3}), reader="the archive", source="orders", held=Position())
    assert dict(start.items()) == {0: 3, 1: 0}
    assert resumable(TOPIC, "id", TOPIC.end, reader="the archive", source="orders", held=Position()) == TOPIC.end


@pytest.mark.parametrize(
    ("topic_id", "position", "says"),
    [
        ("other", {0: 3}, "was deleted and made again: it was other, now it is id"),
        ("id", {0: 10, 1: 4}, "partition 0 ends at 9, the archive stands at 10"),
        ("id", {0: 1, 1: 4}, r"Kafka dropped 0@1\.\.3 before the archive read it"),
    ],
    ids=["made again", "shorter", "dropped"],
)
def test_a_log_that_does_not_hold_what_comes_next_is_refused(
    topic_id: str, position: dict[int, int], says: str
) -> None:
    with pytest.raises(IntegrityError, match=says):
        resumable(TOPIC, topic_id, Position(position), reader="the archive", source="orders", held=Position())


def test_spark_reads_what_was_committed_and_stops_where_records_are_gone_whatever_a_project_says() -> None:
    log = Log("broker:9092", {"isolation.level": "read_uncommitted"})
    for options in (
        log.spark_options("t", Position({0: 1}), max_records=5),
        log.spark_span_options("t", Position({0: 1}), Position({0: 2})),
    ):
        assert (options["kafka.isolation.level"], options["failOnDataLoss"]) == ("read_committed", "true")
