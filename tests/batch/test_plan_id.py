"""A plan that was printed is done as it was printed, or not at all; history says which it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.batch import change
from dovetail.batch.plan_id import plan_id, refuse_another
from dovetail.shared import manifest as rules
from dovetail.shared.errors import Busy
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range

OLD, NEW, OTHER = VersionId("sales@0a11"), VersionId("sales@0b22"), VersionId("sales@c333")


def run(version: VersionId, plan: str = "") -> tuple[Run, ...]:
    return (Run(RunId(f"{version}-1"), version, -1, 1, Range(Position({0: 0}), Position({0: 1})), plan=plan),)


FIRST = rules.first("sales", run(OLD), "first")
PLAN = plan_id(FIRST, NEW)


def test_a_plan_stays_the_same_while_it_is_computed() -> None:
    refuse_another(PLAN, rules.staged(FIRST, run(NEW, PLAN), note="a part"), NEW)
    refuse_another(PLAN, rules.pruned(FIRST), NEW)


def test_it_is_another_once_the_declaration_or_what_answers_has_changed() -> None:
    with pytest.raises(Busy, match=f"{PLAN} is not the plan of sales any more") as said:
        refuse_another(PLAN, FIRST, OTHER)
    assert said.value.next == "dovetail plan sales"
    with pytest.raises(Busy) as said:
        refuse_another(PLAN, rules.promoted(FIRST, run(OTHER), keep=2, note="promote by ann"), NEW)
    assert "sales@c333 answers, generation 1: promote by ann" in said.value.why


def test_a_night_between_changes_no_plan_nor_what_is_imported_once_it_is_begun() -> None:
    begun = rules.staged(FIRST, run(NEW, PLAN), note="a part")
    for each in (FIRST, begun):
        refuse_another(PLAN, rules.promoted(each, run(OLD), keep=2, note="a night"), NEW)
    refuse_another(PLAN, begun, NEW, imports=[1])
    with pytest.raises(Busy, match="something was imported"):
        refuse_another(PLAN, FIRST, NEW, imports=[1])
    with pytest.raises(Busy):
        refuse_another(PLAN, rules.promoted(begun, run(OTHER), keep=2, note="promote"), NEW)


def test_what_answers_is_computed_once_more_by_a_plan_and_not_twice() -> None:
    again = plan_id(FIRST, OLD)
    begun = rules.staged(FIRST, run(OLD, again), note="a part")
    night = rules.promoted(begun, (*run(OLD),), keep=2, note="a night")
    refuse_another(again, night, OLD)
    with pytest.raises(Busy):
        refuse_another(again, rules.promoted(night, night.staged[0], keep=2, note="promote"), OLD)


def test_history_tells_the_plan_of_what_answers(tmp_path: Path) -> None:
    store = DeltaManifest(tmp_path / "manifest")
    staged = rules.staged(FIRST, run(NEW, PLAN), note="a part")
    for each in (FIRST, staged, rules.promoted(staged, run(NEW, PLAN), keep=2, note="promote")):
        store.swap(each)
    assert [(c.version, c.plan) for c in change.history(store.history())] == [(NEW, PLAN), (OLD, "")]
