"""States of versions that are out of force are cleaned; what may still be asked for or gone back to stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from clean_stand import A, B, Stand
from killed import killed_at

from dovetail.shared import manifest as rules
from dovetail.shared.claims import Claims
from dovetail.shared.commit import detach
from dovetail.shared.manifest import Pin, RunId
from dovetail.shared.position import Position, Range


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "data")


def adopted(stand: Stand, promotes: int, *, detached: bool) -> None:
    """B answers, by so many full runs one after the other; A was there before."""
    stand.commit(3)
    stand.run_of(A, "a")
    stand.commit(4)
    stand.attach(B)
    for n in range(promotes):
        stand.run_of(B, f"b{n}")
        stand.commit(10 + n)
    if detached:
        detach(stand.ledger, A)
    stand.commit(20)


def test_those_that_nothing_needs_go_after_the_manifest_gave_them_up(stand: Stand) -> None:
    adopted(stand, 3, detached=True)
    seq, answer = stand.last.seq, stand.answer()
    of_a = [w for w in stand.clean(dry_run=True) if w[0] == "states of earlier versions"]
    assert of_a == [("states of earlier versions", "000000000000000a/states", 5)]
    with killed_at("clean.floors_raised"):
        stand.clean()
    assert stand.manifests.read().floor(A) == seq  # type: ignore[union-attr]
    assert stand.states.table(A).read().num_rows == 5
    assert stand.answer() == answer
    with killed_at("clean.states_deleted"):
        stand.clean()
    assert stand.states.table(A).read().num_rows == 0
    assert stand.clean() == []
    stand.commit(30)
    assert stand.answer() == [*answer, 30]


@pytest.mark.parametrize(("promotes", "detached"), [(2, True), (3, False), (0, True)])
def test_those_that_are_in_force_answer_or_may_be_gone_back_to_stay(
    stand: Stand, promotes: int, detached: bool
) -> None:
    adopted(stand, promotes, detached=detached)
    rows, floors = stand.states.table(A).read().num_rows, stand.manifests.read().floors  # type: ignore[union-attr]
    assert not [w for w in stand.clean() if w[0] == "states of earlier versions"]
    assert stand.states.table(A).read().num_rows == rows
    assert stand.manifests.read().floors == floors  # type: ignore[union-attr]


def test_the_only_copies_of_what_nobody_holds_stay(stand: Stand) -> None:
    adopted(stand, 3, detached=True)
    Claims(stand.layout.claims("lines")).pass_(Range(Position({0: 0}), Position({0: 3})), why="retention")
    stand.clean()
    assert stand.states.table(A).read()["n"].to_pylist() == [3]


def test_one_that_is_pinned_meanwhile_is_not_given_up(stand: Stand) -> None:
    adopted(stand, 3, detached=True)
    now = stand.manifests.read()
    assert now is not None
    pinned = rules.pinned(now, RunId("again"), Pin(A, 2, "test"))
    assert rules.given_up(pinned, [A, B], 9).floors == now.floors
    assert rules.given_up(now, [A, B], 9).floors == {**now.floors, A: 9}
