"""A snapshot is made of parts that fit together, or it is an error that says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.serving import snapshot
from dovetail.shared import manifest as rules
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import CommitId, LedgerRow, VersionId
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.position import Position, Range

A, B = VersionId("sales@a"), VersionId("sales@b")
RUN = Run(RunId("1"), A, -1, 1, Range(Position(), Position({0: 1})))
MANIFEST = rules.first("sales", (RUN,), "")


def row(seq: int, versions, commit_id: str) -> LedgerRow:
    span = Range(Position({0: max(seq - 1, 0)}), Position({0: seq}))
    return LedgerRow(seq, 1, "commit" if seq else "open", span, versions, "t", CommitId(commit_id))


ROWS = [row(0, {A: 0}, "c0"), row(1, {A: 1}, "c1"), row(2, {A: 2}, "c2"), row(3, {A: 0}, "c3")]
STATES = {"c2": ["x", "y"], "orphan": ["z"]}


class World:
    """The three seams of a reader. `manifests`: what each read of the manifest finds, the last one from then on."""

    def __init__(self, *manifests, rows=ROWS, states=STATES) -> None:
        self.manifests, self.stored, self.states, self.order = list(manifests), rows, states, []

    def read(self):
        self.order.append("manifest")
        return self.manifests.pop(0) if len(self.manifests) > 1 else self.manifests[0]

    def rows(self, after=-1):
        self.order.append("ledger")
        return [r for r in self.stored if r.seq > after]

    def commits(self, version, after):
        self.order.append("states")
        return self.states


def read(world):
    return snapshot.read(world, world, world)


def test_a_view_that_never_answered_has_no_snapshot():
    assert read(World(None)) is None


def test_a_snapshot_holds_what_the_ledger_names_above_the_cut_and_no_orphan():
    world = World(MANIFEST)
    parts = read(world)
    assert (parts.manifest, parts.commits, parts.last) == (MANIFEST, {"c2": ["x", "y"]}, ROWS[-1])
    assert [r.seq for r in parts.rows] == [1, 2, 3]
    assert world.order == ["manifest", "ledger", "states", "manifest"]


def test_a_version_that_was_detached_answers_up_to_there_and_no_further():
    detached = replace(row(3, {}, "c3"), kind="detach", range=Range(Position({0: 2}), Position({0: 2})))
    parts = read(World(MANIFEST, rows=[*ROWS[:3], detached, row(4, {}, "c4"), row(5, {A: 7}, "c5")]))
    assert (parts.last, parts.commits) == (ROWS[2], {"c2": ["x", "y"]})


@pytest.mark.parametrize(
    ("world", "problem"),
    [
        (World(replace(MANIFEST, floors={A: 2})), "have been pruned"),
        (World(MANIFEST, rows=[*ROWS[:3], row(3, {B: 1}, "c3")]), "not in force for every record"),
        (World(MANIFEST, states={}), "holds 0 state rows"),
        (World(MANIFEST, states={"c2": ["x"]}), "holds 1 state rows"),
        (World(MANIFEST, states={"c2": ["x", "y", "y"]}), "holds 3 state rows"),
    ],
    ids=["floor", "coverage", "missing", "too few", "too many"],
)
def test_parts_that_do_not_fit_are_an_error_that_says_so(world, problem):
    with pytest.raises(IntegrityError, match=problem):
        read(world)
    assert world.order.count("states") == 1


def test_a_floor_at_the_cut_is_no_problem():
    assert read(World(replace(MANIFEST, floors={A: 1, B: 9}))).last == ROWS[-1]


def test_a_manifest_that_was_replaced_meanwhile_is_read_again():
    later_run = Run(RunId("2"), A, -1, 2, Range(Position(), Position({0: 2})))
    later = replace(rules.promoted(MANIFEST, (later_run,), keep=0, note=""), floors={A: 2})
    parts = read(World(MANIFEST, later, states={}))
    assert (parts.manifest, parts.commits) == (later, {})


def test_a_floor_raised_while_the_states_were_read_counts():
    pruned = replace(MANIFEST, revision=1, floors={A: 2})
    with pytest.raises(IntegrityError, match="have been pruned"):
        read(World(MANIFEST, pruned))


def test_a_manifest_that_never_stands_still_is_given_up_on():
    world = World(*(replace(MANIFEST, revision=n) for n in range(100)), states={})
    with pytest.raises(IntegrityError, match="holds 0 state rows"):
        read(world)
    assert world.order.count("states") == snapshot.ATTEMPTS
