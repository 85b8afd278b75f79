"""What is done to single processes: real ones that write files and tell the time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dovetail.shared.java import find_java
from dovetail.torture import processes

WRITES = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "a") as file:
            file.write("more")
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""
TELLS = "import datetime, time; print(datetime.datetime.now().astimezone().isoformat()); time.sleep(0.2)"
WAITS = """
public class Waits {
    public static void main(String[] args) throws Exception {
        long began = System.nanoTime();
        synchronized (args) { args.wait(300); }
        System.out.println(java.time.Instant.now() + " " + (System.nanoTime() - began) / 1_000_000);
    }
}
"""


@contextmanager
def writer(file: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITES, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


def asked(process: subprocess.Popen[str]) -> str:
    process.stdin.write("write\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_the_files_of_a_process_do_not_grow_while_its_disk_is_full_and_then_do_again(tmp_path: Path) -> None:
    with writer(tmp_path / "file") as process, writer(tmp_path / "other") as other:
        assert asked(process) == "written"
        with processes.full(process.pid):
            assert asked(process) == "File too large"
            assert asked(other) == "written"
        assert asked(process) == "written"
    assert (tmp_path / "file").read_text() == 2 * "more"


@pytest.mark.parametrize("hours", [-25.5, 30.0])
def test_a_process_with_a_clock_that_is_off_tells_another_time(hours: float) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TELLS], env=processes.skewed(hours), capture_output=True, text=True, check=True
    )
    off = datetime.fromisoformat(ran.stdout.strip()) - datetime.now(UTC)
    assert abs(off - timedelta(hours=hours)) < timedelta(minutes=2)


@pytest.mark.java
def test_java_with_a_clock_that_is_off_still_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "Waits.java"
    file.write_text(WAITS)
    ran = subprocess.run(
        [find_java().executable, str(file)], env=processes.skewed(-25), capture_output=True, text=True, check=True
    )
    told, waited = ran.stdout.split()
    assert abs(datetime.fromisoformat(told) - datetime.now(UTC) + timedelta(hours=25)) < timedelta(minutes=2)
    assert int(waited) >= 299
