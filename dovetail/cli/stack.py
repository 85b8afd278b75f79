"""The processes of `dev` and `demo`: each layer as its own command, ended with this one however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.shared.errors import DovetailError, ServiceMissing

STOP_WITH_PARENT = "DOVETAIL_STOP_WITH_PARENT"
GRACE_S = 15


class Child:
    """One `dovetail` command in a process of its own; its JSON lines are events, the rest goes to a log file."""

    def __init__(
        self, name: str, arguments: list[str], *, folder: Path, logs: Path, env: Mapping[str, str] = {}
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.arguments, self.env = arguments, env
        self.name, self.log = name, logs / f"{name}.log"
        self.ready = threading.Event()
        self.last: dict[str, Any] = {}
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dovetail", *arguments],
                cwd=folder,
                stdin=subprocess.PIPE,  # held open: its end tells the child that this process is gone
                stdout=subprocess.PIPE,
                stderr=sink,
                env={**os.environ, STOP_WITH_PARENT: "1", **env},
                start_new_session=True,
            )
        threading.Thread(target=self._follow, daemon=True).start()

    def kill(self) -> None:
        """kill -9, as a machine that goes down would."""
        self.process.kill()
        self.process.wait()
        self._release()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    def check(self) -> None:
        """Raises DovetailError with the end of its log when the process has ended."""
        code = self.ended()
        if code is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()[-8:]
            raise DovetailError(f"{self.name} stopped with exit code {code}", where=str(self.log), why="\n".join(lines))

    def _release(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _follow(self) -> None:
        stdout = self.process.stdout
        if stdout is None:
            return
        with stdout, self.log.open("ab") as sink:
            for line in stdout:
                try:
                    event = json.loads(line)
                except ValueError:
                    sink.write(line)
                    sink.flush()
                    continue
                self.last = event
                if "ready" in event:
                    self.ready.set()


@dataclass
class Stack:
    """Every process of a project that runs. `close` stops them all, the youngest first."""

    folder: Path
    logs: Path
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, env: Mapping[str, str] = {}) -> Child:
        child = Child(name, list(arguments), folder=self.folder, logs=self.logs, env=env)
        self.children[name] = child
        return child

    def wait(self, what: str, reached: Callable[[], bool], *, seconds: float) -> None:
        """Returns when `reached()`; raises ServiceMissing after `seconds`, or what ended a child before."""
        end = time.monotonic() + seconds
        while not reached():
            self.check()
            if time.monotonic() > end:
                raise ServiceMissing(f"{what} took more than {seconds:.0f} s", where=str(self.logs))
            time.sleep(0.1)

    def check(self) -> None:
        """Raises what ended a child, if one has ended."""
        for child in self.children.values():
            child.check()

    def revive(self, on_note: Callable[[str], None]) -> None:
        """Starts again what somebody killed with SIGKILL; raises what ended a child otherwise."""
        for name, child in [*self.children.items()]:
            if child.process.poll() == -signal.SIGKILL:
                child.stop()
                on_note(f"{name} was killed, and is started again")
                self.start(name, *child.arguments, env=child.env)
        self.check()

    def close(self) -> None:
        children = list(self.children.values())
        for child in children:
            if child.process.poll() is None:
                child.process.terminate()
        for child in reversed(children):
            child.stop()


@contextmanager
def stack(folder: Path, logs: Path) -> Iterator[tuple[Stack, ExitStack]]:
    """A stack, and an ExitStack for what must outlive its processes (the broker)."""
    with ExitStack() as outer:
        running = Stack(folder, logs)
        try:
            yield running, outer
        finally:
            running.close()


def end_with_parent() -> None:
    """In a child: stops this process when the parent that holds its stdin is gone."""
    if not os.environ.pop(STOP_WITH_PARENT, None):  # of this process alone, not of what it runs
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
