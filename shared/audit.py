"""Who did what: a JSON line an act, under the storage root, with names and receipts and never a value or a secret."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from dovetail.shared.tables import Layout

LARGEST = 64_000_000
"""Bytes of a file; then it becomes audit.1.jsonl, in the place of the one before."""


def write(layout: Layout, who: str, what: str, **fields: Any) -> None:
    """Appends a line: when, who, what, and more by name. It is one write, so lines of several processes do not mix.

    Raises:
        OSError: it is not written; nothing is left of it.
    """
    file = layout.access / "audit.jsonl"
    line = orjson.dumps({"time": round(time.time(), 3), "who": who, "what": what, **fields}) + b"\n"
    descriptor = _opened(file)
    try:
        if (written := os.write(descriptor, line)) < len(line):  # the disk is full: nobody else has added to it since
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if os.fstat(descriptor).st_size > LARGEST:
            _set_aside(file, descriptor)
    finally:
        os.close(descriptor)


def _opened(file: Path) -> int:
    how = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        return os.open(file, how, 0o600)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(file, how, 0o600)


def _set_aside(file: Path, descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # Another process may have done so before: then the file that is there is a new one.
    with suppress(FileNotFoundError):
        if os.path.samestat(file.stat(), os.fstat(descriptor)):
            file.rename(file.with_name("audit.1.jsonl"))
