"""What neither log nor master holds: found exactly, passed by both layers' own positions, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from killed import killed_at

import dovetail as dv
from dovetail.shared import commit as steps
from dovetail.shared import gaps
from dovetail.shared.claims import Claims
from dovetail.shared.errors import Busy, IntegrityError, QueryError, UsageError
from dovetail.shared.ledger import Books, Fenced, LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Extent, Log
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import AppendTable, Layout

A = VersionId("sales@a")
LINES = dv.source("lines", schema="n int")
TOPIC = "id"


@dataclass(frozen=True)
class StubLog(Log):
    """A broker with one topic of two partitions."""

    bootstrap: str = "stub:9092"
    options: dict[str, str] = field(default_factory=dict)
    begin: Position = field(default_factory=lambda: Position({0: 12, 1: 0}))
    topic_id: str = TOPIC

    def extent(self, topic: str) -> Extent:
        return Extent(topic, self.topic_id, self.begin, Position({0: 20, 1: 9}))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Speed has read up to 0@10 and 1@7."""
    found = Layout(tmp_path)
    ledger = DeltaLedger(found.ledger("lines"))
    steps.open_source(ledger, topic_id=TOPIC, origin=Position({0: 2, 1: 0}))
    steps.attach(ledger, A)
    span, books = Range(ledger.last().to, Position({0: 10, 1: 7})), Books(consumed=15, decoded=15, offered=15)
    ledger.append(LedgerRow(2, 0, "commit", span, {A: 3}, TOPIC, books=books))
    return found


def accept(layout: Layout, *ranges: str, log: Log | None = None, dry_run: bool = False) -> gaps.Gap:
    return gaps.accept(layout, LINES, log or StubLog(), Range.parse(ranges), because="gone", dry_run=dry_run)


def test_what_speed_has_read_is_passed_by_the_archive_alone_and_the_rest_by_a_lost_row(layout):
    Claims(layout.claims("lines")).append(Position({0: 6, 1: 7}))
    gap = accept(layout, "0@6..12")
    assert (str(gap.gone), str(gap.lost), gap.counted) == ("0@6..12", "0@10..12", True)
    last = DeltaLedger(layout.ledger("lines")).last()
    assert (last.kind, str(last.range), last.note, last.epoch) == ("lost", "0@10..12", "gone", 1)
    assert (last.versions, last.books) == ({A: 0}, Books())
    claims = Claims(layout.claims("lines"))
    assert (claims.last(), [str(p) for p in claims.passed()]) == (Position({0: 12, 1: 7}), ["0@6..12"])


def test_where_speed_has_read_all_of_it_nothing_is_lost(layout):
    Claims(layout.claims("lines")).append(Position({0: 6, 1: 7}))
    gap = accept(layout, "0@6..9", log=StubLog(begin=Position({0: 9})))
    assert (gap.lost.empty, gap.counted) == (True, True)
    assert DeltaLedger(layout.ledger("lines")).last().kind == "commit"
    assert Claims(layout.claims("lines")).last() == Position({0: 9, 1: 7})


def test_data_whose_claim_a_crash_prevented_are_held(layout):
    Claims(layout.claims("lines")).append(Position({0: 10, 1: 7}))
    held = pa.table({"_partition": pa.array([0, 1], pa.int32()), "_offset": pa.array([10, 8])})
    write_deltalake(str(layout.master("lines")), held)
    with pytest.raises(UsageError, match=r"the archive holds 0@10\.\.11, which speed has not read"):
        accept(layout, "0@10..12")
    ledger = DeltaLedger(layout.ledger("lines"))
    ledger.append(LedgerRow(3, 0, "commit", Range(ledger.last().to, Position({0: 11, 1: 7})), {A: 0}, TOPIC))
    assert str(accept(layout, "0@11..12").lost) == "0@11..12"
    assert Claims(layout.claims("lines")).last() == Position({0: 12, 1: 9})


def test_without_an_archive_what_the_log_has_dropped_is_gone_from_the_origin_on(layout):
    assert str(accept(layout, "0@2..12").gone) == "0@2..12"


