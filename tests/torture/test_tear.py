"""Which file is torn, and processes that stand still."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dovetail.torture import processes
from dovetail.torture.tear import halve, newest


def test_the_newest_file_that_holds_something_is_found(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for age, name in enumerate(["below/new.arrow", "old.arrow", "other.txt"]):
        (tmp_path / name).write_text("text")
        os.utime(tmp_path / name, (1_000 - age, 1_000 - age))
    (tmp_path / "empty.arrow").touch()
    assert newest(tmp_path, "*.arrow") == tmp_path / "below" / "new.arrow"
    assert newest(tmp_path / "nothing", "*") is None


def test_half_of_a_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    halve(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"01234"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with a process below it."""
    with subprocess.Popen(["/bin/sh", "-c", f"{sys.executable} -c 'import time; time.sleep(60)'; true"]) as process:
        while len(processes.tree(process.pid)) < 2:
            assert process.poll() is None
        yield process
        for each in processes.tree(process.pid):
            each.kill()


def test_all_below_stand_still_and_go_on(sleeper: subprocess.Popen[bytes]) -> None:
    with processes.frozen(sleeper.pid):
        assert all(comes_to(psutil.STATUS_STOPPED, p) for p in processes.tree(sleeper.pid))
    assert all(comes_to(psutil.STATUS_SLEEPING, p) for p in processes.tree(sleeper.pid))


def comes_to(status: str, process: psutil.Process) -> bool:
    """Whether it has that status within ten seconds: a signal takes its time on a busy machine."""
    end = time.monotonic() + 10
    while process.status() != status and time.monotonic() < end:
        time.sleep(0.01)
    return bool(process.status() == status)


def test_what_is_no_jvm_survives_a_kill_of_jvms(sleeper: subprocess.Popen[bytes]) -> None:
    processes.kill_jvms(sleeper.pid)
    assert sleeper.poll() is None
    python, java = processes.resident(sleeper.pid)
    assert python > 1 << 20
    assert java == 0
