"""The tour of docs/change-day.md: its edits are made and its commands run in a new project beside `dovetail dev`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages import Command, Edit, follow, steps

PAGE, TOUR = "change-day.md", "The tour"
VERBS = ("plan", "reprocess", "diff", "promote", "rollback", "history")


def test_every_verb_of_a_change_is_on_the_tour() -> None:
    lines = [step.line for step in steps(PAGE, TOUR) if isinstance(step, Command)]
    assert [verb for verb in VERBS if not any(line.startswith(f"dovetail {verb} ") for line in lines)] == []


def test_an_edit_is_what_is_taken_out_and_what_comes_instead(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\n  two\nthree\n")
    Edit.of("a.py", " one\n-  two\n+  2\n+  zwei\n").apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\n  2\n  zwei\nthree\n"


@pytest.mark.java
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_command_gives_what_the_page_shows(tmp_path: Path) -> None:
    ports = {"DOVETAIL__SERVING__PORT": str(free_port()), "DOVETAIL__KAFKA__PORT": str(free_port())}
    subprocess.run([sys.executable, "-m", "dovetail", "init", "shop"], cwd=tmp_path, check=True, capture_output=True)
    with developing(tmp_path / "shop", ports):
        follow(PAGE, tmp_path / "shop", TOUR, **ports)


@contextmanager
def developing(folder: Path, ports: dict[str, str]) -> Iterator[None]:
    """`dovetail dev` in a project, once it is up; stopped as Ctrl-C would."""
    with (folder.parent / "dev.log").open("w+") as log:
        dev = subprocess.Popen(
            [sys.executable, "-m", "dovetail", "dev"],
            cwd=folder,
            env={**os.environ, **ports},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with dev:
            try:
                assert dev.stdout is not None
                up = any("Ctrl-C stops all" in line for line in dev.stdout)
                log.seek(0)
                assert up, log.read()[-3000:]
                yield
            finally:
                dev.send_signal(signal.SIGINT)
        assert dev.returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
