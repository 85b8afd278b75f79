"""The processes below one of ours: its JVM, and what all of them hold in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it that live."""
    try:
        top = psutil.Process(pid)
        return [p for p in (top, *top.children(recursive=True)) if p.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def jvms(pid: int) -> list[psutil.Process]:
    """The Java processes below one of ours."""
    found = []
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name().startswith("java"):
                found.append(process)
    return found


def kill_jvms(pid: int) -> None:
    """kill -9 of the Java processes below, and of nothing else; returns when they are gone."""
    killed = jvms(pid)
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(killed, timeout=30)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process and all below it stand still while the block runs."""
    stopped = tree(pid)
    try:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        yield
    finally:
        for process in reversed(stopped):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def resident(pid: int) -> tuple[int, int]:
    """Bytes in memory of a process without its JVMs, and of these."""
    java, other = 0, 0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            size = int(process.memory_info().rss)
            if process.name().startswith("java"):
                java += size
            else:
                other += size
    return other, java
