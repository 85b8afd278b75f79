"""The rules of the manifest: runs that adjoin, what stays to be rolled back to, floors and pins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.shared import manifest as rules
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Pin, Run, RunId
from dovetail.shared.position import Position, Range

A, B = VersionId("sales@a"), VersionId("sales@b")


def run(name: str, from_seq: int, to_seq: int, version: VersionId = A) -> Run:
    span = Range(Position({0: max(from_seq, 0)}), Position({0: to_seq}))
    return Run(RunId(name), version, from_seq, to_seq, span)


FIRST, SECOND, THIRD = run("1", -1, 4), run("2", 4, 7), run("3", 7, 9)
OTHER = run("b", -1, 8, B)


def promoted_thrice() -> rules.Manifest:
    manifest = rules.first("sales", (FIRST,), "first")
    manifest = rules.promoted(manifest, (FIRST, SECOND), keep=2, note="second")
    return rules.promoted(manifest, (OTHER,), keep=2, note="other")


def test_what_answers_ends_at_the_last_run():
    manifest = rules.first("sales", (FIRST, SECOND), "")
    assert (manifest.live, manifest.seq, manifest.cut) == (A, 7, Position({0: 7}))


@pytest.mark.parametrize("runs", [(), (FIRST, THIRD), (SECOND, FIRST), (FIRST, run("b", 4, 7, B))], ids=str)
def test_runs_that_do_not_join_are_refused(runs):
    with pytest.raises(IntegrityError):
        rules.first("sales", runs, "")


def test_a_promotion_keeps_the_latest_earlier_sets():
    manifest = promoted_thrice()
    assert manifest.rollback == ((FIRST, SECOND), (FIRST,))
    again = rules.promoted(manifest, (OTHER,), keep=1, note="")
    assert again.rollback == ((OTHER,),)
    assert (again.revision, again.generation) == (3, 3)


def test_a_rollback_swaps_places_with_what_answered():
    back = rules.promoted(promoted_thrice(), (FIRST,), keep=2, note="")
    assert back.runs == (FIRST,)
    assert back.rollback == ((OTHER,), (FIRST, SECOND))
    assert (back.revision, back.generation) == (3, 3)


def test_a_version_that_was_replaced_stays_for_its_window_by_its_newest_set():
    manifest = rules.promoted(rules.first("sales", (FIRST,), ""), (FIRST, SECOND), keep=0, note="")
    manifest = rules.promoted(manifest, (OTHER,), keep=0, note="", now=1000.0, window=60)
    assert manifest.rollback == ((FIRST, SECOND),)
    nightly = (OTHER, run("b2", 8, 9, B))
    later = rules.promoted(manifest, nightly, keep=0, note="", now=1059.0, window=60)
    assert later.rollback == ((FIRST, SECOND),), "of the version that answers nothing stays, of the other its newest"
    assert rules.promoted(later, (OTHER,), keep=0, note="", now=1060.0, window=60).rollback == ()
    back = rules.promoted(later, (FIRST, SECOND), keep=0, note="", now=1059.0, window=60)
    assert (back.live, back.replaced, back.rollback) == (A, {B: 1059.0}, (nightly,))


def test_what_is_staged_is_kept_until_it_is_promoted_and_changes_no_answer():
    manifest = rules.first("sales", (FIRST, SECOND), "")
    part, whole = (run("x", -1, 3, B),), (run("x", -1, 3, B), run("y", 3, 5, B))
    staged = rules.staged(rules.staged(manifest, part, note=""), whole, note="")
    assert (staged.generation, staged.runs, staged.staged) == (manifest.generation, manifest.runs, (whole,))
    assert rules.unnamed([RunId("x"), RunId("y"), RunId("z")], staged) == {RunId("z")}
    assert rules.pruned(staged).floors == {A: 7, B: 5}
    promoted = rules.promoted(staged, whole, keep=1, note="")
    assert (promoted.runs, promoted.staged, promoted.rollback) == (whole, (), ((FIRST, SECOND),))
    assert rules.unstaged(staged, B, note="").staged == ()
    with pytest.raises(IntegrityError):
        rules.staged(manifest, (run("y", 3, 5, B), run("x", -1, 3, B)), note="")


def test_pins_and_prunes_replace_the_manifest_but_not_what_answers():
    manifest = promoted_thrice()
    pinned = rules.pinned(manifest, RunId("x"), Pin(A, 5, "batch 1"))
    for other in (pinned, rules.unpinned(pinned, [RunId("x")]), rules.pruned(manifest)):
        assert other.revision > manifest.revision
        assert (other.generation, other.runs) == (manifest.generation, manifest.runs)
    assert rules.unpinned(pinned, [RunId("x")]).pins == {}
    assert rules.unpinned(pinned, [RunId("y")]).pins == pinned.pins


def test_a_floor_rises_to_the_lowest_seq_that_is_still_needed():
    manifest = promoted_thrice()
    assert manifest.floor(A) == -1
    assert rules.pruned(manifest).floors == {A: 4, B: 8}
    pinned = rules.pinned(manifest, RunId("x"), Pin(A, 2, "batch 1"))
    assert rules.pruned(pinned).floors == {A: 2, B: 8}


seqs = st.integers(-1, 9)
sets = st.tuples(st.sampled_from([A, B]), st.integers(0, 9)).map(lambda x: (run("r", -1, x[1], x[0]),))


@given(sets, st.lists(sets, max_size=2), st.dictionaries(st.sampled_from([A, B]), seqs), st.sampled_from([A, B]), seqs)
def test_a_floor_never_falls_and_never_passes_what_was_above_it(runs, rollback, floors, pinned, pin_seq):
    manifest = rules.Manifest(
        "sales", 0, 0, runs, tuple(rollback), floors, {RunId("x"): Pin(pinned, pin_seq, "batch 1")}
    )
    after = rules.pruned(manifest)
    for version in (A, B):
        assert after.floor(version) >= manifest.floor(version)
    for version, seq in rules.needed(manifest).items():
        assert after.floor(version) <= max(seq, manifest.floor(version))


def test_run_tables_that_nothing_names_may_go():
    manifest = rules.pinned(promoted_thrice(), RunId("x"), Pin(A, 5, "batch 1"))
    tables = [RunId(name) for name in ("1", "2", "3", "b", "x", "y")]
    assert rules.unnamed(tables, manifest) == {RunId("3"), RunId("y")}
