"""How long a computation takes is told by what the largest one before took."""

from __future__ import annotations

from dataclasses import replace

from dovetail.batch.estimate import measured
from dovetail.shared import manifest as rules
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Admitted, Manifest, Pin, Run, RunId
from dovetail.shared.position import Position, Range

OLD, NEW = VersionId("sales@0a11"), VersionId("sales@0b22")


def run(version: VersionId, name: str, records: int, *, after: int = -1) -> Run:
    span = Range(Position({0: after + 1}), Position({0: after + 2}))
    return Run(RunId(name), version, after, after + 1, span, records=records)


def began(manifest: Manifest, name: str, at: float) -> Manifest:
    return replace(rules.pinned(manifest, RunId(name), Pin(NEW, 0, "a batch")), at=at)


FIRST = rules.first("sales", (run(OLD, "one", 5_000),), "first")
PARTS = (run(NEW, "two", 1_000), run(NEW, "three", 10, after=0))
BEGAN = began(FIRST, "two", 100.0)
TWO = replace(rules.staged(BEGAN, PARTS[:1], note=""), at=110.0)
BEGAN_AGAIN = began(rules.unpinned(TWO, [RunId("two")]), "three", 200.0)
THREE = replace(rules.staged(BEGAN_AGAIN, PARTS, note=""), at=209.0)


def test_it_is_what_the_largest_run_took_from_its_pin_to_its_name() -> None:
    found = measured([FIRST, BEGAN, TWO, BEGAN_AGAIN, THREE])
    assert found is not None
    assert (found.run, found.records, found.seconds, found.of(500)) == ("two", 1_000, 10.0, 5.0)


def test_a_first_run_and_a_killed_one_tell_nothing() -> None:
    assert measured([FIRST]) is None
    assert measured([FIRST, BEGAN, replace(rules.unpinned(BEGAN, [RunId("two")]), at=500.0)]) is None


def test_what_was_imported_took_its_time_too() -> None:
    old = (replace(PARTS[0], imports=(Admitted(1, 4_000),)),)
    found = measured([FIRST, BEGAN, replace(TWO, staged=(old,))])
    assert found is not None
    assert (found.records, found.of(500)) == (5_000, 1.0)


def test_what_is_promoted_later_is_not_measured_twice() -> None:
    later = replace(rules.promoted(TWO, PARTS[:1], keep=2, note=""), at=9_000.0)
    found = measured([FIRST, BEGAN, TWO, later])
    assert found is not None
    assert found.seconds == 10.0
