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


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock at `path`; raises Busy with the owner's host, pid and age when another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"{what} runs already: {_owner(descriptor)}", where=str(path), next="stop that one first"
            ) from None
        note = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now."""
    try:
        with held(path, ""):
            return False
    except Busy:
        return True


def _owner(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return "by an unknown process"
    return f"pid {note['pid']} on {note['host']} for {time.time() - note['since']:.0f} s"
