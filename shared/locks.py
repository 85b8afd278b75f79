"""One process at a time: a lock file with a note of who holds it. The lock ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dovetail.shared.errors import Busy

TRIES = 5


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock at `path`; raises Busy with the owner's host, pid and age when another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(descriptor):
            raise Busy(f"{what} runs already: {_owner(descriptor)}", where=str(path), next="stop that one first")
        note = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()})
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
    if not is_held(path):
        return None
    try:
        return int(json.loads(path.read_text())["pid"])
    except (ValueError, KeyError):  # it was just taken, and its note is being written
        return None


def _taken(descriptor: int) -> bool:
    for _ in range(TRIES):  # one that only asks (`is_held`) stands in the way for a moment
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def _owner(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return "by an unknown process"
    return f"pid {note['pid']} on {note['host']} for {time.time() - note['since']:.0f} s"
