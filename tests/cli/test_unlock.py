"""`dovetail unlock`: refused while the owner lives, with what ends it; the note of a dead one is cleared."""

from __future__ import annotations

import os
from pathlib import Path

from dovetail.shared.locks import held
from dovetail.shared.tables import Layout

from .conftest import Run


def test_a_held_lock_is_refused_with_its_owner_and_how_to_end_it(run: Run, project: Path) -> None:
    with held(Layout(project / "data").lock("speed-lines"), "the speed job of lines"):
        said = run("unlock", "speed-lines")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"error  speed-lines is held by pid {os.getpid()} on ")
    assert said.err.endswith(f" next  kill {os.getpid()}, and if it is still there after 15 s: kill -9 {os.getpid()}\n")


def test_what_a_dead_owner_left_is_cleared_once(run: Run, project: Path) -> None:
    lock = Layout(project / "data").lock("speed-lines")
    with held(lock, "the speed job of lines"):
        pass
    assert run("unlock", "speed-lines", "--dry-run").out.endswith("the speed job of lines would be cleared\n")
    assert run("unlock", "speed-lines", "--json").document["cleared"] is True
    assert run("unlock", "speed-lines").out == "nobody holds speed-lines\n"


def test_a_lock_that_is_not_there_is_refused_by_name(run: Run, project: Path) -> None:
    with held(Layout(project / "data").lock("speed-lines"), "speed"):
        said = run("unlock", "speed-line")
    assert said.code == 2
    assert said.err.startswith("error  unknown lock 'speed-line': did you mean 'speed-lines'? Known: speed-lines\n")
