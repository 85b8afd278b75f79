"""Which views a batch by age takes, and the batches that `dev` runs by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from dovetail.cli import nightly
from dovetail.cli.nightly import Nightly
from dovetail.shared import manifest as rules
from dovetail.shared.errors import GateClosed, ServiceMissing
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Manifest, RunId
from dovetail.shared.manifest import Run as BatchRun
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range

from .conftest import VIEWS, Run


def ran(project: Path, monkeypatch: pytest.MonkeyPatch, *, ago: float) -> None:
    """A batch of `sales` was promoted so many seconds ago."""
    then, run = time.time() - ago, BatchRun(RunId("1"), VersionId("sales@1"), -1, 1, Range(Position(), Position()))
    with monkeypatch.context() as while_it_is_written:
        while_it_is_written.setattr("dovetail.shared.manifest_table.time", SimpleNamespace(time=lambda: then))
        DeltaManifest(project / "data/views/sales/manifest").swap(rules.first("sales", (run,), ""))


@pytest.fixture(autouse=True)
def _no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> NoReturn:
        raise ServiceMissing("Kafka is asked for")

    monkeypatch.setattr("dovetail.cli.run.find_log", away)


def test_a_view_whose_newest_run_is_younger_is_left_out(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(project, monkeypatch, ago=3600.0 * 19)
    said = run("batch", "--if-older-than", "20h")
    assert (said.code, said.out) == (0, "sales: its newest run is 19 h old: nothing to do yet\n")
    document: Any = run("batch", "--if-older-than", "20h", "--json").document
    assert (document["view"], document["written"]) == ("sales", False)


@pytest.mark.parametrize("ago", [3600.0 * 21, -3600.0], ids=["older", "of a clock that was put back"])
def test_one_that_is_older_is_run(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, ago: float) -> None:
    ran(project, monkeypatch, ago=ago)
    assert run("batch", "--if-older-than", "20h").code == 3


def test_one_that_never_ran_is_run(run: Run, project: Path) -> None:
    assert run("batch", "--if-older-than", "20h").code == 3


def test_what_is_no_age_is_refused(run: Run, project: Path) -> None:
    said = run("batch", "--if-older-than", "soon")
    assert (said.code, "'soon' is not a length of time" in said.err) == (2, True)


@pytest.mark.parametrize("verb", [["batch"], ["promote", "sales"]])
def test_a_gate_is_passed_for_a_reason_only(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str]
) -> None:
    ran(project, monkeypatch, ago=0.0)
    monkeypatch.setattr("dovetail.batch.change.to_promote", lambda *_: ())
    said = run(*verb, "--despite-gates", "--because", " ")
    assert (said.code, "say why" in said.err) == (2, True)


def test_a_closed_gate_refuses_a_promote_unless_somebody_says_why(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(project, monkeypatch, ago=0.0)
    gated = VIEWS.replace("keys=[", 'promote_if=[dv.gate("lines", within="30%")], keys=[')
    (project / "views.py").write_text(gated)
    notes = list[str]()

    def closed(*_: object) -> NoReturn:
        raise GateClosed("lines 10 → 1")

    def switch(_project: Any, _view: Any, now: Manifest, _to: Any, *, note: str, back: bool) -> Manifest:
        notes.append(note)
        return now

    monkeypatch.setattr("dovetail.cli.change.start_spark", lambda *_, **__: None)
    monkeypatch.setattr("dovetail.batch.change.to_promote", lambda now, *_: now.runs)
    monkeypatch.setattr("dovetail.batch.change.switch", switch)
    monkeypatch.setattr("dovetail.batch.gates.refuse_promote", closed)
    for dry in ([], ["--dry-run"]):
        said = run("promote", "sales", *dry)
        assert (said.code, "lines 10 → 1" in said.err, notes) == (1, True, [])
    assert run("promote", "sales", "--despite-gates", "--because", "meant").code == 0
    assert notes[0].startswith("promote despite its gates by ")
    assert notes[0].endswith(": meant")


@dataclass
class Batches:
    """Views with ages, the batches that were started, and what they ended with."""

    ages: dict[str, float | None]
    started: list[str] = field(default_factory=list)
    code: int | None = None
    stopped: int = 0
    notes: list[str] = field(default_factory=list)

    def start(self, view: str) -> Batches:
        self.started.append(view)
        self.code = None
        return self

    def ended(self) -> int | None:
        return self.code

    def stop(self) -> None:
        self.stopped += 1

    def nightly(self, every: float = 100.0) -> Nightly:
        return Nightly(every, lambda: self.ages, self.start, self.notes.append)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr(nightly, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_what_is_due_is_run_one_at_a_time(clock: Callable[[float], None]) -> None:
    batches = Batches({"new": None, "young": 5.0, "old": 100.0})
    look = batches.nightly()
    look()
    look()
    assert batches.started == ["new"], "the next waits for the first to end"
    batches.code = 0
    look()
    batches.code = 1
    look()
    assert batches.started == ["new", "old"]
    assert batches.notes == ["batch    new", "batch    old ended with exit code 1: dovetail status"]
    assert batches.stopped == 2


def test_one_that_failed_is_tried_again_no_sooner_than_one_that_did_not(clock: Callable[[float], None]) -> None:
    batches = Batches({"old": 500.0})
    look = batches.nightly()
    look()
    batches.code = 1
    for _ in range(99):
        clock(1.0)
        look()
    assert batches.started == ["old"]
    clock(61.0)
    look()
    assert batches.started == ["old", "old"]


def test_it_looks_at_the_tables_now_and_then_only(clock: Callable[[float], None]) -> None:
    looks = list[int]()

    def ages() -> dict[str, float | None]:
        looks.append(1)
        return {"young": 5.0}

    look = Nightly(1000.0, ages, lambda _: Batches({}), lambda _: None)
    for _ in range(100):
        look()
        clock(1.0)
    assert len(looks) == 2


def test_the_one_that_runs_is_ended_with_the_stack(clock: Callable[[float], None]) -> None:
    batches = Batches({"old": None})
    look = batches.nightly()
    look.stop()
    look()
    look.stop()
    assert batches.stopped == 1
