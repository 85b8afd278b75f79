"""Several processes that answer at one address: each follows the storage by itself, and one that dies is replaced."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from dovetail.shared.errors import DovetailError, ServiceMissing

LOOK_S = 0.2
"""Seconds between two looks whether this process has been told to stop."""
STOP_S = 10.0
"""Seconds that a worker has for its end; then it is killed."""
LASTS_S, TRIES = 10.0, 5
"""Who ends sooner after its start has not come up; after so many in a row, with none that answers, it is given up."""
PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
"""Before one is started again that has not come up: doubled with each in a row."""

log = logging.getLogger(__name__)
spawn = multiprocessing.get_context("spawn")


class Work(Protocol):
    """What a worker does until it gets SIGTERM. It is called in another process, so it has to be importable."""

    def __call__(self, place: int, alone: bool, on_ready: Callable[[], None]) -> None:
        """`place` is its number, which its successor takes over; `alone` whether there is no other now."""


@dataclass
class _Worker:
    place: int
    process: BaseProcess
    told: Connection
    began: float = field(default_factory=time.monotonic)
    ready: bool = False
    came_up: bool = False
    error: DovetailError | None = None

    def hear(self) -> None:
        """Takes in what it has said: nothing once it is ready, or the error that ended it."""
        try:
            while self.told.poll():
                self.error = self.told.recv()
                self.ready = self.error is None
                self.came_up = self.came_up or self.ready
        except (EOFError, OSError):
            self.ready = False  # it has ended, or is about to


class Workers:
    """So many processes that do `work`; for the main thread. `on_end` is told the place of each that has ended."""

    def __init__(self, count: int, work: Work, *, on_end: Callable[[int], None] = lambda _: None) -> None:
        self._work, self._on_end = work, on_end
        self._due = dict.fromkeys(range(count), 0.0)
        self._workers: dict[int, _Worker] = {}
        self._told: list[int] = []
        self._came_up, self._in_vain = False, 0

    def run(self) -> int:
        """Keeps them running until SIGINT or SIGTERM, which it gives; none is left when it returns, or raises.

        Raises:
            DovetailError: what ended a worker before any has answered, or one after the other with none that does.
        """
        with self._signals():
            try:
                while not self._told:
                    self._start()
                    wait([w.process.sentinel for w in self._workers.values()], timeout=LOOK_S)
                    self._look()
            finally:
                self._end()
        return self._told[0]

    def _start(self) -> None:
        for place, due in [*self._due.items()]:
            # The others once the first answers: till then it has to say so to whoever asks, and they must not differ.
            if due <= time.monotonic() and (self._came_up or not self._workers):
                del self._due[place]
                self._workers[place] = _started(self._work, place, alone=not self._workers)

    def _look(self) -> None:
        for worker in [*self._workers.values()]:
            ended = not worker.process.is_alive()  # before its last word is heard
            worker.hear()
            self._came_up = self._came_up or worker.came_up
            if ended:
                self._ended(worker)

    def _ended(self, worker: _Worker) -> None:
        del self._workers[worker.place]
        self._on_end(worker.place)
        how = worker.error or _how(worker)
        self._in_vain = self._in_vain + 1 if time.monotonic() - worker.began < LASTS_S else 0
        answered = any(other.ready for other in self._workers.values())
        if not self._came_up or (self._in_vain >= TRIES and not answered):
            raise how
        pause = min(PAUSE_S * 2**self._in_vain, LONGEST_PAUSE_S) if self._in_vain > 1 else 0.0
        log.error("%s; it is started again", how.what)
        self._due[worker.place] = time.monotonic() + pause

    def _end(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        until = time.monotonic() + STOP_S
        for worker in self._workers.values():
            worker.process.join(max(until - time.monotonic(), 0))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, lambda got, _: self._told.append(got)) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def _started(work: Work, place: int, *, alone: bool) -> _Worker:
    hears, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_works, args=(work, place, alone, told), name=f"dovetail-worker-{place}")
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which it inherits: Ctrl-C is for us, who tell it to stop
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, handler)
    told.close()
    return _Worker(place, process, hears)


def _works(work: Work, place: int, alone: bool, told: Connection) -> None:
    """In the worker."""
    threading.Thread(target=_end_with_parent, name="dovetail-parent", daemon=True).start()
    try:
        work(place, alone, lambda: told.send(None))
    except DovetailError as error:
        told.send(error)
        raise SystemExit(error.exit_code) from None


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_S)
        os._exit(1)


def _how(worker: _Worker) -> ServiceMissing:
    code = worker.process.exitcode or 0
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return ServiceMissing(
        f"worker {worker.place} {ended}", where="serving.workers in dovetail.toml",
        why="its log has more; SIGKILL is what comes when memory runs out, of which each worker needs its own",
        next="dovetail serve --workers 1",
    )  # fmt: skip
