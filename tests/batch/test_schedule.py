"""How old a view's newest run is, by its manifests alone."""

from __future__ import annotations

from dataclasses import replace

from dovetail.batch.schedule import ran_at
from dovetail.shared import manifest as rules
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import ORIGIN, Manifest, Run, RunId
from dovetail.shared.position import Position, Range

OLD, NEW = VersionId("sales@a"), VersionId("sales@b")


def run(name: str, version: VersionId = OLD) -> tuple[Run, ...]:
    return (Run(RunId(name), version, -1, 1, Range(Position(), Position())),)


def at(manifest: Manifest, when: float) -> Manifest:
    return replace(manifest, at=when)


ORIGINAL = at(rules.first("sales", run(ORIGIN), ""), 1.0)
FIRST = at(rules.promoted(ORIGINAL, run("1"), keep=2, note=""), 2.0)
PRUNED = at(rules.pruned(FIRST), 3.0)
STAGED = at(rules.staged(PRUNED, run("other", NEW), note=""), 4.0)
PROMOTED = at(rules.promoted(STAGED, run("other", NEW), keep=2, note=""), 5.0)
BACK = at(rules.promoted(PROMOTED, run("1"), keep=2, note="rollback"), 6.0)


def test_where_no_batch_has_run_there_is_no_time() -> None:
    assert (ran_at([]), ran_at([ORIGINAL])) == (None, None)


def test_a_run_is_as_old_as_its_first_mention() -> None:
    assert ran_at([ORIGINAL, FIRST]) == 2.0
    assert ran_at([ORIGINAL, FIRST, PRUNED, STAGED]) == 2.0


def test_what_was_computed_beside_is_as_old_as_when_it_was_computed() -> None:
    assert ran_at([ORIGINAL, FIRST, PRUNED, STAGED, PROMOTED]) == 4.0


def test_after_a_rollback_it_is_the_run_gone_back_to() -> None:
    assert ran_at([ORIGINAL, FIRST, PRUNED, STAGED, PROMOTED, BACK]) == 2.0
