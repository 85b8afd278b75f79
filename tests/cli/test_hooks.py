"""What `on_problem` is told: whatever ends a batch, and the gates that hold back a batch or a promote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.cli.stack import STOP_WITH_PARENT, end_with_parent
from dovetail.shared.errors import GateClosed, ServiceMissing

from .conftest import VIEWS, Run

Told = Callable[[], list[Any]]


@pytest.fixture
def told(project: Path) -> Told:
    """Gives what the hook of the project has been given so far."""
    hook, file = project / "hook.sh", project / "told"
    hook.write_text("#!/bin/sh\ncat >> told\n")
    hook.chmod(0o755)
    file.touch()
    with (project / "dovetail.toml").open("a") as settings:
        settings.write('[hooks]\non_problem = ["./hook.sh"]\n')
    return lambda: [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def engineless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dovetail.cli.run.find_log", "dovetail.cli.run.start_spark", "dovetail.batch.job.live"):
        monkeypatch.setattr(name, lambda *_, **__: None)
    monkeypatch.setattr("dovetail.batch.dimensions.refresh_all", lambda *_, **__: None)


def test_a_batch_that_cannot_begin_is_told(
    run: Run, project: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise ServiceMissing("no Kafka", next="start it")

    monkeypatch.setattr("dovetail.cli.run.find_log", away)
    assert run("batch", "--json").code == 3
    event = {"event": "problem", "verb": "batch", "view": None, "kind": "ServiceMissing", "what": "no Kafka"}
    assert told() == [{**event, "next": "start it"}]
    assert run("batch", "--dry-run").code == 3
    assert len(told()) == 1, "a dry run is no batch"


def test_so_is_one_whose_declarations_cannot_be_read(run: Run, project: Path, told: Told) -> None:
    (project / "views.py").write_text("import nothing_of_that_name\n")
    assert run("batch").code == 2
    [found] = told()
    assert (found["kind"], "views.py" in found["where"]) == ("DeclarationError", True)


@pytest.mark.usefixtures("engineless")
def test_a_closed_gate_is_told_of_its_view_and_the_next_is_computed(
    run: Run, project: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = dict.fromkeys(("closed", "open", "broken"))
    monkeypatch.setattr("dovetail.cli.run._due", lambda *_: [SimpleNamespace(name=name) for name in views])
    done = list[str]()

    def batch(_: Any, view: Any, *__: Any, **___: Any) -> None:
        done.append(view.name)
        if view.name == "closed":
            raise GateClosed("lines 10 → 1")
        if view.name == "broken":
            raise ZeroDivisionError

    monkeypatch.setattr("dovetail.batch.job.run", batch)
    assert run("batch").code == 70
    assert done == [*views]
    assert [(each["view"], each["kind"]) for each in told()] == [
        ("closed", "GateClosed"),
        ("broken", "ZeroDivisionError"),
    ]


def test_a_gate_that_holds_back_a_promote_is_told_unless_it_was_only_asked(
    run: Run, project: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "views.py").write_text(VIEWS.replace("keys=[", 'promote_if=[dv.gate("lines", within="30%")], keys=['))

    def closed(*_: object) -> None:
        raise GateClosed("lines 10 → 1")

    monkeypatch.setattr("dovetail.cli.change._manifest", lambda *_: None)
    monkeypatch.setattr("dovetail.cli.change.start_spark", lambda *_, **__: None)
    monkeypatch.setattr("dovetail.batch.change.to_promote", lambda *_: ())
    monkeypatch.setattr("dovetail.batch.gates.refuse_promote", closed)
    assert run("promote", "sales", "--dry-run").code == 1
    assert told() == []
    assert run("promote", "sales").code == 1
    assert [(each["verb"], each["view"], each["what"]) for each in told()] == [("promote", "sales", "lines 10 → 1")]


def test_a_command_that_dev_runs_lets_its_hooks_run_dovetail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their stdin ends, and would be taken for the end of `dev`."""
    monkeypatch.setenv(STOP_WITH_PARENT, "1")
    monkeypatch.setattr("threading.Thread.start", lambda _: None)
    end_with_parent()
    assert STOP_WITH_PARENT not in os.environ
