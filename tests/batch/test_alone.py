"""One process alone with a source: it waits for what comes, and for nothing that does not."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.batch.alone import alone
from dovetail.shared import aside, pauses, settings
from dovetail.shared import project as projects
from dovetail.shared.claims import Claims
from dovetail.shared.commit import open_source
from dovetail.shared.errors import Busy, NotYet, Paused
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project

VIEWS = """
import dovetail as dv

orders = dv.source("orders", schema="customer string", subject="customer")
totals = dv.view("totals", source=orders, measures={"n": dv.count()})
"""
PATIENCE = 60.0
SPARK: Any = None
"""None is needed to look how far an archive has come."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Speed has read two records, and the archive, which runs, the first of them."""
    monkeypatch.setattr(aside, "LOOK_S", 0.01)
    (tmp_path / "dovetail.toml").write_text('views = ["alone_views.py"]\n')
    (tmp_path / "alone_views.py").write_text(VIEWS)
    path = list(sys.path)
    found = projects.load(settings.load(tmp_path))
    ledger = DeltaLedger(found.layout.ledger("orders"))
    open_source(ledger, topic_id="t", origin=Position({0: 0}))
    ledger.append(LedgerRow(1, 0, "commit", Range(Position({0: 0}), Position({0: 2})), {}, "t"))
    Claims(found.layout.claims("orders")).append(Position({0: 1}))
    with held(found.layout.lock("archive-orders"), "a test"):
        yield found
    sys.path[:] = path
    sys.modules.pop("alone_views", None)


def enter(project: Project, *, patience: float = PATIENCE) -> None:
    with alone(project, project.source("orders"), (), SPARK, patience, lambda _: None):
        pass


def pause(project: Project) -> None:
    pauses.pause(project.layout, "archive", "orders", because="the disk is moved")


def test_for_a_paused_archive_that_is_behind_nothing_stands_aside(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()
    monkeypatch.setattr(aside, "asking", lambda _, layer, *__: asked.append(layer))
    pause(project)
    with pytest.raises(Paused, match=r"archive of orders was paused by .*: the disk is moved") as said:
        enter(project)
    assert (said.value.next, asked) == ("dovetail resume archive orders", [])


def test_one_that_is_paused_meanwhile_is_not_waited_for(project: Project) -> None:
    threading.Timer(0.3, pause, [project]).start()
    began = time.monotonic()
    with pytest.raises(Paused):
        enter(project, patience=5)
    assert time.monotonic() - began < 5


def test_one_that_only_comes_too_late_is_told_with_how_far_it_is(project: Project) -> None:
    with pytest.raises(NotYet, match=r"up to .*2.*, the archive up to .*1"):
        enter(project, patience=0.1)


def test_a_paused_one_that_has_come_far_enough_is_no_hindrance(project: Project) -> None:
    Claims(project.layout.claims("orders")).append(Position({0: 2}))
    pause(project)
    with pytest.raises(Busy, match="archive-orders runs, and does not stand aside"):
        enter(project, patience=0.1)
