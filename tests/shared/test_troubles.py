"""Which trouble a state is, by its code: the name of its page, and what programs ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import dovetail as dv
from dovetail.shared import manifest as rules
from dovetail.shared.alarm import Recent
from dovetail.shared.dimensions import Version
from dovetail.shared.errors import IntegrityError, ServiceMissing
from dovetail.shared.gates import Held
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.log import Extent, TopicMissing, Waiting
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.pauses import Pause
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.proofs import Proved
from dovetail.shared.status import DimensionState, SourceState, Status, ViewState
from dovetail.shared.troubles import Code, Grade, troubles
from dovetail.shared.unread import Unread

SOURCE = dv.source("lines", schema="n int")
VIEW = dv.view("sales", source=SOURCE, measures={"lines": dv.count()})
PLACES = dv.dimension("places", key="code", path="places.csv")
LIVE = VersionId("sales@3f2a9c0d41e7b652")
BEGIN, TO = Position({0: 0}), Position({0: 7})
READ = SourceState(
    SOURCE,
    LedgerRow(3, 0, "commit", Range(BEGIN, TO), {LIVE: 1}, "id"),
    claim=TO,
    held=TO,
    proved=Proved(3, 0.0, 1.0, 0, 0, holds=True),
    extent=Extent("lines", "id", BEGIN, TO),
    speed_runs=True,
    archive_runs=True,
)
ANSWERED = ViewState(VIEW, LIVE, rules.first("sales", (Run(ORIGIN, LIVE, -1, 1, Range(BEGIN, BEGIN)),), ""))
KNOWN = DimensionState(PLACES, Version(4, "d", "code", 3, "places.csv", 0.0), 0.0, "")


def told(source: SourceState = READ, view: ViewState = ANSWERED, *dimensions: DimensionState, **of: Any) -> list[Code]:
    return [trouble.code for trouble in troubles(Status((source,), (view,), dimensions, **of))]


def test_where_all_is_well_nothing_is_told() -> None:
    assert told(READ, ANSWERED, KNOWN) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"last": None}, Code.NEVER_READ),
        ({"failure": IntegrityError("torn")}, Code.UNREADABLE),
        ({"failure": TopicMissing("none")}, Code.TOPIC_MISSING),
        ({"speed_runs": False}, Code.SPEED_STOPPED),
        ({"archive_runs": False}, Code.ARCHIVE_STOPPED),
        ({"proved": Proved(3, 0.0, 1.0, 1, 0, holds=False)}, Code.PROOF_FAILED),
        ({"unsent": [RecordId(0, 3)]}, Code.RESEND_UNSENT),
        ({"too_many": Recent(1, 1000, 60)}, Code.QUARANTINE_SHARE),
        ({"quarantine": 2_000_000}, Code.QUARANTINE_SIZE),
        ({"near": Unread(RecordId(0, 5), 50.0, 90.0)}, Code.RETENTION_NEAR),
        ({"speed_paused": Pause("speed", "lines"), "speed_runs": False}, Code.SPEED_PAUSED),
        ({"archive_paused": Pause("archive", "lines"), "archive_runs": False}, Code.ARCHIVE_PAUSED),
        ({"waiting": [Waiting(RecordId(0, 7), "billing", 60.0)]}, Code.OPEN_TRANSACTION),
        ({"extent": Extent("lines", "another", BEGIN, TO)}, Code.ANOTHER_LOG),
        ({"extent": Extent("lines", "id", BEGIN, Position({0: 6}))}, Code.ANOTHER_LOG),
        ({"extent": Extent("lines", "id", Position({0: 9}), Position({0: 12}))}, Code.RECORDS_GONE),
    ],
)
def test_each_trouble_of_a_source_has_its_code(change: dict[str, Any], code: Code) -> None:
    assert {*told(replace(READ, **change))} == {code}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"failure": IntegrityError("torn")}, Code.UNREADABLE),
        ({"manifest": None}, Code.NEVER_ANSWERED),
        ({"waste": 2_000_000}, Code.WASTE),
        ({"held_back": Held("lines 10 → 1", "")}, Code.GATE_CLOSED),
        ({"coming": [1]}, Code.IMPORT_WAITING),
        ({"going": [1]}, Code.IMPORT_WAITING),
        ({"batch_paused": Pause("batch", "sales")}, Code.BATCH_PAUSED),
        ({"declared": VersionId("sales@0000000000000000")}, Code.VIEW_CHANGED),
    ],
)
def test_each_trouble_of_a_view_has_its_code(change: dict[str, Any], code: Code) -> None:
    assert told(READ, replace(ANSWERED, **change)) == [code]


def test_what_was_reprocessed_and_is_declared_no_more_is_told_with_how_to_let_go_of_it() -> None:
    assert ANSWERED.manifest is not None
    other = replace(ANSWERED.manifest.runs[0], version=VersionId("sales@0000000000000000"))
    staged = replace(ANSWERED, manifest=rules.staged(ANSWERED.manifest, (other,), note=""))
    (found,) = troubles(Status((READ,), (staged,)))
    assert (found.code, found.next) == (
        Code.STAGED_UNDECLARED,
        f"dovetail reprocess sales --give-up --to {other.version}, unless it is to be promoted",
    )
    assert Code.STAGED_UNDECLARED not in told(READ, replace(staged, declared=other.version))
    again = rules.staged(ANSWERED.manifest, ANSWERED.manifest.runs, note="from scratch")
    assert told(READ, replace(ANSWERED, manifest=again)) == []


def test_a_full_batch_that_also_lets_a_changed_view_answer_is_told_as_such() -> None:
    changed = replace(ANSWERED, declared=VersionId("sales@0000000000000000"), coming=[1])
    assert ANSWERED.manifest is not None
    left = replace(changed, manifest=replace(ANSWERED.manifest, left={changed.declared: 1}))
    whys = [t.why for view in (changed, left) for t in troubles(Status((READ,), (view,))) if t.code == "import-waiting"]
    assert whys == ["that batch also lets sales@0000 answer, as it is declared", ""]


def test_a_live_version_that_is_not_folded_any_more_is_detached() -> None:
    ended = replace(READ, last=LedgerRow(4, 0, "detach", Range(TO, TO), {}, "id"))
    assert told(ended) == [Code.VERSION_DETACHED]
    assert told(ended, replace(ANSWERED, view=replace(VIEW, speed=False))) == []


def test_each_trouble_of_a_dimension_has_its_code() -> None:
    assert told(READ, ANSWERED, replace(KNOWN, problem="gone")) == [Code.DIMENSION_STALE]
    assert told(READ, ANSWERED, replace(KNOWN, version=None)) == [Code.DIMENSION_NEVER_READ]


def test_the_worst_comes_first() -> None:
    away, torn = ServiceMissing("away"), replace(ANSWERED, failure=IntegrityError("torn"))
    found = troubles(Status((replace(READ, last=None),), (torn,), down=away))
    assert [trouble.code for trouble in found] == [Code.UNREADABLE, Code.KAFKA_DOWN, Code.NEVER_READ]
    assert [trouble.grade for trouble in found] == [*Grade]
