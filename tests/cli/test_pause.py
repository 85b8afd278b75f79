"""`dovetail pause` and `dovetail resume`: what they say, what they leave, and that status tells."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dovetail.cli import ask
from dovetail.shared import pauses, settings
from dovetail.shared import project as projects
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.tables import Layout

from .conftest import VIEWS, Run

WHY = ("--because", "the disk is moved")


def test_a_pause_is_said_kept_and_ended(run: Run, project: Path) -> None:
    layout = Layout(project / "data")
    said = run("pause", "speed", *WHY)
    assert (said.code, said.err) == (0, "")
    assert said.out == "speed of lines is paused; it goes on by dovetail resume speed lines\n"
    first = pauses.paused(layout, "speed", "lines")
    assert first is not None
    again = run("pause", "speed", "lines", "--because", "another")
    assert again.out.endswith(" ago: the disk is moved, and stays so\n")
    assert pauses.paused(layout, "speed", "lines") == first
    assert run("resume", "speed", "lines").out.endswith(" ago: the disk is moved; it goes on\n")
    assert pauses.paused(layout, "speed", "lines") is None
    assert run("resume", "speed", "lines").out == "speed of lines is not paused\n"


def test_a_dry_run_changes_nothing(run: Run, project: Path) -> None:
    layout = Layout(project / "data")
    said = run("pause", "batch", "sales", *WHY, "--dry-run")
    assert said.out.splitlines() == [
        "batch of sales would be paused; it goes on by dovetail resume batch sales", "Nothing written.",
    ]  # fmt: skip
    assert not (project / "data").exists()
    pauses.pause(layout, "batch", "sales", because="x")
    assert run("resume", "batch", "sales", "--dry-run").out.endswith("it would go on\nNothing written.\n")
    assert pauses.paused(layout, "batch", "sales") is not None


def test_json_says_what_is_and_what_was(run: Run, project: Path) -> None:
    of = {"layer": "archive", "name": "lines"}
    assert run("pause", "archive", *WHY, "--json").document == [{**of, "paused": True, "was": False}]
    assert run("pause", "archive", *WHY, "--json").document == [{**of, "paused": True, "was": True}]
    assert run("resume", "archive", "--json").document == [{**of, "paused": False, "was": True}]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve"], "unknown layer 'serve': did you mean 'speed'? Known: archive, batch, speed"),
        (["speed", "line"], "unknown source 'line': did you mean 'lines'? Known: lines"),
        (["batch", "lines"], "unknown view 'lines': did you mean 'sales'? Known: sales"),
    ],
)
def test_what_is_not_there_is_refused_by_name(run: Run, project: Path, arguments: list[str], says: str) -> None:
    for command in (["pause", *arguments, *WHY], ["resume", *arguments]):
        said = run(*command)
        assert said.code == 2
        assert said.err.startswith(f"error  {says}\n")


def test_status_shows_each_pause_with_the_command_that_ends_it(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_settings: object) -> None:
        raise ServiceMissing("no broker")

    monkeypatch.setattr(ask, "find_log", away)
    for layer in ("speed", "archive", "batch"):
        run("pause", layer, *WHY)
    told = run("status", "--json").document
    paused = [t for t in told["troubles"] if t["code"].endswith("-paused")]
    assert [(t["code"], t["grade"], t["next"]) for t in paused] == [
        ("speed-paused", "stopped", "dovetail resume speed lines"),
        ("archive-paused", "stopped", "dovetail resume archive lines"),
        ("batch-paused", "stopped", "dovetail resume batch sales"),
    ]
    assert all("the disk is moved" in t["what"] for t in paused)
    assert (told["sources"][0]["speed"], told["sources"][0]["archive"], told["views"][0]["batch"]) == ("paused",) * 3


def test_a_paused_batch_is_refused_before_anything_starts(run: Run, project: Path) -> None:
    run("pause", "batch", "sales", *WHY)
    for command in (["batch", "sales"], ["batch"]):
        said = run(*command)
        assert said.code == 1
        assert said.err.startswith("error  batch of sales was paused by ")
        assert said.err.endswith("the disk is moved\n next  dovetail resume batch sales\n")


def test_a_batch_of_all_views_leaves_a_paused_one_out_and_says_so(run: Run, project: Path) -> None:
    from dovetail.cli.output import Output
    from dovetail.cli.run import _not_paused

    (project / "views.py").write_text(VIEWS + VIEWS[VIEWS.index("sales = ") :].replace("sales", "again"))
    sys.modules.pop("views", None)
    declared = projects.load(settings.load())
    pauses.pause(declared.layout, "batch", "sales", because="x")
    assert [v.name for v in _not_paused(declared, [*declared.views.values()], Output())] == ["again"]
