"""The ledger in Delta: one writer wins each seq, whatever else happens to the table."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from ledger_rivals import race

from dovetail.shared import commit as steps
from dovetail.shared import ledger_table
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import Books, CommitId, Judged, LedgerRow, LostRace, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.position import Position, Range

A = VersionId("sales@a")
ORIGIN = Position({0: 3, 1: 0})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a ledger"


@pytest.fixture
def ledger(path) -> DeltaLedger:
    ledger = DeltaLedger(path)
    steps.open_source(ledger, topic_id="t", origin=ORIGIN)
    return ledger


def following(last: LedgerRow, **other) -> LedgerRow:
    row = LedgerRow(last.seq + 1, last.epoch, "open", Range(last.to, last.to), {A: 0}, last.topic_id)
    return replace(row, **other)


def test_a_ledger_that_is_not_there_is_empty(path):
    assert (DeltaLedger(path).last(), DeltaLedger(path).rows()) == (None, [])


def test_a_row_reads_back_as_it_was_written(ledger, path):
    end = Position({0: 9, 1: 2, 7: 1})
    row = following(
        ledger.last(),
        kind="commit",
        range=Range(ORIGIN, end),
        versions={A: 3},
        books=Books(5, 4, 1, 1, 1, 1, 1),
        newest=12,
        decoder="d1",
        broken={Judged("n > 0", "drop"): 1, Judged('"a" is it', "warn"): 2},
        stats={"n": {"nulls": 1, "n": 3, "sum": 0.1}},
    )
    row = replace(row, note="a · note", at=1_700_000_000.25)
    ledger.append(row)
    for reader in (ledger, DeltaLedger(path)):
        assert reader.last() == row
        assert list(reader.last().to) == [0, 1, 7]
        assert reader.rows(after=0) == [row]


def test_a_held_ledger_sees_what_another_appends(ledger, path):
    other = DeltaLedger(path)
    assert other.last().seq == 0
    for _ in range(3):
        steps.open_epoch(ledger)
    assert other.last().commit_id == ledger.last().commit_id
    assert [r.seq for r in other.rows(after=1)] == [2, 3]


def test_the_second_of_two_that_write_one_seq_is_refused(ledger, path):
    one, two = following(ledger.last(), note="one"), following(ledger.last(), note="two")
    other = DeltaLedger(path)
    assert other.last().seq == 0
    ledger.append(one)
    with pytest.raises(LostRace, match="seq 1 was taken"):
        other.append(two)
    assert [r.note for r in DeltaLedger(path).rows()] == ["origin", "one"]


def test_a_writer_that_lost_its_ground_between_look_and_write_is_refused(ledger, path, monkeypatch):
    one, two, rival = following(ledger.last()), following(ledger.last()), DeltaLedger(path)
    write = ledger_table.AppendTable.append_if

    def with_rival(table, rows, unchanged):
        def looked() -> bool:
            answer = unchanged()
            if rival.last().seq == 0:
                monkeypatch.undo()
                rival.append(one)
            return answer

        return write(table, rows, looked)

    monkeypatch.setattr(ledger_table.AppendTable, "append_if", with_rival)
    with pytest.raises(LostRace):
        ledger.append(two)
    assert DeltaLedger(path).last().commit_id == one.commit_id


def test_three_processes_that_race_give_contiguous_seqs(path):
    race(path)
    rows = DeltaLedger(path).rows()
    assert [r.seq for r in rows] == list(range(25))
    assert len(rows[-1].versions) == 24


def test_a_compaction_in_between_loses_and_doubles_nothing(ledger, path):
    other = DeltaLedger(path)
    other.last()
    for _ in range(4):
        steps.open_epoch(ledger)
    ledger.compact()
    assert ledger.files == 1
    assert {r.last().commit_id for r in (other, DeltaLedger(path))} == {ledger.last().commit_id}
    steps.open_epoch(other)
    assert [r.seq for r in ledger.rows()] == list(range(6))


def test_a_joined_file_that_is_large_enough_is_left_as_it_is(ledger, path, monkeypatch):
    monkeypatch.setattr(ledger_table, "FILE_BYTES", 60_000)

    def grow() -> set[str]:
        for _ in range(3):
            ledger.append(following(ledger.last(), note=os.urandom(10_000).hex()))
        ledger.compact()
        return set(ledger._table.paths)

    grow()
    before, after = grow(), grow()
    assert before & after
    assert len(after) < 10
    assert [row.seq for row in DeltaLedger(path).rows()] == list(range(10))


def test_an_append_that_landed_although_it_was_said_to_fail_is_a_success(ledger, path, monkeypatch):
    row, other, write = following(ledger.last()), DeltaLedger(path), ledger_table.AppendTable.append_if

    def unclear(table, rows, unchanged):
        assert write(table, rows, unchanged)
        monkeypatch.undo()
        other.append(following(row))  # and somebody has gone on from it
        return False

    monkeypatch.setattr(ledger_table.AppendTable, "append_if", unclear)
    ledger.append(row)
    assert DeltaLedger(path).rows(after=0)[0].commit_id == row.commit_id
    assert ledger.last().seq == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"range": Range(Position({0: 4}), Position({0: 5})), "kind": "commit"}, "skips"),
        ({"books": Books(consumed=1)}, "balance"),
    ],
)
def test_a_row_that_does_not_follow_is_never_written(ledger, path, change, message):
    with pytest.raises(IntegrityError, match=message):
        ledger.append(following(ledger.last(), **change))
    assert len(DeltaLedger(path).rows()) == 1


def test_two_rows_of_one_seq_are_an_error(ledger, path):
    rival = replace(ledger.last(), commit_id=CommitId("other"))
    ledger._table.append(ledger_table.pa.Table.from_pylist([ledger_table._stored(rival)], schema=ledger_table.SCHEMA))
    with pytest.raises(IntegrityError, match="two rows of seq 0"):
        DeltaLedger(path).rows()


def test_a_lost_row_is_an_error(ledger, path):
    for _ in range(3):
        steps.open_epoch(ledger)
    ledger._table.delete("seq = 2")
    with pytest.raises(IntegrityError, match="jumps"):
        DeltaLedger(path).rows()
    with pytest.raises(IntegrityError, match="has lost seq 2"):
        DeltaLedger(path).rows(after=1)


def test_a_ledger_that_broke_while_it_was_followed_stays_broken(ledger, path):
    follower = DeltaLedger(path)
    follower.last()
    jumping = ledger_table._stored(replace(following(ledger.last()), seq=2, at=1.5))
    ledger._table.append(pa.Table.from_pylist([jumping], schema=ledger_table.SCHEMA))
    for _ in range(2):
        with pytest.raises(IntegrityError, match="jumps"):
            follower.last()


def as_format_1(path: Path) -> None:
    """Rewrites the ledger as a Dovetail without rules wrote it."""
    later = ("dropped", "decoder", "rules", "stats")
    old = DeltaTable(str(path)).to_pyarrow_table().drop_columns(list(later))
    old = old.set_column(old.column_names.index("format"), "format", pa.array([1] * old.num_rows, pa.int32()))
    shutil.rmtree(path)
    write_deltalake(str(path), old)


def test_a_ledger_from_before_there_were_rules_reads_on_and_is_appended_to(ledger, path):
    ledger.append(following(ledger.last(), kind="commit", books=Books(4, 3, 1, 0, 0, 3), note="old"))
    as_format_1(path)
    held = DeltaLedger(path)
    (old,) = held.rows(after=0)
    assert (held.last(), old.books, old.broken, old.stats, old.decoder) == (old, Books(4, 3, 1, 0, 0, 3), {}, {}, "")
    table = ledger_table.AppendTable(path, ledger_table.SCHEMA)
    assert table.read(columns=["dropped", "rules"]).to_pylist() == [{"dropped": None, "rules": None}] * 2
    reader = DeltaLedger(path)
    assert reader.last() == old
    new = following(old, kind="commit", books=Books(2, 2, 0, 0, 0, 1, 1), broken={Judged("r", "drop"): 1}, at=1.5)
    held.append(new)
    for each in (held, reader, DeltaLedger(path)):
        assert each.last() == new
        assert each.rows(after=0) == [old, new]
    held.compact()
    assert DeltaLedger(path).rows(after=0) == [old, new]


def test_what_broke_a_rule_is_summed_by_rule_and_by_what_it_did():
    said = ['[["a", "warn", 2]]', None, '[["a", "warn", 2]]', '[["a", "drop", 1], ["b", "fail", 4]]']
    assert ledger_table.broken_in(said) == {("a", "warn"): 4, ("a", "drop"): 1, ("b", "fail"): 4}


def test_a_newer_format_is_refused(ledger, path, monkeypatch):
    monkeypatch.setattr(ledger_table, "FORMAT", ledger_table.FORMAT + 1)
    steps.open_epoch(ledger)
    monkeypatch.undo()
    for read in (DeltaLedger(path).last, DeltaLedger(path).rows, ledger.rows):
        with pytest.raises(IntegrityError, match="format 6 is newer"):
            read()
