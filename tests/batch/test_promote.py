"""Promote, roll back, pin and prune: each one replacement of the manifest, refused when its ground has moved."""

from __future__ import annotations

import pytest

from dovetail.batch import promote
from dovetail.shared import manifest as rules
from dovetail.shared.errors import Busy, UsageError
from dovetail.shared.ledger import LedgerRow, LostRace, VersionId
from dovetail.shared.manifest import Manifest, Pin, Run, RunId
from dovetail.shared.position import Position, Range

A, B = VersionId("sales@a"), VersionId("sales@b")


class Manifests:
    """A ManifestStore in memory; `rival` does something once, just before the next swap."""

    def __init__(self, manifest: Manifest | None = None) -> None:
        self.now, self.rival = manifest, None

    def read(self):
        return self.now

    def swap(self, new):
        rival, self.rival = self.rival, None
        if rival:
            rival()
        if new.revision != (self.now.revision + 1 if self.now else 0):
            raise LostRace("taken")
        self.now = new


class Ledger:
    """As much of a LedgerStore as promoting reads: one record a row, these versions in force in each."""

    def __init__(self, *versions) -> None:
        self.stored = [
            LedgerRow(
                n, 1, "commit", Range(Position({0: n - 1 if n else 0}), Position({0: n})), dict.fromkeys(v, 1), "t"
            )
            for n, v in enumerate(versions)
        ]

    def rows(self, after=-1):
        return self.stored[after + 1 :]


def run(name, from_seq, to_seq, version=A):
    return Run(RunId(name), version, from_seq, to_seq, Range(Position({0: max(from_seq, 0)}), Position({0: to_seq})))


FIRST, SECOND = run("1", -1, 2), run("2", 2, 4)
ALWAYS_A = Ledger(*[{A}] * 7)


@pytest.fixture
def store():
    """Two runs answer, the first of them alone may be rolled back to."""
    manifest = rules.first("sales", (FIRST,), "")
    return Manifests(rules.promoted(manifest, (FIRST, SECOND), keep=2, note=""))


def promoted(store, new, *, started, ledger=ALWAYS_A, keep=None):
    return promote.promote(store, ledger, view="sales", started=started, runs=(new,), note="", keep=keep)


@pytest.mark.parametrize(("keep", "left"), [(None, 2), (3, 2), (1, 1), (0, 0)])
def test_as_many_earlier_sets_stay_as_are_asked_for(store, keep, left):
    started, new = store.now, run("x", -1, 5)
    with promote.pin(store, new.id, A, 5, owner="batch"):
        promoted(store, new, started=started, keep=keep)
    assert len(store.now.rollback) == left


def test_the_first_run_of_a_view_needs_no_pin():
    store = Manifests()
    with promote.pin(store, FIRST.id, A, 2, owner="batch"):
        promoted(store, FIRST, started=None)
    assert (store.now.runs, store.now.pins) == ((FIRST,), {})


def test_a_pinned_run_is_promoted_and_its_pin_goes(store):
    started, new = store.now, run("x", -1, 5)
    with promote.pin(store, new.id, A, 5, owner="batch"):
        assert store.now.pins == {new.id: Pin(A, 5, "batch")}
        promoted(store, new, started=started)
    assert (store.now.runs, store.now.rollback, store.now.pins) == ((new,), ((FIRST, SECOND), (FIRST,)), {})


def test_a_pin_goes_when_the_batch_fails(store):
    with pytest.raises(ZeroDivisionError), promote.pin(store, RunId("x"), A, 5, owner="batch"):
        raise ZeroDivisionError
    assert store.now.pins == {}


def test_another_generation_since_the_start_is_refused(store):
    started, new = store.now, run("x", -1, 5)
    with promote.pin(store, new.id, A, 5, owner="batch"):
        promote.switch(store, ALWAYS_A, view="sales", started=store.now, to=(FIRST,), note="back")
        with pytest.raises(Busy, match="generation 1 to 2"):
            promoted(store, new, started=started)
    assert store.now.runs == (FIRST,)


def test_a_promotion_that_loses_to_a_prune_is_made_on_top_of_it(store):
    started, new = store.now, run("x", -1, 5)
    with promote.pin(store, new.id, A, 5, owner="batch"):
        store.rival = lambda: promote.raise_floors(store)
        promoted(store, new, started=started)
    assert (store.now.runs, store.now.floor(A)) == ((new,), 2)


def test_a_run_whose_pin_was_dropped_is_refused(store):
    started, new = store.now, run("x", -1, 5)
    with promote.pin(store, new.id, A, 5, owner="batch"):
        promote.drop_pins(store)
        with pytest.raises(Busy, match="not pinned all the time"):
            promoted(store, new, started=started)


def test_a_pin_that_came_after_a_higher_floor_is_worth_nothing(store):
    started, new = store.now, run("x", -1, 3, B)
    ledger = Ledger(*[{A, B}] * 7)
    with promote.pin(store, RunId("rival"), B, 5, owner="another batch"):
        promote.raise_floors(store)
    assert store.now.floor(B) == 5
    with (
        promote.pin(store, new.id, B, 3, owner="batch"),
        pytest.raises(Busy, match="not pinned all the time"),
    ):
        promoted(store, new, started=started, ledger=ledger)


@pytest.mark.parametrize(
    "ledger",
    [Ledger({A}, {A}, {A}, {A, B}, {A}, {A, B}), Ledger(*[{A, B}] * 5, {A})],
    ids=["in between", "at the end"],
)
def test_a_version_that_missed_a_row_is_refused(store, ledger):
    started, new = store.now, run("x", -1, 3, B)
    with (
        promote.pin(store, new.id, B, 3, owner="batch"),
        pytest.raises(Busy, match="not in force for every record"),
    ):
        promoted(store, new, started=started, ledger=ledger)


def test_dropping_pins_leaves_a_manifest_without_any_as_it_is(store):
    before = store.now
    promote.drop_pins(store)
    promote.drop_pins(Manifests())
    assert store.now == before


def test_a_rollback_puts_an_earlier_set_back(store):
    promote.switch(store, ALWAYS_A, view="sales", started=store.now, to=(FIRST,), note="back")
    assert (store.now.runs, store.now.rollback) == ((FIRST,), ((FIRST, SECOND),))


def test_a_rollback_to_what_is_not_kept_is_refused(store):
    for other in (Manifests(), store):
        with pytest.raises(UsageError, match="not kept"):
            promote.switch(other, ALWAYS_A, view="sales", started=other.now, to=(run("gone", -1, 1),), note="back")


def test_a_rollback_below_the_floor_is_refused(store):
    store.now = rules.Manifest("sales", 1, 1, (FIRST, SECOND), ((FIRST,),), {A: 3})
    with pytest.raises(UsageError, match="not kept"):
        promote.switch(store, ALWAYS_A, view="sales", started=store.now, to=(FIRST,), note="back")


def test_a_rollback_to_a_version_that_missed_a_row_is_refused(store):
    with pytest.raises(Busy, match="not in force for every record"):
        promote.switch(
            store, Ledger({A}, {A}, {A}, {B}, {A}), view="sales", started=store.now, to=(FIRST,), note="back"
        )
