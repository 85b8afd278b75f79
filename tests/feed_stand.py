"""Feeds without a broker: a log in memory that keeps a part and its marks at once, or dies before or after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from dovetail.feeding.parts import Part, Reader, Row
from dovetail.feeding.run import Fed, Feeding, Told
from dovetail.shared.feed import Feed


class Killed(Exception):
    """The process has died."""


class MemoryLog:
    """What is committed. `dies` is the number of the part at which a writer is killed, with it committed or not."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.marks: dict[str, Any] = {}
        self.dies: tuple[int, bool] | None = None
        self.parts = 0

    def write(self, part: Part) -> None:
        dies, self.parts = self.dies, self.parts + 1
        dead = dies is not None and dies[0] == self.parts
        if not dead or (dies and dies[1]):
            self.rows += part.rows
            self.marks.update(orjson.loads(orjson.dumps(part.marks)))  # as a topic keeps them
        if dead:
            raise Killed

    @property
    def values(self) -> list[Any]:
        return [orjson.loads(row.value) for row in self.rows]


def fed(log: MemoryLog, feed: Feed, reader: Reader, *, new_shape: bool = False, told: Told | None = None) -> Fed:
    """Feeds what there is now, as a process that was just started would."""
    try:
        return Feeding(feed, reader, new_shape, told or Told()).run(log, once=True)  # type: ignore[arg-type]
    finally:
        reader.close()


def killed_everywhere(log: Callable[[], MemoryLog], run: Callable[[MemoryLog], object]) -> list[list[bytes]]:
    """What the log holds after a kill at each part, before it is committed and after, and another start each time."""
    whole = log()
    run(whole)
    found = []
    for n in range(1, whole.parts + 1):
        for committed in (False, True):
            one = log()
            one.dies = n, committed
            try:
                run(one)
                raise AssertionError("it was not killed")
            except Killed:
                one.dies = None
            run(one)
            found.append([row.value for row in one.rows])
    assert whole.parts > 1
    return [[row.value for row in whole.rows], *found]
