"""The load of a soak: what its views must answer at any position, kept as positions grow."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from itertools import islice
from typing import Any

import pytest

from dovetail.shared.position import Position
from dovetail.torture.load import BLOCK, DAYS, LATE_EVERY, NOTHING, Truth, records

COUNT = 6_000


@pytest.fixture
def arrived() -> dict[int, array[int]]:
    """What came into two partitions."""
    arrived = defaultdict[int, Any](lambda: array("q"))
    for n, (key, _) in enumerate(islice(records(seed=3), COUNT)):
        arrived[n % 2].append(int(key.partition(b"/")[0]))
    return arrived


def counted(view: str, arrived: dict[int, array[int]], to: Position) -> list[dict[str, object]]:
    """The rows of a true answer, counted another way."""
    ids = {n for p in to for n in arrived[p][: to[p]] if n != NOTHING}
    groups = defaultdict[object, list[int]](list)
    for n in ids:
        groups[n // BLOCK if view == "blocks" else DAYS[n % LATE_EVERY != 0]].append(n)
    key = "block" if view == "blocks" else "bucket"
    return [{key: group, "records": len(some), "ids": sum(some)} for group, some in groups.items()]


@pytest.mark.parametrize("view", ["blocks", "days"])
def test_it_knows_the_truth_at_each_position(view: str, arrived: dict[int, array[int]]) -> None:
    truth = Truth(view, arrived)
    for to in (Position({0: 1}), Position({0: 700, 1: 30}), Position({0: 3000, 1: 2500}), Position({0: 3000, 1: 3000})):
        truth.advance(to)
        assert truth.wrong(counted(view, arrived, to)) == []
    assert truth.poison == sum(numbers.count(NOTHING) for numbers in arrived.values()) > 0


@pytest.mark.parametrize("view", ["blocks", "days"])
def test_one_record_lost_doubled_or_changed_is_seen(view: str, arrived: dict[int, array[int]]) -> None:
    to, truth = Position({0: 3000, 1: 3000}), Truth(view, arrived)
    truth.advance(to)
    for measure in ("records", "ids"):
        rows = counted(view, arrived, to)
        rows[0][measure] = int(str(rows[0][measure])) + 1
        assert len(truth.wrong(rows)) == 1
    assert len(truth.wrong(counted(view, arrived, to)[1:])) == 1


def test_repeats_come_and_count_once(arrived: dict[int, array[int]]) -> None:
    ids = [n for numbers in arrived.values() for n in numbers if n != NOTHING]
    assert len(ids) > len({*ids})


def test_records_that_are_no_poison_say_their_number() -> None:
    for key, value in islice(records(seed=1), 500):
        number = int(key.partition(b"/")[0])
        assert number == NOTHING or json.loads(value)["id"] == number
