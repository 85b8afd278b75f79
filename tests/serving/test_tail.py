"""Following a table hands out each row once, whatever is done to its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from serving_stand import Stand, ViewSpec, event

from dovetail.serving.tail import LedgerTail, Tail
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import Judged, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.tables import AppendTable

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])


@pytest.fixture
def table(tmp_path: Path) -> AppendTable:
    table = AppendTable(tmp_path / "t", SCHEMA)
    table.create()
    return table


def add(table: AppendTable, *numbers: int) -> None:
    table.append(pa.table({"n": list(numbers), "text": [f"row {n}" for n in numbers]}, schema=SCHEMA))


def numbers(rows: pa.Table) -> list[int]:
    return sorted(rows["n"].to_pylist())


def test_rows_above_are_held_until_the_number_passes_them(table: AppendTable) -> None:
    tail = Tail(table.path, "n")
    assert numbers(tail.above(0)) == []
    add(table, 1, 3)
    add(table, 2)
    assert numbers(tail.above(1)) == [2, 3]
    assert numbers(tail.above(2)) == [3]
    add(table, 4)
    assert numbers(tail.above(3)) == [4]


def test_files_with_nothing_above_are_not_read(table: AppendTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        add(table, n)
    tail, read, opened = Tail(table.path, "n"), list[str](), pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda file, **how: read.append(str(file)) or opened(file, **how))
    assert numbers(tail.above(2)) == [3, 4]
    assert len(read) == 2
    tail.above(2)
    assert len(read) == 2


@pytest.mark.parametrize("change", ["compact", "delete"])
def test_files_that_are_rewritten_hand_out_nothing_twice(table: AppendTable, change: str) -> None:
    tail = Tail(table.path, "n")
    add(table, 1, 5)
    add(table, 6)
    assert numbers(tail.above(1)) == [5, 6]
    if change == "compact":
        table.compact()
    else:
        table.delete("n <= 1")
    add(table, 7)
    assert numbers(tail.above(1)) == [5, 6, 7]


def test_reading_again_goes_back(table: AppendTable) -> None:
    tail = Tail(table.path, "n")
    add(table, 1)
    add(table, 2)
    assert numbers(tail.above(1)) == [2]
    assert numbers(tail.above(0, again=True)) == [1, 2]


def test_a_table_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="a table is missing"):
        Tail(tmp_path / "nowhere", "n")


def test_a_ledger_is_read_on_from_where_it_was_and_back_when_asked(stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    tail = LedgerTail(stand.layout.ledger("orders"))
    assert [r.seq for r in tail.rows(after=0)] == [1]
    stand.commit([event()], quarantined=2)
    stand.ledger.compact()
    stand.commit([event()], quarantined=1)
    assert [r.seq for r in tail.rows(after=1)] == [2, 3]
    assert tail.account(3)[0] == 3
    tail.forget(below=3)
    assert [r.seq for r in tail.rows(after=2)] == [3]
    assert [r.seq for r in tail.rows(after=-1)] == [0, 1, 2, 3]
    assert list(tail.rows(after=3)) == []
    assert tail.account(3)[0] == 3


def test_what_was_quarantined_before_the_first_row_read_counts_too(stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()], quarantined=2)
    stand.lost(4, "gone")
    stand.commit([event()], quarantined=1)
    tail = LedgerTail(stand.layout.ledger("orders"))
    tail.rows(after=3)
    assert tail.account(4)[:2] == (3, ({"seq": 3, "records": "0@1..5", "why": "gone"},))


def test_what_versions_raised_for_is_summed_over_the_whole_ledger(stand: Stand) -> None:
    one, other = VersionId("sales@1"), VersionId("sales@2")
    stand.attach(ViewSpec("sales"))
    stand.commit([event()], failing={one: 2})
    stand.commit([event()], failing={one: 1, other: 5})
    tail = LedgerTail(stand.layout.ledger("orders"))
    tail.rows(after=2)
    assert tail.account(3).failing == {one: 3, other: 5}
    assert LedgerTail.accounted(stand.layout.ledger("orders"), 2).failing == {one: 2}


def test_what_broke_a_rule_is_summed_over_the_whole_ledger(stand: Stand) -> None:
    warned, dropped = Judged("n > 0", "warn"), Judged("n > 0", "drop")
    stand.attach(ViewSpec("sales"))
    stand.commit([event()], broken={warned: 2})
    stand.commit([event()], broken={warned: 1, dropped: 5})
    tail = LedgerTail(stand.layout.ledger("orders"))
    tail.rows(after=2)
    tail.account(3)
    assert tail.broken == {warned: 3, dropped: 5}
    stand.commit([event()], broken={dropped: 1})
    tail.rows(after=3)
    tail.account(4)
    assert tail.broken == {warned: 3, dropped: 6}


def test_a_ledger_from_before_there_were_rules_is_followed_into_the_time_after(stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    path = stand.layout.ledger("orders")
    old = DeltaTable(str(path)).to_pyarrow_table().drop_columns(["dropped", "decoder", "rules", "stats"])
    shutil.rmtree(path)
    write_deltalake(str(path), old)
    tail, judged = LedgerTail(path), Judged("n > 0", "drop")
    assert [(r.seq, r.books.dropped) for r in tail.rows(after=0)] == [(1, 0), (2, 0)]
    stand.ledger = DeltaLedger(path)
    stand.commit([event()], broken={judged: 2})
    assert [r.broken for r in tail.rows(after=1)] == [{}, {judged: 2}]
    tail.account(3)
    again = LedgerTail(path)
    again.rows(after=2)
    again.account(3)
    assert tail.broken == again.broken == {judged: 2}


def test_a_ledger_that_lost_a_row_is_refused(stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    for _ in range(3):
        stand.commit([event()])
    AppendTable.existing(stand.layout.ledger("orders")).delete("seq = 3")
    with pytest.raises(IntegrityError, match="jumps from seq 2 to 4"):
        LedgerTail(stand.layout.ledger("orders")).rows(after=0)
    with pytest.raises(IntegrityError, match="has lost seq 3"):
        LedgerTail(stand.layout.ledger("orders")).rows(after=2)


def test_a_row_that_was_lost_since_the_last_look_is_missed(stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    tail = LedgerTail(stand.layout.ledger("orders"))
    assert [r.seq for r in tail.rows(after=0)] == [1]
    for _ in range(2):
        stand.commit([event()])
    AppendTable.existing(stand.layout.ledger("orders")).delete("seq = 2")
    with pytest.raises(IntegrityError, match="jumps from seq 1 to 3"):
        tail.rows(after=1)


def test_two_rows_of_one_seq_are_refused(stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    table = AppendTable.existing(stand.layout.ledger("orders"))
    (rival,) = table.read(pc.field("seq") == 1).to_pylist()
    table.append(pa.Table.from_pylist([rival | {"commit_id": "rival"}], schema=table.schema))
    with pytest.raises(IntegrityError, match="two rows of seq 1"):
        LedgerTail(stand.layout.ledger("orders")).rows(after=0)
