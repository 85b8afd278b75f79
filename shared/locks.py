"""One process at a time: a lock file with a note of who holds it. The lock ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dovetail.shared.duration import ago
from dovetail.shared.errors import Busy

TRIES = 5
WAIT = 0.2
"""Seconds between two looks at a lock that is waited for."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock, or held it last, as its note says; without a pid where the note is just being written."""

    name: str
    held: bool
    host: str = ""
    pid: int = 0
    since: float = 0.0
    what: str = ""

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool | None:
        """Whether a process of its pid is there; None where that cannot be asked, on another machine."""
        if not self.here:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    @property
    def age_seconds(self) -> float:
        return max(0.0, time.time() - self.since) if self.since else 0.0

    def __str__(self) -> str:
        if not self.pid:
            return "an unknown process"
        state = {True: "which lives", False: "which is gone", None: "on another machine"}[self.lives]
        return f"pid {self.pid} on {self.host} ({state}) for {ago(self.age_seconds)}: {self.what or self.name}"


@contextmanager
def held(path: Path, what: str, *, patience: float = 0.0, behind: str = "") -> Iterator[None]:
    """Holds the lock at `path`; raises Busy with the owner's host, pid and age when another process does.

    Waits for that one up to `patience` seconds, and for as long as it takes where it holds the lock as `behind`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + patience
        while not _taken(descriptor):
            now = _noted(path, held=True)
            if time.monotonic() >= until and not (behind and now.what == behind):
                raise Busy(f"{what} runs already: {now}", where=str(path), next="stop that one first")
            time.sleep(WAIT)
        note = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time(), "what": what})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock now; None where none does."""
    found = owner(path)
    return found.pid or None if found and found.held else None


def owner(path: Path) -> Owner | None:
    """Who holds the lock at `path`, or held it last; None where nobody does and no note says who did."""
    found = _noted(path, held=is_held(path))
    return found if found.held or found.pid else None


def owners(folder: Path) -> list[Owner]:
    """Those of all locks in a folder that somebody holds now."""
    return [found for path in sorted(folder.glob("*.lock")) if (found := owner(path)) and found.held]


def unlock(path: Path, *, dry_run: bool = False) -> Owner | None:
    """Clears the note of an owner that is gone, and gives it; None where there was none.

    A lock that is held is never broken: it ends with its process, however that ends.

    Raises:
        Busy: some process holds it, with how to end that one.
    """
    before = owner(path)
    if before and before.held:
        raise Busy(
            f"{before.name} is held by {before}", where=str(path),
            why="a lock ends with the process that holds it, and in no other way", next=_end_of(before, path),
        )  # fmt: skip
    if before and not dry_run:
        with held(path, before.name):
            os.truncate(path, 0)
    return before


def _end_of(owner: Owner, path: Path) -> str:
    """How to end the process that holds a lock."""
    if owner.host and not owner.here:
        return f"dovetail unlock {owner.name}, on {owner.host}"
    if owner.lives:
        return f"kill {owner.pid}, and if it is still there after 15 s: kill -9 {owner.pid}"
    return f"fuser {path} names the process, a child of the one that took it; kill that"


def _taken(descriptor: int) -> bool:
    for _ in range(TRIES):  # one that only asks (`is_held`) stands in the way for a moment
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def _noted(path: Path, *, held: bool) -> Owner:
    """What the holder of a lock, or the one before, says of itself."""
    try:
        note = json.loads(path.read_bytes())
        return Owner(path.stem, held, note["host"], int(note["pid"]), note["since"], note.get("what", ""))
    except (OSError, ValueError, KeyError, TypeError):  # no note, or one that is being written
        return Owner(path.stem, held)
