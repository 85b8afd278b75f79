"""The processes below one of ours: its JVM, and what all of them hold in memory."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from dovetail.shared.errors import UsageError


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


def say_where_they_stand(pid: int) -> None:
    """Has a process of ours and its JVMs write the stacks of all their threads into their logs."""
    java = jvms(pid)
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.pid == pid:
                process.send_signal(signal.SIGUSR1)
            elif process in java:
                process.send_signal(signal.SIGQUIT)


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


@contextmanager
def full(pid: int) -> Iterator[None]:
    """No file of a process or of those below it grows while the block runs: a disk that is full, for them alone."""
    limited = [(p, _largest_file(p, 0)) for p in tree(pid)]
    try:
        yield
    finally:
        for process, before in limited:
            _largest_file(process, before)


def skewed(hours: float) -> dict[str, str]:
    """The environment of a process whose clock is so many hours off; its timers are not.

    Raises:
        UsageError: the library that does it is not installed.
    """
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        raise UsageError("clocks cannot be set off: libfaketime is not installed", next="pip install libfaketime")
    library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    fixed = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0", "NO_FAKE_STAT": "1"}
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{round(hours * 3600):+d}s", **fixed}


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


def _largest_file(process: psutil.Process, size: int) -> int:
    """Sets how far a process may write a file; what it was before."""
    with contextlib.suppress(psutil.NoSuchProcess):
        before, most = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (size, most))
        return int(before)
    return -1  # none
