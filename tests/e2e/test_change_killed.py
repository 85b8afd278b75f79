"""Killed with -9 at any step of reprocess, promote, rollback and prune, the same command again ends as if it had not.

Each is a process of its own. What it passes on its way is looked at, so that a failpoint that nobody kills at is told.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from test_change import Changing, event

from dovetail.batch import change
from dovetail.shared import failpoints
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN
from dovetail.shared.states import DeltaStates

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(600)]

COMMANDS = {
    "reprocess": ["reprocess", "totals"],
    "give up": ["reprocess", "totals", "--give-up"],
    "promote": ["promote", "totals"],
    "rollback": ["rollback", "totals"],
    "prune": ["batch", "totals"],
}
KILLS = {  # in the order in which they are passed: each is killed where the one before it was
    "reprocess": (
        "attach.bundle_written",
        "attach.bundle_stored",
        "attach.states_created",
        "attach.in_force",
        "batch.pinned",
        "batch.before_run",
        "batch.failed_written",
        "batch.slice_written",
        "batch.run_written",
        "reprocess.before_staged",
        "reprocess.staged",
    ),
    "give up": ("reprocess.unstaged",),
    "promote": ("switch.asked", "switch.done"),
    "rollback": ("switch.asked", "switch.done"),
    "prune": (
        "batch.before_promote",
        "batch.after_promote",
        "batch.floors_raised",
        "batch.run_deleted",
        "batch.retired",
        "prune.before_delete",
        "prune.states_deleted",
    ),
}
FIRST_START = "attach.answered"
OTHERS = (
    "accept_gap", "archive", "clean", "compact", "dimension", "feed", "forget", "import", "push", "relabel", "resend",
    "speed",
)  # fmt: skip
"""Prefixes of what is no part of a change, and is killed by tests of its own."""

SETTINGS = {
    "DOVETAIL__BATCH__RECORDS_PER_PART": "2",
    "DOVETAIL__SPARK__MASTER": "local[2]",
    "DOVETAIL__SPARK__DRIVER_MEMORY": "700m",
}
NO_ROLLBACK = {"DOVETAIL__RETENTION__ROLLBACK_WINDOW": "1 ms", "DOVETAIL__RETENTION__ROLLBACKS": "0"}
RAISES_ONCE = "if(n = 0, 1 div n, n * 10)"
"""The changed sum: one record makes it raise, and is set apart by the run."""
NUMBERS = count()


@dataclass(frozen=True)
class Case:
    """A project at which a command is next, and what it comes to."""

    command: str
    stand: Changing
    old: VersionId
    new: VersionId

    def run(self, failpoint: str = "") -> int:
        """The command in a process of its own; its exit code."""
        armed = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": f"{failpoint}:crash"} if failpoint else {}
        done = subprocess.run(
            [sys.executable, "-m", "dovetail", *COMMANDS[self.command]],
            cwd=self.stand.folder,
            env={**os.environ, **armed},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 2, -signal.SIGKILL), done.stderr[-3000:]
        return done.returncode

    @property
    def state(self) -> dict[str, Any]:
        """What answers, what is kept and computed beside, what is in force, and what was to be deleted and is not."""
        stand, manifest = self.stand, self.stand.manifest
        name = {self.old: "old", self.new: "new"}
        states = DeltaStates(stand.layout, stand.name)
        floors = {v: manifest.floor(v) for v in (self.old, self.new) if manifest.floor(v) >= 0}
        return {
            "answers": (name[manifest.live], manifest.generation, stand.total()),
            "kept": [name[runs[-1].version] for runs in manifest.rollback],
            "beside": {
                name[runs[-1].version]: (sum(r.records for r in runs), sum(r.failed for r in runs), stand.total(runs))
                for runs in manifest.staged
            },
            "in force": {name[v] for v in DeltaLedger(stand.layout.ledger(stand.name)).rows()[-1].versions},
            "pins": {**manifest.pins},
            "floors": {name[v]: seq for v, seq in floors.items()},
            "below floors": {
                name[v]: sum(seq <= floor for seq in states.table(v).read()["_seq"].to_pylist())
                for v, floor in floors.items()
            },
        }

    @property
    def left_over(self) -> set[str]:
        """Run tables that nothing names."""
        manifest = self.stand.manifest
        named = {r.id for runs in manifest.sets for r in runs if r.id != ORIGIN}
        return {folder.name for folder in self.stand.layout.of_runs("totals")} - named


def prepared(command: str, folder: Path, log: Log, spark: SparkSession) -> Case:
    """Four good records and one that makes the changed version raise, and all that comes before the command."""
    with settings(command):
        stand = Changing(folder, log, spark, f"killed_{next(NUMBERS)}")
        stand.send(event("a", 0))
        stand.commit()
        case = Case(command, stand, stand.manifest.live, stand.change(RAISES_ONCE))
        if command != "reprocess":
            stand.reprocess()
        if command in ("rollback", "prune"):
            stand.switch(change.to_promote(stand.manifest, case.new))
            stand.send(event("a", 5))
            stand.commit()
        return case


@contextmanager
def settings(command: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (SETTINGS | (NO_ROLLBACK if command == "prune" else {})).items():
            patch.setenv(name, value)
        yield


@contextmanager
def copied(case: Case, folder: Path) -> Iterator[Case]:
    """The case once more, in a folder of its own; of the same topic."""
    shutil.copytree(case.stand.folder, folder, dirs_exist_ok=True)
    twin = copy(case.stand)
    twin.folder = folder
    for name in [name for name in sys.modules if name.startswith(case.stand.name)]:
        del sys.modules[name]
    with settings(case.command):
        assert twin.change(RAISES_ONCE) == case.new
        yield replace(case, stand=twin)


class Passed(dict[str, str]):
    """The failpoints there are; notes which of them are passed."""

    def __init__(self) -> None:
        super().__init__(failpoints.NAMES)
        self.names = set[str]()

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


@dataclass(frozen=True)
class Unkilled:
    """What a command comes to where nothing happens to it, and the failpoints on its way."""

    state: dict[str, Any]
    passed: set[str]


@pytest.fixture(scope="module")
def ready(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """By command the project that it is next at: made once, to be copied."""
    return cache(lambda command: prepared(command, tmp_path_factory.mktemp("ready"), log, spark))


@pytest.fixture(scope="module")
def unkilled(ready: Callable[[str], Case], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Unkilled]:
    """By command; each is run once."""

    @cache
    def found(command: str) -> Unkilled:
        with copied(ready(command), tmp_path_factory.mktemp("unkilled")) as case:
            passed = Passed()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(failpoints, "NAMES", passed)
                in_this_process(case)
            return Unkilled(case.state, passed.names)

    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_failpoint_on_its_way_is_one_that_is_killed_at(command: str, unkilled: Callable[[str], Unkilled]) -> None:
    found = unkilled(command)
    of_any_run = {*KILLS["reprocess"]} if command == "prune" else set()  # and killed there
    others = {name for name in found.passed if name.split(".")[0] in OTHERS}
    assert found.passed - others - of_any_run == {*KILLS[command]}


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_each_in_turn_the_same_command_again_ends_as_if_it_had_not_been(
    command: str, ready: Callable[[str], Case], unkilled: Callable[[str], Unkilled], tmp_path: Path
) -> None:
    with copied(ready(command), tmp_path) as case:
        for point in KILLS[command]:
            assert case.run(point) == -signal.SIGKILL, f"{point} is not passed any more"
        code = case.run()
        assert case.state == unkilled(command).state
        assert code == (2 if KILLS[command][-1] == "switch.done" else 0), "what is done already is said to be"
        if command != "prune":  # of a part that was killed, or given up, the next batch deletes the table
            case.stand.send(event("a", 5))
            case.stand.batch("totals")
        assert case.left_over == set()


def test_every_failpoint_of_a_change_is_on_the_way_of_one_of_them() -> None:
    of_a_change = {name for name in failpoints.NAMES if name.split(".")[0] not in OTHERS} - {FIRST_START}
    assert of_a_change == {name for names in KILLS.values() for name in names}


def in_this_process(case: Case) -> None:
    """The command, by the functions that it calls."""
    from dovetail.batch import reprocessing

    stand = case.stand
    match case.command:
        case "reprocess":
            stand.reprocess()
        case "give up":
            reprocessing.give_up(stand.project, stand.project.view("totals"))
        case "promote":
            stand.switch(change.to_promote(stand.manifest, case.new))
        case "rollback":
            view = stand.project.view("totals")
            to = change.to_go_back(stand.manifest)
            change.switch(stand.project, view, stand.manifest, to, note="by the test", back=True)
        case "prune":
            stand.batch("totals")
