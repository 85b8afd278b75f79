"""Two real processes on one table: the second is refused with the owner of the first, and let in once that is dead."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from depot_scans import records
from depot_truth import DEPOT
from e2e_system import START_S, System

from dovetail.shared.locks import is_held
from dovetail.shared.log import Log

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(900)]


def second(depot: System, *command: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "dovetail", *command]
    return subprocess.run(line, cwd=depot.folder, capture_output=True, text=True, timeout=START_S)


def refused(depot: System, name: str, *command: str) -> bool:
    pid = depot.stack.children[name].process.pid
    said = second(depot, *command)
    owner = rf"runs already: pid {pid} on {re.escape(socket.gethostname())} \(which lives\) for \d+ s"
    return said.returncode == 1 and re.search(owner, said.stderr) is not None


def test_of_each_layer_one_process_runs(log: Log, tmp_path: Path) -> None:
    with System.create(DEPOT, tmp_path / "depot", log, topic="depot.scans.twice", partitions=2) as depot:
        depot.topic.send(records(100, seed=1, sent=[]))
        depot.start("archive", wait=False)
        depot.start("speed")
        depot.wait_ready("archive")
        assert refused(depot, "speed", "speed")
        assert refused(depot, "archive", "archive")
        depot.wait_claimed()
        depot.start("batch", "seen", failpoint="batch.before_run:sleep=600", wait=False)
        lock = depot.project.layout.lock("batch-seen")
        depot.stack.wait("the batch's lock", lambda: lock.exists() and is_held(lock), seconds=START_S)
        assert refused(depot, "batch", "batch", "seen")
        for name in ("batch", "speed"):
            depot.stack.children.pop(name).kill()
        depot.start("speed")
        said = second(depot, "batch", "seen")
        assert said.returncode == 0, said.stderr
        depot.serve()
        depot.exact()
