"""Of what a table held before nothing is left, and readers that hold it open come to what it holds now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from dovetail.batch.bytes_left import Left, Needle
from dovetail.batch.erase import blank_apart, blank_said, without_history
from dovetail.serving.tail import Tail
from dovetail.shared.imports import SCHEMA, File, Import, Imports
from dovetail.shared.states import QUARANTINE
from dovetail.shared.tables import AppendTable, Layout

ALICE = Needle("customer", ["alice-of-wonderland"])


def record(seq: int, value: bytes) -> pa.Table:
    row = {"_commit_id": f"c{seq}", "_seq": seq, "partition": 0, "offset": seq, "value": value, "reason": "no n"}
    return pa.Table.from_pylist([row], schema=QUARANTINE)


@pytest.fixture
def table(tmp_path: Path) -> AppendTable:
    table = AppendTable(tmp_path / "quarantine", QUARANTINE)
    for seq, value in enumerate([b"bob", b"for alice-of-wonderland", b"carol"]):
        table.append(record(seq, value))
    return table


def places(*offsets: int) -> pa.Table:
    return pa.table({"_partition": pa.array([0] * len(offsets), pa.int32()), "_offset": pa.array(offsets, pa.int64())})


def test_a_blanked_record_keeps_its_place_and_nothing_else_is_left(table: AppendTable) -> None:
    blank_apart(table.path, places(1))
    found = table.read().sort_by("offset")
    assert found["value"].to_pylist() == [b"bob", None, b"carol"]
    assert found["reason"].to_pylist() == ["no n", "forgotten", "no n"]
    assert Left(table.path).look(ALICE).found, "the file of before is still there"
    without_history(table.path)
    assert not Left(table.path).look(ALICE).found
    assert AppendTable(table.path, QUARANTINE).read().sort_by("offset") == found


def test_readers_that_hold_the_table_come_to_what_it_holds_now(table: AppendTable) -> None:
    tail = Tail(table.path, "_seq")
    assert tail.above(-1).num_rows == table.read().num_rows == 3
    other = AppendTable(table.path, QUARANTINE)
    blank_apart(table.path, places(1))
    without_history(table.path)
    other.append(record(3, b"dora"))
    for rows in (tail.above(-1), table.read()):
        assert sorted(rows["value"].to_pylist(), key=str) == [None, b"bob", b"carol", b"dora"]
    table.append(record(4, b"emil"))
    assert DeltaTable(str(table.path)).to_pyarrow_table().num_rows == 5


def test_done_twice_it_is_as_done_once(table: AppendTable) -> None:
    for _ in range(2):
        blank_apart(table.path, places(1))
        without_history(table.path)
    assert table.read().num_rows == 3


def test_what_was_said_of_an_import_names_nobody_any_more(tmp_path: Path) -> None:
    imports, files = Imports(Layout(tmp_path), "lines"), (File("a.csv", "00", 7, 2), File("alice.csv", "01", 7, 2))
    imports.add(Import(1, "abc", files, 2, -5, where="customer <> 'alice-of-wonderland'", note="as agreed"))
    imports.add(Import(2, "def", files, 2, -5, where="n > 1", note="without alice-of-wonderland"))
    imports.drop(2, note="for alice-of-wonderland, too")
    before, path = imports.all(), Layout(tmp_path).imports("lines")
    for _ in range(2):
        blank_said(path, ALICE)
        without_history(path)
    assert not Left(tmp_path).look(ALICE).found
    assert imports.all() == [replace(before[0], where="forgotten"), replace(before[1], note="forgotten")]
    assert AppendTable.existing(path).read().schema.names == SCHEMA.names
    imports.add(replace(before[0], id=3))
    assert Imports(Layout(tmp_path), "lines").next_id == 4


def test_a_number_in_sql_is_blanked_under_its_columns_name_alone(tmp_path: Path) -> None:
    imports, files = Imports(Layout(tmp_path), "lines"), (File("a.csv", "00", 7, 42),)
    for n, where in enumerate(["customer not in (41, 42)", "quantity < 42", "customer > 421"]):
        imports.add(Import(n, "abc", files, 42, -5, where=where))
    blank_said(Layout(tmp_path).imports("lines"), Needle("customer", ["42"], number=True))
    assert [i.where for i in imports.all()] == ["forgotten", "quantity < 42", "customer > 421"]