@pytest.mark.parametrize("ranges", [["0@9..12"], ["0@10..13"], ["0@10..11"], ["0@10..12", "1@0..1"], ["1@10..12"]])
def test_more_or_less_than_is_gone_is_refused_with_what_is(layout, ranges):
    Claims(layout.claims("lines")).append(Position({0: 10, 1: 7}))
    with pytest.raises(UsageError, match=r"what is gone of lines is 0@10\.\.12, not ") as refused:
        accept(layout, *ranges)
    assert refused.value.next.startswith("dovetail accept-gap lines 0@10..12")
    assert Claims(layout.claims("lines")).passed() == []


@pytest.mark.parametrize("text", ["0@5", "0@5..5", "0@6..5", "x@1..2", "0@1..2 "])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(QueryError, match="is not a range"):
        Range.parse([text])


def test_where_nothing_is_gone_there_is_nothing_to_accept(layout):
    Claims(layout.claims("lines")).append(Position({0: 12, 1: 7}))
    with pytest.raises(UsageError, match="which speed has not read"):
        accept(layout, "0@10..12")
    with pytest.raises(UsageError, match="nothing of lines is gone"):
        accept(layout, "0@10..12", log=StubLog(begin=Position({0: 9})))


def test_a_topic_made_anew_has_no_gap_to_accept(layout):
    with pytest.raises(IntegrityError, match="deleted and made again"):
        accept(layout, "0@10..12", log=StubLog(topic_id="another"))


def test_a_dry_run_writes_nothing(layout):
    Claims(layout.claims("lines")).append(Position({0: 10, 1: 7}))
    assert str(accept(layout, "0@10..12", dry_run=True).lost) == "0@10..12"
    assert DeltaLedger(layout.ledger("lines")).last().seq == 2
    assert Claims(layout.claims("lines")).passed() == []


@pytest.mark.parametrize(("point", "again"), [("accept_gap.ledger_written", True), ("accept_gap.claimed", False)])
def test_killed_between_its_writes_the_same_command_does_the_rest(layout, point, again):
    Claims(layout.claims("lines")).append(Position({0: 6, 1: 7}))
    with killed_at(point):
        accept(layout, "0@6..12")
    if again:
        accept(layout, "0@6..12")
    rows = DeltaLedger(layout.ledger("lines")).rows()
    assert [str(r.range) for r in rows if r.kind == "lost"] == ["0@10..12"]
    assert [str(p) for p in Claims(layout.claims("lines")).passed()] == ["0@6..12"]


def test_a_paused_writer_is_fenced_by_a_lost_row(layout):
    ledger = DeltaLedger(layout.ledger("lines"))
    steps.pass_lost(ledger, Range(ledger.last().to, Position({0: 12, 1: 7})), because="gone")
    with pytest.raises(Fenced):
        steps.commit(ledger, None, epoch=0, to=Position({0: 13, 1: 7}), fold=None)
    with pytest.raises(Busy, match="the ledger came to"):
        steps.pass_lost(ledger, Range(Position({0: 10, 1: 7}), Position({0: 12, 1: 7})), because="gone")


def test_claims_of_a_table_made_before_gaps_go_on(tmp_path):
    old = pa.schema([("n", pa.int64()), ("to", pa.map_(pa.int32(), pa.int64())), ("at", pa.float64())])
    AppendTable(tmp_path, old).append(pa.Table.from_pylist([{"n": 0, "to": [(0, 5)], "at": 0.0}], schema=old))
    claims = Claims(tmp_path)
    assert (claims.last(), claims.passed()) == (Position({0: 5}), [])
    claims.append(Position({0: 6}))
    claims.pass_(Range(Position({0: 6}), Position({0: 9})), why="gone")
    assert (Claims(tmp_path).last(), [str(p) for p in Claims(tmp_path).passed()]) == (Position({0: 9}), ["0@6..9"])


def test_commits_that_touch_what_was_passed_are_the_only_copies(layout):
    rows = DeltaLedger(layout.ledger("lines")).rows()
    assert gaps.unarchived(rows, [Range(Position({0: 9}), Position({0: 12}))]) == [rows[2]]
    assert gaps.unarchived(rows, [Range(Position({0: 10, 1: 7}), Position({0: 12, 1: 9}))]) == []
