"""What a trace says without an engine, and what it takes from a commit: nobody is asked for more than is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest

from dovetail.batch.counted import Held, answered
from dovetail.batch.trace import HOLE, _Look, trace
from dovetail.cli import explain
from dovetail.shared import manifest as manifests
from dovetail.shared import project as projects
from dovetail.shared import settings, supersede
from dovetail.shared.claims import Claims
from dovetail.shared.commit import attach, open_source
from dovetail.shared.commit import supersede as append_supersede
from dovetail.shared.decode import RAW, decoder_id
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Extent
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.project import Project

VIEWS = """
import dovetail as dv

lines = dv.source("lines", schema="n int", rules=[dv.rule("n > 0", otherwise="drop", name="some")])
totals = dv.view("totals", source=lines, measures={"rows": dv.count()})
"""
AT = Position({0: 10})
VERSION = VersionId("totals@0123456789abcdef")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "dovetail.toml").write_text('views = ["lines_views.py"]\n')
    (tmp_path / "lines_views.py").write_text(VIEWS)
    path = list(sys.path)
    yield projects.load(settings.load(tmp_path))
    sys.path[:] = path
    sys.modules.pop("lines_views", None)


class StubLog:
    """A topic of one partition."""

    def __init__(self, topic_id: str = "t", *, begin: int = 5) -> None:
        self.topic_id, self.begin = topic_id, begin

    def extent(self, topic: str) -> Extent:
        return Extent(topic, self.topic_id, Position({0: self.begin}), Position({0: max(12, self.begin)}))


def never() -> NoReturn:
    pytest.fail("it was asked for, and is not needed")


def opened(project: Project) -> LedgerRow:
    return open_source(DeltaLedger(project.layout.ledger("lines")), topic_id="t", origin=AT)


def told(project: Project, record: str, log=StubLog, spark=never) -> str:
    return trace(project, project.source("lines"), RecordId.parse(record), log, spark).missing


def test_of_a_source_that_was_never_read_nothing_is_asked(project: Project) -> None:
    assert told(project, "0@1", never) == "nothing of lines was ever read"


def test_what_lies_outside_the_log_is_told_without_an_engine(project: Project) -> None:
    opened(project)
    assert told(project, "0@9", never) == "before the origin, 0@10, where reading began"
    assert told(project, "0@12") == "past the end of the log, which is 0@12"
    assert told(project, "1@0") == "topic lines has no partition 1. Known: 0"


def test_what_was_passed_as_lost_is_told(project: Project) -> None:
    first, ledger = opened(project), DeltaLedger(project.layout.ledger("lines"))
    lost = LedgerRow(1, 0, "lost", Range(AT, Position({0: 20})), {}, first.topic_id, note="retention")
    ledger.append(lost)
    assert told(project, "0@19", never) == "passed as lost in seq 1: retention"


def test_what_kafka_dropped_before_it_was_archived_is_no_hole(project: Project) -> None:
    ledger, claims = DeltaLedger(project.layout.ledger("lines")), Claims(project.layout.claims("lines"))
    ledger.append(LedgerRow(1, 0, "commit", Range(AT, Position({0: 20})), {}, opened(project).topic_id))

    def said(record: str) -> str:
        return told(project, record, lambda: StubLog(begin=30), lambda: None)

    counted = "read in seq 1, and counted if it was whole; Kafka dropped it before the archive read it"
    assert said("0@15") == counted
    assert said("0@25") == "dropped by Kafka before it was read: the log begins at 0@30"
    claims.append(Position({0: 15}))
    assert said("0@15") == counted
    assert said("0@14") == f"{HOLE}, in what seq 1 read: 0@10..20"
    claims.append(Position({0: 30}))
    assert said("0@25") == HOLE, "the archive came to it and found none"


def test_a_record_of_another_topic_under_the_same_name_is_refused(project: Project) -> None:
    opened(project)
    with pytest.raises(IntegrityError, match="lines was deleted and made again: it was t, now it is other"):
        told(project, "0@11", lambda: StubLog("other"))


def test_a_version_that_missed_a_commit_answers_for_no_record(project: Project) -> None:
    manifest = manifests.first("totals", (Run(ORIGIN, VERSION, -1, 0, Range(AT, AT)),), "")
    rows = [
        LedgerRow(0, 0, "open", Range(AT, AT), {}, "t"),
        LedgerRow(1, 0, "commit", Range(AT, Position({0: 20})), {}, "t"),
    ]
    found = answered(project.layout, manifest, rows, Held(RecordId(0, 11), pa.table({}), None))
    assert found.problem == "nobody answers for it: totals@0123 is not in force for new records"
    assert found.served_by is None


def test_a_record_that_came_after_the_last_batch_of_a_view_of_batch_alone_waits_for_the_next(project: Project) -> None:
    manifest = manifests.first("totals", (Run(ORIGIN, VERSION, -1, 0, Range(AT, AT)),), "")
    rows = [
        LedgerRow(0, 0, "attach", Range(AT, AT), {VERSION: 0}, "t"),
        LedgerRow(1, 0, "detach", Range(AT, AT), {}, "t"),
        LedgerRow(2, 0, "commit", Range(AT, Position({0: 20})), {}, "t"),
    ]
    found = answered(project.layout, manifest, rows, Held(RecordId(0, 11), pa.table({}), None))
    assert (found.problem, found.next) == ("its answers end before it, at seq 0", "dovetail batch totals")


def test_a_record_put_right_is_in_no_group_of_any_version(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(project)
    ledger, layout = DeltaLedger(project.layout.ledger("lines")), project.layout
    attach(ledger, VERSION)
    ledger.append(LedgerRow(2, 0, "commit", Range(AT, Position({0: 20})), {VERSION: 1}, "t"))
    superseded, write = RecordId(0, 11), partial(supersede.write, layout, "lines", [RecordId(0, 11)])
    append_supersede(ledger, write, allowed=lambda _: None)
    DeltaManifest(layout.manifest("totals")).swap(
        manifests.first("totals", (Run(ORIGIN, VERSION, -1, 0, Range(AT, AT)),), "")
    )
    monkeypatch.setattr(_Look, "raw", lambda _: pa.table({}))
    monkeypatch.setattr(_Look, "fate", lambda *_: ("quarantined", "no number"))

    def path(record: RecordId) -> list[str]:
        found = trace(project, project.source("lines"), record, StubLog, lambda: None)
        (view,) = found.views
        assert (view.reason, view.groups, view.problem) == (found.put_right, (), "")
        return explain.path(found)

    assert [line.endswith(" → in quarantine: no number → put right in seq 3") for line in path(superseded)] == [True]
    for offset in (19, 20):
        supersede.note_sent(layout, "lines", {superseded: RecordId(0, offset), RecordId(0, 12): RecordId(0, 30)})
    assert path(superseded)[0].endswith(" → put right in seq 3, sent as 0@20")


@pytest.mark.java
def test_a_drop_is_told_of_commits_that_were_judged_by_the_same_rules_alone(project: Project, spark) -> None:
    source, id_ = project.source("lines"), RecordId(0, 11)
    raw = spark.createDataFrame([(0, 11, datetime(2026, 1, 1), None, bytearray(b'{"n": 0}'), None)], RAW).toArrow()
    row = LedgerRow(1, 0, "commit", Range(AT, Position({0: 20})), {}, "t", decoder=decoder_id(source.as_json()))
    look, held = _Look(project.layout, source, id_, [row], never, never), Held(id_, raw, spark)
    assert look.fate(row, held) == ("dropped", "breaks the rule 'some'")
    assert look.fate(replace(row, decoder=decoder_id(json.loads("{}"))), held) == ("kept", "")
