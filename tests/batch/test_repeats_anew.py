"""Repeats decided in columns: as a plain reading of the rule says, whatever was forgotten, superseded or given."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dovetail.batch.repeats_anew import FOREVER, Occurrences, repeats

HORIZON = 50


def history(seed: int, *, ids: int, given: float, right: float) -> Occurrences:
    """Records in commits: timestamps rise and jitter, some far behind; some commits are taken at their word."""
    r, now, rows = random.Random(seed), 1_000_000, []
    since, offsets = 0, [0, 0, 0]
    for seq in range(1, r.randrange(5, 40)):
        since, word = max(since, seq - r.randrange(1, 9)), r.random() < given
        for _ in range(r.randrange(1, 20)):
            now += r.choice([0, 0, 1, 2, 40])
            p = r.randrange(3)
            timestamp = now + r.choice([0, 0, -20, -HORIZON, -HORIZON - 1, -300, 5])
            until = seq + r.randrange(1, 6) if r.random() < right else FOREVER
            rows.append([r.randrange(ids), seq, p, offsets[p], timestamp, since, until, r.random() < 0.3, word])
            offsets[p] += 1
    r.shuffle(rows)
    *ints, recorded, word = zip(*rows, strict=True)
    return Occurrences(*(np.array(c, np.int64) for c in ints), np.array(recorded, bool), np.array(word, bool))


def plain(o: Occurrences, horizon: int) -> list[bool]:
    """The rule record by record: what lies within the horizon of a counted one that is not forgotten is a repeat."""
    counted, repeat = list[int](), [False] * len(o.id)
    for i in np.lexsort((o.offset, o.partition, o.timestamp, o.seq)).tolist():
        repeat[i] = (
            bool(o.recorded[i])
            if o.given[i]
            else any(
                o.id[c] == o.id[i]
                and abs(o.timestamp[c] - o.timestamp[i]) <= horizon
                and o.seq[c] >= o.since[i]
                and o.seq[i] < o.until[c]
                for c in counted
            )
        )
        if not repeat[i]:
            counted.append(i)
    return repeat


@pytest.mark.parametrize("ids", [1, 10, 60])
@pytest.mark.parametrize("seed", range(12))
def test_it_decides_as_the_rule_says(seed: int, ids: int) -> None:
    found = history(seed, ids=ids, given=0, right=0)
    assert repeats(found, HORIZON).tolist() == plain(found, HORIZON)
    assert 0 < sum(repeats(found, HORIZON)) < len(found.id)


@pytest.mark.parametrize("seed", range(12))
def test_what_was_put_right_is_repeated_no_more_and_what_is_given_is_taken(seed: int) -> None:
    found = history(seed, ids=10, given=0.3, right=0.1)
    assert repeats(found, HORIZON).tolist() == plain(found, HORIZON)


def test_nothing_repeats_nothing() -> None:
    none = np.zeros(0, np.int64)
    assert repeats(Occurrences(*[none] * 7, none.astype(bool), none.astype(bool)), HORIZON).tolist() == []


def test_many_records_of_few_ids_are_decided_at_once() -> None:
    n = 2_000_000
    seq = np.arange(n) // 1000
    found = Occurrences(
        np.arange(n) // 2 % 700_000, seq, np.zeros(n, np.int64), np.arange(n), np.arange(n),
        seq - 1, np.full(n, FOREVER), np.zeros(n, bool), np.zeros(n, bool),
    )  # fmt: skip
    assert repeats(found, HORIZON).sum() == n // 2
