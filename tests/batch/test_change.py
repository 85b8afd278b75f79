"""Which set of runs a view can go to, forth and back, and what its history says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import dovetail as dv
from dovetail.batch import change, gates
from dovetail.batch.diff import diff
from dovetail.shared import manifest as rules
from dovetail.shared.commit import attach, open_source
from dovetail.shared.errors import Busy, UsageError
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout

NONE: Any = None
OLD, NEW, THIRD = VersionId("sales@0a11"), VersionId("sales@0b22"), VersionId("sales@c333")


def runs(version: VersionId, to_seq: int = 5) -> tuple[Run, ...]:
    return (Run(RunId(f"{version}-{to_seq}"), version, -1, to_seq, Range(Position({0: 0}), Position({0: to_seq}))),)


FIRST = rules.first("sales", runs(OLD), "first")
STAGED = rules.staged(FIRST, runs(NEW), note="part")
PROMOTED = rules.promoted(STAGED, runs(NEW), keep=2, note="promote by ann: faster", now=10.0)


def test_what_was_computed_of_the_declared_version_is_promoted():
    assert change.to_promote(STAGED, NEW) == runs(NEW)
    assert change.to_promote(rules.staged(STAGED, runs(THIRD), note=""), NEW, "c3") == runs(THIRD)


def test_a_version_that_answered_before_can_be_promoted_again():
    assert change.to_promote(PROMOTED, OLD) == runs(OLD)


@pytest.mark.parametrize(
    ("manifest", "declared", "named", "message", "next_"),
    [
        (FIRST, NEW, "", "has not been computed", "dovetail reprocess sales"),
        (PROMOTED, NEW, "", "answers for sales already", "dovetail history sales"),
        (STAGED, NEW, "sales@0", "'sales@0' names several of sales@0a11, sales@0b22", "dovetail history sales"),
        (STAGED, NEW, "ff", "'ff' names none of sales@0a11, sales@0b22", "dovetail history sales"),
    ],
)
def test_where_there_is_nothing_to_promote_it_is_said(manifest, declared, named, message, next_):
    with pytest.raises(UsageError, match=message) as said:
        change.to_promote(manifest, declared, named)
    assert said.value.next == next_


def test_a_rollback_goes_to_the_version_before_whatever_nights_lie_between():
    nightly = rules.promoted(PROMOTED, runs(NEW, 7), keep=2, note="", now=11.0, window=60.0)
    assert nightly.rollback == (runs(NEW), runs(OLD))
    assert change.to_go_back(nightly) == runs(OLD)
    assert change.to_go_back(nightly, "0b") == runs(NEW)


def test_a_rollback_made_twice_is_made_once_and_comes_back_to_nothing_that_was_left():
    back = rules.promoted(PROMOTED, runs(OLD), keep=2, note="", now=11.0, back=True)
    for named in ("", "0a"):
        with pytest.raises(UsageError, match="sales has been rolled back: sales@0a11 answers"):
            change.to_go_back(back, named)
    nightly = rules.promoted(back, runs(OLD, 7), keep=2, note="", now=12.0)
    assert (nightly.rollback, change.to_go_back(nightly)) == ((runs(OLD), runs(NEW)), runs(OLD))
    assert change.to_go_back(nightly, "0b") == change.to_promote(nightly, NEW) == runs(NEW)
    again = rules.promoted(nightly, runs(NEW), keep=2, note="", now=13.0)
    assert change.to_go_back(again) == runs(OLD, 7)


def test_a_promotion_made_twice_is_made_once_though_an_earlier_set_of_it_is_kept():
    nightly = rules.promoted(PROMOTED, runs(NEW, 7), keep=2, note="", now=11.0)
    with pytest.raises(UsageError, match="sales@0b22 answers for sales already"):
        change.to_promote(nightly, NEW)


def test_without_another_version_it_goes_to_the_runs_before():
    nightly = rules.promoted(FIRST, runs(OLD, 7), keep=2, note="")
    assert change.to_go_back(nightly) == runs(OLD)


def test_where_nothing_is_kept_it_is_said():
    with pytest.raises(UsageError, match="sales keeps nothing to go back to"):
        change.to_go_back(STAGED)
    with pytest.raises(UsageError, match="sales keeps nothing of 0b to go back to"):
        change.to_go_back(STAGED, "0b")


def test_history_tells_each_change_of_what_answers_once():
    told = change.history([FIRST, STAGED, PROMOTED, rules.pruned(PROMOTED)])
    assert [(c.generation, c.version, c.note) for c in told] == [
        (1, NEW, "promote by ann: faster"), (0, OLD, "first"),
    ]  # fmt: skip


@pytest.mark.parametrize("back", [False, True])
def test_what_came_to_answer_by_a_person_is_told(monkeypatch: pytest.MonkeyPatch, back: bool):
    told = []
    project, view = mock.MagicMock(), mock.MagicMock()
    monkeypatch.setattr(change.promote, "switch", lambda *_, **__: PROMOTED)
    monkeypatch.setattr(change.hooks, "promoted", lambda *given, by: told.append((*given, by)))
    assert change.switch(project, view, FIRST, runs(NEW), note="", back=back) is PROMOTED
    assert told == [(project.settings, FIRST, PROMOTED, "rollback" if back else "promote")]


@pytest.fixture
def half(tmp_path: Path) -> tuple[Any, Manifest, tuple[Run, ...]]:
    """A version that was in force from the origin on, whose states up to seq 5 are gone, is computed anew up to 2."""
    layout = Layout(tmp_path)
    ledger = DeltaLedger(layout.ledger("lines"))
    at = open_source(ledger, topic_id="id", origin=Position({0: 0})).to
    attach(ledger, OLD)
    for seq in range(2, 8):
        ledger.append(LedgerRow(seq, 0, "commit", Range(at, at := Position({0: seq})), {OLD: 1}, "id"))
    part = runs(OLD, 2)
    manifest = rules.staged(rules.pruned(FIRST), part, note="part")
    for each in (FIRST, rules.pruned(FIRST), manifest):
        DeltaManifest(layout.manifest("sales")).swap(each)
    retention = SimpleNamespace(rollbacks=2, rollback_seconds=0.0)
    return SimpleNamespace(layout=layout, settings=SimpleNamespace(retention=retention)), manifest, part


def test_what_is_computed_in_part_is_not_ready_though_its_version_was_in_force_all_along(half: Any) -> None:
    project, manifest, part = half
    rows = DeltaLedger(project.layout.ledger("lines")).rows()
    assert not change.ready(manifest, part, rows)
    assert change.ready(manifest, runs(OLD, 5), rows)
    assert change.ready(FIRST, part, rows), "where the states above it are kept, speed answers for the rest"


def test_what_is_computed_in_part_is_neither_compared_nor_judged_nor_promoted(half: Any) -> None:
    project, manifest, part = half
    source = dv.source("lines", schema="n int")
    view = dv.view("sales", source=source, measures={"n": dv.count()}, promote_if=[dv.gate("n", within="1%")])
    for refused in (
        lambda: diff(project, view, manifest, part, NONE),
        lambda: change.switch(project, view, manifest, part, note=""),
    ):
        with pytest.raises(Busy, match="sales@0a11 is computed up to seq 2 of 7") as said:
            refused()
        assert said.value.next == "dovetail reprocess sales --from-scratch goes on"
    assert gates.judged(project, view, manifest, part, NONE) == []
