"""`dovetail history` as typed: what a view can go to, and what becomes of what is computed beside; no Java."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from killed import killed_at

from dovetail.batch import reprocessing
from dovetail.shared import manifest as rules
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.commit import attach, open_source
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import ORIGIN, Manifest, RunId
from dovetail.shared.manifest import Run as BatchRun
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project

from .conftest import Run

AT = Range(Position({0: 0}), Position({0: 0}))


@pytest.fixture
def of(project: Path) -> Project:
    """A project whose view answers from the origin, and has read one record since."""
    found = projects.load(settings.load())
    version, ledger = found.version(found.view("sales")), DeltaLedger(found.layout.ledger("lines"))
    open_source(ledger, topic_id="id", origin=AT.to)
    attach(ledger, version)
    ledger.append(LedgerRow(2, 0, "commit", Range(AT.to, Position({0: 1})), {version: 1}, "id"))
    DeltaManifest(found.layout.manifest("sales")).swap(rules.first("sales", (run_of(version, ORIGIN),), "first"))
    return found


def run_of(version: VersionId, name: str) -> BatchRun:
    return BatchRun(RunId(name), version, -1, 1, AT)


def stage(of: Project, version: VersionId, **changes: object) -> Manifest:
    manifests = DeltaManifest(of.layout.manifest("sales"))
    now = manifests.read()
    assert now is not None
    staged = rules.staged(now, (run_of(version, "part"),), note="part")
    manifests.swap(replace(staged, **changes))  # type: ignore[arg-type]
    return now


def test_it_says_what_can_be_gone_to_and_what_is_computed_in_part(run: Run, of: Project) -> None:
    live = stage(of, of.version(of.view("sales"))).live
    assert f"\nforth {live} up to seq 1: dovetail promote sales --to {live}" in run("history", "sales").out
    stage(of, live, floors={live: 2})
    assert (
        f"\nforth {live} up to seq 1 of 2: dovetail reprocess sales --from-scratch goes on"
        in run("history", "sales").out
    )


def test_what_the_code_has_moved_on_from_is_let_go_of_by_its_name(run: Run, of: Project) -> None:
    left, ledger = VersionId("sales@0b22"), DeltaLedger(of.layout.ledger("lines"))
    attach(ledger, left)
    live = stage(of, left).live
    stage(of, live)
    command = f"reprocess sales --give-up --to {left}"
    assert f"\nforth {left} up to seq 1 of 3: dovetail {command} lets go of it\n" in run("history", "sales").out
    assert run("reprocess", "sales", "--to", "0b").code == 2
    assert run(*command.split(), "--dry-run").out == f"{left} would be given up. Nothing changed.\n"
    assert left in ledger.rows()[-1].versions
    with killed_at("reprocess.unstaged"):
        reprocessing.give_up(of, of.view("sales"), left)
    assert run("reprocess", "sales", "--give-up", "--to", "0b").out == f"{left} is given up\n"
    now = DeltaManifest(of.layout.manifest("sales")).read()
    assert now is not None
    assert ([*ledger.rows()[-1].versions], [runs[-1].version for runs in now.staged]) == ([live], [live])
    assert run(*command.split()).code == 2
