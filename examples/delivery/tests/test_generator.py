"""The feed of the example: the same for the same seed, with the trouble that it promises."""

import json
from itertools import islice, pairwise
from pathlib import Path

from generator import lines, write


def test_a_seed_gives_the_same_couriers() -> None:
    assert list(islice(lines(seed=3), 500)) == list(islice(lines(seed=3), 500))
    assert list(islice(lines(seed=3), 500)) != list(islice(lines(seed=4), 500))


def test_some_positions_come_late_some_twice_and_some_are_broken() -> None:
    read, broken = [], 0
    for line in islice(lines(seed=3), 5_000):
        try:
            read.append(json.loads(line))
        except ValueError:
            broken += 1
    named = [(position["courier"], position["at"]) for position in read]
    times = [position["at"] for position in read]
    assert 20 < broken < 100
    assert 50 < len(named) - len(set(named)) < 200
    assert sum(later < earlier for earlier, later in pairwise(times)) > 50


def test_a_file_is_there_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [b"{}", b"{}"])
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.jsonl", b"{}\n{}\n")]
