"""How far behind an answer is: from what was seen of the log's end, and by a clock that nobody sets."""

from __future__ import annotations

from typing import Any

import pytest
from serving_stand import Ends

from dovetail.serving.behind import CLOSE, REMEMBERED, STALE, Behind, KafkaLogEnd
from dovetail.shared.position import Position

UNKNOWN = {"records": None, "seconds": None}


class World:
    def __init__(self) -> None:
        self.now, self.ends = 100.0, Ends()
        self.behind = Behind(self.ends, clock=lambda: self.now)
        self.behind.watch("t")

    def see(self, end: dict[int, int]) -> None:
        self.ends.at = {"t": Position(end)}
        self.behind.look()

    def of(self, position: dict[int, int]) -> dict[str, float | None]:
        return self.behind.of("t", Position(position))


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_known_before_the_first_look_or_of_another_topic(world: World) -> None:
    assert world.of({0: 1}) == UNKNOWN
    world.see({0: 1})
    assert world.behind.of("other", Position({0: 1})) == UNKNOWN


def test_records_are_summed_over_partitions_and_never_negative(world: World) -> None:
    world.see({0: 10, 1: 5, 2: 7})
    assert world.of({0: 4, 1: 9, 2: 7})["records"] == 6


def test_seconds_are_since_the_oldest_end_that_was_not_reached(world: World) -> None:
    world.see({0: 10})
    world.now += 1
    world.see({0: 20})
    world.now += 1
    world.see({0: 20})
    assert world.of({0: 5}) == {"records": 15, "seconds": 2.0}
    assert world.of({0: 10}) == {"records": 10, "seconds": 1.0}
    assert world.of({0: 20}) == {"records": 0, "seconds": 0.0}
    world.behind.reached("t", Position({0: 10}))
    assert world.of({0: 10}) == {"records": 10, "seconds": 1.0}


def test_of_a_long_lag_little_is_remembered_and_it_is_told_well_enough(world: World) -> None:
    last = 5 * REMEMBERED
    for second in range(1, last + 1):
        world.now += 1
        world.see({0: second})
        assert len(world.behind._seen["t"]) <= REMEMBERED + 1
    assert world.of({0: 0}) == {"records": last, "seconds": last - 1}
    for reached in (1, 1_234, last - 500, last - 1):
        told = world.of({0: reached})["seconds"]
        assert told == pytest.approx(last - 1 - reached, rel=1.5 / CLOSE)
    assert world.of({0: last}) == {"records": 0, "seconds": 0.0}


def test_a_log_that_is_out_of_reach_makes_both_unknown(world: World) -> None:
    world.see({0: 10})
    world.now += STALE + 1
    assert world.of({0: 5}) == UNKNOWN
    world.see({0: 10})
    assert world.of({0: 5}) == {"records": 5, "seconds": STALE + 1}


class Consumer:
    """A client of a broker that is there for as long as `ends` is not None."""

    def __init__(self, ends: dict[int, int] | None) -> None:
        self.held, self.closed = ends, False

    def topics(self) -> set[str]:
        if self.held is None:
            raise OSError("the broker is gone")
        return {"t", "other"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(self.held or ())

    def end_offsets(self, named: list[Any]) -> dict[Any, int]:
        return {n: (self.held or {})[n.partition] for n in named}

    def close(self) -> None:
        self.closed = True


class Cluster:
    def __init__(self, *consumers: Consumer) -> None:
        self.consumers = list(consumers)

    def consumer(self) -> Consumer:
        return self.consumers.pop(0)


def test_the_broker_is_looked_for_until_it_is_there_and_again_once_it_is_gone() -> None:
    first, second = Consumer({0: 3}), Consumer({0: 4, 1: 2})
    found: list[Any] = [None, Cluster(first, second)]
    end = KafkaLogEnd(lambda: found.pop(0) if len(found) > 1 else found[0])
    assert end.ends(["t"]) == {}
    assert end.ends(["t", "missing"]) == {"t": Position({0: 3})}
    first.held = None
    with pytest.raises(OSError, match="gone"):
        end.ends(["t"])
    assert first.closed
    assert end.ends(["t"]) == {"t": Position({0: 4, 1: 2})}
