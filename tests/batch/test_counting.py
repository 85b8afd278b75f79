"""Records of the master are counted by the commit in whose range they lie, wherever they lie in its files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dovetail.batch import counting
from dovetail.batch.counting import by_commit, places_in
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.position import Position, Range


def rows(*ends: dict[int, int], begin: dict[int, int]) -> list[LedgerRow]:
    """Ledger rows from `begin` to each of `ends`, from seq 1 on."""
    ranges = [Range(Position(a), Position(b)) for a, b in zip([begin, *ends], ends, strict=False)]
    return [LedgerRow(seq, 0, "commit", span, {}, "t") for seq, span in enumerate(ranges, start=1)]


def arrays(*places: tuple[int, int]) -> counting.Places:
    return np.array([p for p, _ in places], np.int32), np.array([o for _, o in places], np.int64)


@pytest.mark.parametrize("seed", range(20))
def test_each_record_is_counted_in_the_commit_in_whose_range_it_lies_and_in_no_other(seed: int) -> None:
    dice = random.Random(seed)
    at = begin = {p: dice.randrange(5) for p in range(dice.randrange(1, 4))}
    ends = list[dict[int, int]]()
    for _ in range(dice.randrange(1, 6)):
        at = {**{p: o + dice.choice([0, 0, 1, 7]) for p, o in at.items()}, **({9: 3} if dice.random() < 0.2 else {})}
        ends.append(at)
    commits = rows(*ends, begin=begin)
    batches = [[(dice.choice([*at, 20]), dice.randrange(30)) for _ in range(dice.randrange(40))] for _ in range(3)]
    true = {r.seq: sum(r.range.includes(*place) for batch in batches for place in batch) for r in commits}
    assert by_commit(commits, (arrays(*batch) for batch in batches)) == {seq: n for seq, n in true.items() if n}


def test_a_record_that_is_held_twice_is_counted_twice_and_one_that_is_not_held_not_at_all() -> None:
    commits = rows({0: 2}, {0: 4}, begin={0: 0})
    assert by_commit(commits, [arrays((0, 0), (0, 3)), arrays((0, 0))]) == {1: 2, 2: 1}


def test_files_that_hold_nothing_of_the_span_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master = tmp_path / "a master"
    for places in ([(0, 0), (1, 5)], [(0, 7), (1, 6)], [(2, 0)]):
        partition, offset = arrays(*places)
        write_deltalake(str(master), pa.table({"_partition": partition, "_offset": offset}), mode="append")
    read, opened = [], counting.opened
    monkeypatch.setattr(counting, "opened", lambda file: read.append(file) or opened(file))

    def held(begin: dict[int, int], end: dict[int, int]) -> set[tuple[int, int]]:
        found = places_in(master, Range(Position(begin), Position(end)))
        return {place for p, o in found for place in zip(p.tolist(), o.tolist(), strict=True)}

    assert held({0: 6, 1: 6}, {0: 9, 1: 9}) == {(0, 7), (1, 6)}
    assert len(read) == 1
    assert held({0: 0}, {0: 1, 2: 1}) == {(0, 0), (1, 5), (2, 0)}
    assert len(read) == 3
