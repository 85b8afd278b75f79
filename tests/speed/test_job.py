"""The speed job publishes what the ledger wants next, and nothing else."""

from __future__ import annotations

import threading
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.shared import pauses
from dovetail.shared.aside import IN_PLACE
from dovetail.shared.commit import Folded, open_epoch, open_source
from dovetail.shared.errors import Busy, IntegrityError
from dovetail.shared.ledger import Books
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout
from dovetail.speed import job
from dovetail.speed.job import SpeedJob


def test_a_micro_batch_that_is_not_what_the_ledger_wants_next_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "bundles", lambda *_: [])
    monkeypatch.setattr(job, "folded", lambda *_: Folded({}, Books(3, 3, offered=3)))
    ledger, nothing = DeltaLedger(tmp_path / "ledger"), SimpleNamespace(layout=None, looks_first=False)
    none: Any = None
    open_source(ledger, topic_id="t", origin=Position({0: 5}))
    speed = SpeedJob(nothing, none, ledger, none, open_epoch(ledger), lambda _: None, nothing, lambda: None)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match=r"the ledger wants 0@5\.\.9, the micro-batch holds 0@6\.\.9"):
        speed.step(none, Range(Position({0: 6}), Position({0: 9})))
    assert [row.kind for row in ledger.rows()] == ["open", "open"]


def test_a_second_speed_job_of_a_source_is_refused(tmp_path: Path) -> None:
    none: Any = None
    project: Any = SimpleNamespace(layout=Layout(tmp_path), settings=SimpleNamespace(speed=None))
    source: Any = SimpleNamespace(name="lines")
    with (
        held(project.layout.lock("speed-lines"), "the first"),
        pytest.raises(Busy, match="the speed job of lines runs already"),
    ):
        job.run(project, source, none, none)


def test_a_start_waits_while_a_batch_commits_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none: Any = None
    project: Any = SimpleNamespace(layout=Layout(tmp_path), settings=SimpleNamespace(speed=None))
    happened, batch = list[str](), ExitStack()

    def opened(*_: Any) -> None:
        happened.append("opened")
        raise InterruptedError

    def done() -> None:
        happened.append("done")
        batch.close()

    def told(said: str) -> None:
        happened.append(said)
        threading.Timer(0.3, done).start()

    monkeypatch.setattr(job, "open_ledger", opened)
    batch.enter_context(held(project.layout.lock("speed-lines"), IN_PLACE))
    with pytest.raises(InterruptedError):
        job.run(project, SimpleNamespace(name="lines"), none, none, on_pause=told)  # type: ignore[arg-type]
    says = "a batch commits in the place of speed; speed of lines goes on once that is done"
    assert happened == [says, "done", "opened"]


def test_a_paused_start_waits_before_it_opens_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none: Any = None
    happened = list[str]()

    def opened(*_: Any) -> None:
        happened.append("opened")
        raise InterruptedError

    def told(said: str) -> None:
        happened.append(said.rpartition(": ")[2])
        pauses.resume(project.layout, "speed", "lines")

    monkeypatch.setattr(job, "open_ledger", opened)
    monkeypatch.setattr(pauses, "LOOK_S", 0.01)
    project: Any = SimpleNamespace(layout=Layout(tmp_path), settings=SimpleNamespace(speed=None))
    pauses.pause(project.layout, "speed", "lines", because="the disk is moved")
    source: Any = SimpleNamespace(name="lines")
    with pytest.raises(InterruptedError):
        job.run(project, source, none, none, on_pause=told)
    assert happened == ["dovetail resume speed lines", "speed of lines goes on", "opened"]


def test_a_start_tells_of_its_lineage_before_it_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*given: Any) -> None:
        assert given == (project, source, log, opened)
        raise InterruptedError

    opened: Any = SimpleNamespace(epoch=1, topic_id="t", to=Position({0: 0}))
    log: Any = SimpleNamespace(extent=lambda _: None, watched=lambda *_: nullcontext())
    monkeypatch.setattr(job, "open_ledger", lambda *_: SimpleNamespace(last=lambda: opened))
    monkeypatch.setattr(job, "open_epoch", lambda *_, **__: 1)
    monkeypatch.setattr(job, "Judge", SimpleNamespace(of_commits=lambda *_, **__: None))
    for name in ("put_in_force", "refuse_another"):
        monkeypatch.setattr(job, name, lambda *_, **__: None)
    monkeypatch.setattr(job.lineage, "of_speed", told)
    settings = SimpleNamespace(speed=SimpleNamespace(stop_if_quarantined=None))
    project: Any = SimpleNamespace(layout=Layout(tmp_path), settings=settings)
    source: Any = SimpleNamespace(name="lines", topic="lines")
    none: Any = None
    with pytest.raises(InterruptedError):
        job.run(project, source, log, none)
