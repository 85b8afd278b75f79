"""The load of a soak: events numbered in order at a steady rate, and what they add up to at any position."""

from __future__ import annotations

import itertools
import json
import random
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from dovetail.cli.generate import Generator
from dovetail.shared.position import Position
from dovetail.torture.records import NOW, POISON

BLOCK = 1000
LATE_EVERY = 20
"""Every so many ids one is dated 30 days back, so that its day follows from its id."""
DAYS = (f"{NOW - timedelta(days=30):%Y-%m-%d}T00:00:00Z", f"{NOW:%Y-%m-%d}T00:00:00Z")
KEYS = {"blocks": "block", "days": "bucket"}
NOTHING = -1


def records(*, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Events without end: one in a hundred is a repeat of one before, one in five hundred no event at all."""
    chance = random.Random(seed)  # noqa: S311  a seed is to give the same again
    for n in itertools.count():
        draw = chance.random()
        key = f"/{chance.random()}"  # what follows the number decides the partition: a repeat may lie in another
        if draw < 0.002:
            yield f"{NOTHING}{key}".encode(), chance.choice(POISON) or b""
        elif draw < 0.012 and n:
            again = chance.randrange(n)
            yield f"{again}{key}".encode(), _value(again)
        else:
            yield f"{n}{key}".encode(), _value(n)


class Arrived(Generator):
    """Sends them, and keeps the number of each by partition and offset as the broker acknowledges it."""

    by_partition: dict[int, array[int]]
    problem = ""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.by_partition = defaultdict(lambda: array("q"))

    @property
    def end(self) -> Position:
        return Position({p: len(numbers) for p, numbers in self.by_partition.copy().items()})

    def _delivered(self, error: object, message: Any) -> None:
        super()._delivered(error, message)
        if error is not None:
            self.problem = f"a record was not acknowledged: {error}"
            return
        numbers = self.by_partition[message.partition()]
        if message.offset() != len(numbers):
            self.problem = f"{message.partition()}@{message.offset()} was acknowledged after {len(numbers) - 1}"
        numbers.append(int(message.key().partition(b"/")[0]))


class Truth:
    """What one view must answer at positions that only grow."""

    def __init__(self, view: str, arrived: Mapping[int, array[int]]) -> None:
        self._view, self._arrived, self._at = view, arrived, Position()
        self._seen = np.zeros(BLOCK, bool)
        self._records, self._ids = np.zeros(2, np.int64), np.zeros(2, np.int64)
        self.poison = 0

    def advance(self, to: Position) -> None:
        """Takes in what lies below `to`; an event that comes again counts once."""
        for p in to:
            numbers = np.array(self._arrived[p][self._at[p] : to[p]], np.int64)
            self.poison += int((numbers == NOTHING).sum())
            self._count(np.unique(numbers[numbers != NOTHING]))
        self._at = to

    def wrong(self, rows: list[dict[str, Any]]) -> list[str]:
        """The groups that are not as they must be: one record lost or doubled changes a group's count and sum."""
        true = {self._name(g): (int(self._records[g]), int(self._ids[g])) for g in np.flatnonzero(self._records)}
        told = {row[KEYS[self._view]]: (row["records"], row["ids"]) for row in rows}
        return [
            f"{self._view} {group} is {told.get(group)}, the truth is {true.get(group)}"
            for group in sorted({*true, *told}, key=str)
            if told.get(group) != true.get(group)
        ]

    def _count(self, numbers: npt.NDArray[np.int64]) -> None:
        if not len(numbers):
            return
        most = int(numbers[-1]) + 1
        if most > len(self._seen):
            self._seen.resize(2 * most, refcheck=False)
        fresh = numbers[~self._seen[numbers]]
        self._seen[fresh] = True
        groups = fresh // BLOCK if self._view == "blocks" else (fresh % LATE_EVERY != 0).astype(np.int64)
        size = int(groups.max(initial=0)) + 1
        if size > len(self._records):
            self._records.resize(2 * size, refcheck=False)
            self._ids.resize(2 * size, refcheck=False)
        self._records[:size] += np.bincount(groups, minlength=size)
        np.add.at(self._ids, groups, fresh)

    def _name(self, group: Any) -> Any:
        return int(group) if self._view == "blocks" else DAYS[int(group)]


def _value(n: int) -> bytes:
    at = NOW - timedelta(days=30) if n % LATE_EVERY == 0 else NOW
    return json.dumps({"id": n, "lane": "north", "at": at.isoformat(), "amount": n % 100}).encode()
