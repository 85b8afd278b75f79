"""A second process on a table: refused at once with the owner of the first, or let in where that one has died."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from dovetail.cli import run as verbs
from dovetail.shared.aside import IN_PLACE
from dovetail.shared.errors import ServiceMissing

from .conftest import Run

HOLDER = """
import sys, time
from pathlib import Path
from dovetail.shared.locks import held
with held(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""
VERBS = [("speed", "speed-lines", "the speed job of lines"), ("archive", "archive-lines", "the archive of lines"),
         ("batch", "batch-sales", "a batch of sales")]  # fmt: skip


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no broker, as a layer finds out once it may start."""

    def find_log(_settings: object) -> NoReturn:
        raise ServiceMissing("no broker")

    monkeypatch.setattr(verbs, "find_log", find_log)


@contextmanager
def holding(lock: Path, what: str = "it") -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-c", HOLDER, str(lock), what]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("verb", "lock", "what"), VERBS)
def test_it_is_refused_with_pid_host_and_age_before_anything_is_started(
    run: Run, project: Path, verb: str, lock: str, what: str
) -> None:
    with holding(project / "data" / "locks" / f"{lock}.lock") as first:
        said = run(verb)
    assert (said.code, said.out) == (1, "")
    host = re.escape(socket.gethostname())
    told = rf"error  {what} runs already: pid {first.pid} on {host} \(which lives\) for \d+ s: it\n"
    assert re.match(told, said.err)
    assert said.err.endswith(" next  stop that one first\n")


@pytest.mark.parametrize(("verb", "lock", "what"), VERBS)
@pytest.mark.usefixtures("away")
def test_the_lock_of_a_process_that_died_is_taken_over(
    run: Run, project: Path, verb: str, lock: str, what: str
) -> None:
    file = project / "data" / "locks" / f"{lock}.lock"
    with holding(file) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert f'"pid": {first.pid}' in file.read_text()
    said = run(verb)
    assert (said.code, said.err.splitlines()[0]) == (3, "error  no broker")


@pytest.mark.usefixtures("away")
def test_speed_may_start_while_a_batch_commits_in_its_place(run: Run, project: Path) -> None:
    with holding(project / "data" / "locks" / "speed-lines.lock", IN_PLACE):
        said = run("speed")
    assert (said.code, said.err.splitlines()[0]) == (3, "error  no broker")


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("layer", ["speed", "archive"])
def test_one_that_would_stand_aside_may_start(run: Run, project: Path, layer: str) -> None:
    locks = project / "data" / "locks"
    with holding(locks / f"{layer}-lines.lock"), holding(locks / f"aside-{layer}-lines.lock"):
        said = run(layer)
    assert (said.code, said.err.splitlines()[0]) == (3, "error  no broker")
