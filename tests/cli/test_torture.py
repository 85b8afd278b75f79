"""`dovetail torture` as it speaks: the plan, a failure with its shorter list, and whose folder it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from dovetail.torture.actions import Action, planned, read, written
from dovetail.torture.run import Outcome
from dovetail.torture.soak import Figures
from dovetail.torture.stand import Recovery

from .conftest import Run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[list[Action]]:
    """The lists that were played on a double of the stack, which fails where a partition is added after a kill."""
    lists = list[list[Action]]()

    def play(actions: Sequence[Action], folder: Path, **_: Any) -> Outcome:
        lists.append([*actions])
        names = [str(action).split()[0] for action in actions]
        fails = "kill" in names and "partition" in names[names.index("kill") :]
        return Outcome(
            done=[*actions], seconds=61.2, acknowledged=1200, answers=40, refused=3,
            recoveries=[Recovery("kill speed", 9.1, 12.3)],
            proof="" if fails else "0 lost, 0 doubled, 90 groups equal",
            failure="ids is wrong\n  why: LOST id 17, at 2@31" if fails else "",
        )  # fmt: skip

    monkeypatch.setattr("dovetail.torture.run.play", play)
    return lists


FAILING = """settle
kill what=speed after=1.0 seed=3
settle
partition
"""


def test_a_dry_run_prints_a_list_that_can_be_played(run: Run, here: Path) -> None:
    said = run("torture", "--dry-run", "--seed", "7", "--actions", "30")
    assert said.code == 0
    assert read(said.out) == planned(7, 30)
    assert orjson.loads(run("torture", "--dry-run", "--seed", "7", "--actions", "2", "--json").out) == {
        "seed": 7, "actions": [str(action) for action in planned(7, 2)],
    }  # fmt: skip
    assert [*here.iterdir()] == []


def test_a_seed_that_is_survived_tells_what_was_seen(run: Run, played: list[list[Action]]) -> None:
    said = run("torture", "--seed", "7", "--actions", "3")
    assert (said.code, said.out) == (
        0,
        "seed 7, 3 actions\n"
        "answered after 9.1 s, all runs after 12.3 s: kill speed\n"
        "1,200 records acknowledged, 40 answers checked, none wrong, 3 times 503 where it was due, "
        "slowest recovery 9.1 s, 61 s in all\n"
        "0 lost, 0 doubled, 90 groups equal\n",
    )
    assert played == [planned(7, 3)]


def test_a_failure_names_the_records_the_actions_and_a_shorter_list(
    run: Run, played: list[list[Action]], here: Path
) -> None:
    (here / "list.txt").write_text(FAILING)
    said = run("torture", "--actions-file", "list.txt")
    assert said.code == 1
    assert "! failed after 4 actions: ids is wrong\n  why: LOST id 17, at 2@31\n" in said.err
    assert "done so far:\n  settle\n  kill what=speed after=1.0 seed=3\n  settle\n  partition\n" in said.out
    assert "a failing list of 2 actions:\n  kill what=speed after=1.0 seed=3\n  partition\n" in said.out
    assert "dovetail torture --actions-file dovetail-torture/minimal.txt" in said.out
    minimal = (here / "dovetail-torture" / "minimal.txt").read_text()
    assert minimal == written(played[0][1::2])


def test_without_time_to_shrink_it_plays_once(run: Run, played: list[list[Action]], here: Path) -> None:
    (here / "list.txt").write_text(FAILING)
    said = run("torture", "--actions-file", "list.txt", "--shrink", "0", "--json")
    document = orjson.loads(said.out)
    assert (said.code, len(played)) == (1, 1)
    assert document["failure"].startswith("ids is wrong")
    assert document["minimal"] == []
    assert document["actions"] == FAILING.splitlines()


def test_a_folder_that_holds_other_things_is_left_alone(run: Run, played: list[list[Action]], here: Path) -> None:
    theirs = here / "theirs" / "run" / "thesis.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("years of work")
    said = run("torture", "--folder", "theirs")
    assert said.code == 2
    assert said.err == "error  theirs holds what no torture wrote\n next  name another by --folder\n"
    assert theirs.read_text() == "years of work"
    assert played == []
    again = [run("torture", "--seed", "1", "--actions", "2").code for _ in range(2)]
    assert again == [0, 0]


def test_a_list_that_is_not_there_is_wrong_use(run: Run) -> None:
    said = run("torture", "--actions-file", "nothing.txt")
    assert said.code == 2
    assert said.err.startswith("error  nothing.txt cannot be read\n")


@pytest.fixture
def soaked(monkeypatch: pytest.MonkeyPatch) -> list[Figures]:
    """What the soaks to come will have measured."""
    waiting = list[Figures]()

    def run(folder: Path, **_: Any) -> Figures:
        folder.mkdir(exist_ok=True)
        return waiting.pop(0)

    monkeypatch.setattr("dovetail.torture.soak.run", run)
    return waiting


def test_a_soak_tells_its_figures_and_whether_all_was_well(run: Run, soaked: list[Figures]) -> None:
    good = Figures(30, sent=1_800_000, batches=6, proof="0 lost, 0 doubled of 1,800,000")
    good.answers.update({"blocks": 18_000, "days": 18_000})
    good.recoveries.append(Recovery("kill speed", 11.0, 14.2))
    for size in (210, 260, 240):
        good.memory["speed python"].add(size)
        good.files["states"].add(size)
    soaked += [good, Figures(30, wrong=1, failure="blocks is wrong")]
    said = run("torture", "--soak", "30")
    assert said.code == 0
    assert said.out == (
        "minutes                       30\n"
        "records acknowledged          1,800,000\n"
        "answers checked               blocks 18,000, days 18,000\n"
        "wrong answers                 0\n"
        "503 where it was due          0\n"
        "other failures                0\n"
        "batches                       6\n"
        "recovery                      answered after 11.0 s, all runs after 14.2 s: kill speed\n"
        "MB of speed python            first 210, last 240, max 260\n"
        "files of states               first 210, last 240, max 260\n"
        "proof                         0 lost, 0 doubled of 1,800,000\n"
    )
    again = run("torture", "--soak", "30", "--json")
    assert again.code == 1
    assert orjson.loads(again.out)["failure"] == "blocks is wrong"
