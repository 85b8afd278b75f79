"""What a stream does between two micro-batches, with a double of Spark that hands them out."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse

import pytest

from dovetail.shared.aside import StandAside
from dovetail.shared.position import Position, Range
from dovetail.shared.stream import follow

TOPIC = "lines"


class DoubleOfSpark:
    """One query over one partition, whose micro-batches end at the offsets given; ended by `stop`, not by itself."""

    def __init__(self, *ends: int) -> None:
        self._ends = ends
        self.listens, self.ended = threading.Event(), threading.Event()
        self.readStream = self.writeStream = self
        self.isActive = True

    def foreachBatch(self, on_batch: Callable[[Any, int], None]) -> DoubleOfSpark:  # noqa: N802
        self._on_batch = on_batch
        return self

    def option(self, name: str, value: str) -> DoubleOfSpark:
        self._checkpoint = Path(urlparse(value).path)
        return self

    def start(self) -> DoubleOfSpark:
        threading.Thread(target=self._run).start()
        return self

    def _run(self) -> None:
        self.listens.wait(10)  # a signal before that would end the test
        for n, end in enumerate(self._ends):
            self._begin(n)
            (self._checkpoint / "offsets").mkdir(parents=True, exist_ok=True)
            (self._checkpoint / "offsets" / str(n)).write_text(f"v1\n{{}}\n{json.dumps({TOPIC: {'0': end}})}")
            self._on_batch(None, n)
        self.ended.set()

    def _begin(self, n: int) -> None:
        pass

    def stop(self) -> None:
        assert self.ended.wait(10)

    def exception(self) -> None:
        return None

    def __getattr__(self, name: str) -> Callable[..., DoubleOfSpark]:
        return lambda *_, **__: self


class Impatient(DoubleOfSpark):
    """Does not wait for the micro-batch that is under way, as Spark does not; the next comes once all else is over."""

    def _begin(self, n: int) -> None:
        while n and self._checkpoint.exists():
            time.sleep(0.01)

    def stop(self) -> None:
        pass


@contextmanager
def handlers_kept() -> Iterator[None]:
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def followed(
    folder: Path,
    double: DoubleOfSpark,
    step: Any,
    hold_up: Any,
    look: Any = lambda: None,
) -> None:
    log: Any = SimpleNamespace(spark_options=lambda *_, **__: {})
    spark: Any = double
    with handlers_kept():
        follow(
            spark, log, TOPIC, Position({0: 0}), step,
            scratch=folder, prepare=lambda raw: raw, trigger="0 seconds", max_records=1, hold_up=hold_up,
            on_ready=double.listens.set, look=look,
        )  # fmt: skip


def test_each_micro_batch_is_held_up_before_it_is_read(tmp_path: Path) -> None:
    happened = list[str]()

    def step(_: Any, span: Range) -> None:
        happened.append(str(span))
        if span.to[0] == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    followed(tmp_path / "scratch", DoubleOfSpark(4, 7), step, lambda _: happened.append("held up"))
    assert happened == ["held up", "0@0..4", "held up", "0@4..7"]


def test_after_a_stop_while_it_was_held_up_no_micro_batch_is_read(tmp_path: Path) -> None:
    """Though none is held up by then: the records between would be left out."""
    read, asked = list[str](), list[bool]()

    def hold_up(stop: threading.Event) -> None:
        asked.append(True)
        if len(asked) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(10)

    followed(tmp_path / "scratch", DoubleOfSpark(4, 7, 9), lambda _, span: read.append(str(span)), hold_up)
    assert read == ["0@0..4"]


def test_what_is_under_way_ends_before_a_layer_has_stood_aside_and_nothing_comes_after(tmp_path: Path) -> None:
    happened, under_way, spark = list[str](), threading.Event(), Impatient(4, 7)

    def step(_: Any, span: Range) -> None:
        under_way.set()
        time.sleep(0.5)
        happened.append(str(span))

    def look() -> None:
        if under_way.is_set():
            happened.append("asked")
            raise StandAside("lines")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StandAside):
        followed(tmp_path / "scratch", spark, step, lambda _: None, look)
    assert happened == ["asked", "0@0..4"]
    assert spark.ended.wait(10)
    assert happened == ["asked", "0@0..4"], "nor is the next one read"
    assert signal.getsignal(signal.SIGTERM) is before, "who stands aside can still be stopped"
