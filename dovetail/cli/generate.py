"""Sends what a project's generator makes, at a steady rate, until told to stop."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from dovetail.shared.errors import SettingsError
from dovetail.shared.log import Log

TICK_S = 0.05


class Generator:
    """A thread that produces records; `sent` counts those the broker has acknowledged."""

    def __init__(self, log: Log, topic: str, records: Iterator[tuple[bytes | None, bytes]], rate: int) -> None:
        self._producer, self._topic, self._records, self._rate = log.producer(), topic, records, rate
        self._stop, self.paused = threading.Event(), threading.Event()
        self.sent, self.failed = 0, 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Generator:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops and waits until every record sent is acknowledged."""
        self._stop.set()
        self._thread.join()
        self._producer.flush(30)

    def _run(self) -> None:
        began, due = time.monotonic(), 0
        while not self._stop.wait(TICK_S):
            if self.paused.is_set():
                began, due = time.monotonic(), 0
                continue
            target = int((time.monotonic() - began) * self._rate)
            for _ in range(min(target - due, self._rate)):
                key, value = next(self._records)
                self._producer.produce(self._topic, key=key, value=value, on_delivery=self._delivered)
            due = target
            self._producer.poll(0)

    def _delivered(self, error: object, _message: object) -> None:
        self.failed += error is not None
        self.sent += error is None


def load(file: Path, *, seed: int) -> Iterator[tuple[bytes | None, bytes]]:
    """The records of `generate(seed=…)` in a project's generator file.

    Raises:
        SettingsError: the file is not there or has no `generate`.
    """
    spec = importlib.util.spec_from_file_location("generator", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SettingsError(f"dev.generator names {file.name}, which is not there", where=str(file))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "generate"):
        raise SettingsError(f"{file.name} has no function generate(*, seed)", where=str(file))
    records: Iterator[tuple[bytes | None, bytes]] = module.generate(seed=seed)
    return records
