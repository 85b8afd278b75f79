"""Tables written with delta-rs: appends that only one of two writers may win, and files handed out once."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from dovetail.shared import tables
from dovetail.shared.errors import IntegrityError, ServiceMissing
from dovetail.shared.ledger import VersionId
from dovetail.shared.tables import AppendTable, Layout

SCHEMA = pa.schema([("id", pa.int64()), ("word", pa.string())])


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": list(ids), "word": [f"w{i}" for i in ids]})


def ids(found: list[pa.Table]) -> list[int]:
    return sorted(i for table in found for i in table.column("id").to_pylist())


@pytest.fixture(params=["table", "a folder/of mine/table"], ids=["plain", "with spaces"])
def path(tmp_path: Path, request) -> Path:
    return tmp_path / request.param


def test_a_table_that_is_not_there_is_empty(path):
    table = AppendTable(path, SCHEMA)
    assert (table.fresh(), table.largest("id"), table.files) == ([], None, 0)
    assert table.read(columns=["word"]).column_names == ["word"]
    assert not path.exists()


def test_what_is_appended_is_read_by_another_handle(path):
    AppendTable(path, SCHEMA).append(rows(1, 2))
    other = AppendTable(path, SCHEMA)
    assert other.read(ds.field("id") > 1).to_pylist() == [{"id": 2, "word": "w2"}]
    assert other.largest("id") == 2


def test_of_rows_between_two_numbers_only_the_files_are_read_that_may_hold_some(path, monkeypatch):
    table, read, opened = AppendTable(path, SCHEMA), [], tables.pq.read_table
    assert table.between("id", 0).num_rows == 0
    for some in ((1, 5), (2,), (7, 9), (8,)):
        table.append(rows(*some))
    monkeypatch.setattr(tables.pq, "read_table", lambda files, **how: read.append(len(files)) or opened(files, **how))
    for first, last, found, files in (
        (0, None, [1, 2, 5, 7, 8, 9], 4),
        (6, None, [7, 8, 9], 2),
        (3, 7, [5, 7], 2),
        (2, 2, [2], 2),
    ):
        assert (ids([table.between("id", first, last)]), read.pop()) == (found, files)
    assert (table.between("id", 10).num_rows, read) == (0, [])
    table.compact()
    assert ids([AppendTable(path, SCHEMA).between("id", 5, 8)]) == [5, 7, 8]


def test_rows_are_handed_out_once(path):
    writer, reader = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    writer.append(rows(1))
    writer.append(rows(2, 3))
    assert ids(reader.fresh()) == [1, 2, 3]
    assert reader.fresh() == []
    writer.append(rows(4))
    assert ids(reader.fresh()) == [4]


def test_what_was_there_before_can_be_skipped(path):
    writer, reader = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    writer.append(rows(1))
    reader.skip_to_end()
    writer.append(rows(2))
    assert ids(reader.fresh()) == [2]


def test_across_a_compaction_no_row_is_missed_and_none_is_there_twice(path):
    writer, reader = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    for i in range(4):
        writer.append(rows(i))
    handed_out = ids(reader.fresh())
    writer.append(rows(4))
    writer.compact()
    assert writer.files == 1
    writer.append(rows(5))
    again = ids(reader.fresh())
    assert len(again) == len(set(again))
    assert {*handed_out, *again} == set(range(6))
    assert ids([reader.read()]) == list(range(6))
    assert reader.fresh() == []


def test_deleted_rows_are_gone(path):
    table = AppendTable(path, SCHEMA)
    table.append(rows(1, 2, 3))
    table.delete("id <= 2")
    assert ids([table.read()]) == [3]


def test_a_deletion_by_another_handle_in_between_is_no_conflict(path):
    table, other = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    for n in (1, 2, 3):
        table.append(rows(n))
    other.delete("id <= 2")
    table.append(rows(4))
    assert sorted(table.read()["id"].to_pylist()) == [3, 4]


def test_the_second_of_two_writers_is_refused(path):
    one, two = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    one.append(rows(0))
    asked = []

    def unchanged() -> bool:
        asked.append(two.largest("id"))
        if len(asked) == 1:
            one.append(rows(1))  # after the look, before the write
        return two.largest("id") == 0 if len(asked) > 1 else True

    assert not two.append_if(rows(1), unchanged)
    assert asked == [0, 1]
    assert ids([one.read()]) == [0, 1]


def test_a_table_that_another_writer_makes_meanwhile_is_looked_at(path):
    one, two = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    looks = []

    def empty() -> bool:
        looks.append(two.largest("id"))
        if len(looks) == 1:
            one.append(rows(1))
        return looks[-1] is None

    assert not two.append_if(rows(1), empty)
    assert ids([one.read()]) == [1]


def test_a_compaction_in_between_is_no_conflict(path):
    one, two = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    one.append(rows(0))
    one.append(rows(1))
    looks = []

    def unchanged() -> bool:
        looks.append(two.largest("id"))
        if len(looks) == 1:
            one.compact()
        return looks[-1] == 1

    assert two.append_if(rows(2), unchanged)
    assert looks == [1, 1]
    assert ids([one.read()]) == [0, 1, 2]


def test_a_write_that_the_disk_refuses_does_not_go_on_for_ever(path, monkeypatch):
    def refused(*_, **__):
        raise CommitFailedError("no space left on device")

    table = AppendTable(path, SCHEMA)
    table.append(rows(0))
    monkeypatch.setattr(tables, "write_deltalake", refused)
    with pytest.raises(ServiceMissing, match="no space left"):
        table.append_if(rows(1), lambda: True)


def torn_data(path: Path) -> None:
    newest = max(path.glob("*.parquet"), key=lambda f: f.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:100])


def lost_data(path: Path) -> None:
    next(path.glob("*.parquet")).unlink()


def torn_log(path: Path) -> None:
    newest = max((path / "_delta_log").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:50])


@pytest.mark.parametrize("damage", [torn_data, lost_data, torn_log])
@pytest.mark.parametrize("read", [AppendTable.read, AppendTable.fresh])
def test_a_damaged_file_is_an_error_that_names_the_table(path, damage, read):
    writer = AppendTable(path, SCHEMA)
    writer.append(rows(1))
    writer.append(rows(2))
    damage(path)
    with pytest.raises(IntegrityError, match="cannot be read") as error:
        read(AppendTable(path, SCHEMA))
    assert error.value.where == str(path)


def test_a_table_that_must_exist_and_does_not_is_an_error(path):
    with pytest.raises(IntegrityError, match="missing"):
        AppendTable.existing(path)
    AppendTable(path, SCHEMA).append(rows(1))
    assert AppendTable.existing(path).schema == SCHEMA


def test_a_version_lies_under_its_view():
    layout = Layout(Path("data"))
    assert layout.states(VersionId("sales@3f2a")) == Path("data/views/sales/versions/3f2a/states")


def outlived(table: AppendTable) -> None:
    """Appends rows 1 to 13; the log keeps the entries of the newer half only."""
    DeltaTable(str(table.path)).alter.set_table_properties({"delta.checkpointInterval": "3"})
    for n in range(1, 7):
        table.append(rows(n))
    for entry in (table.path / "_delta_log").glob("*"):
        before = time.time() - 60 * tables.LOG_MINUTES - 60
        os.utime(entry, (before, before))
    for n in range(7, 14):
        table.append(rows(n))


def test_what_a_table_was_made_of_is_kept_as_long_as_said(path):
    table, held = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    table.append(rows(0))
    assert ids([held.read()]) == [0]
    outlived(table)
    left = sorted(entry.name for entry in (path / "_delta_log").glob("*.json"))
    assert left[0] > f"{6:020}"
    for reader in (held, AppendTable(path, SCHEMA)):
        assert ids([reader.read()]) == [*range(14)]


@pytest.mark.parametrize("append", [AppendTable.append, partial(AppendTable.append_if, unchanged=lambda: True)])
def test_a_writer_appends_after_what_the_log_has_forgotten(path, append):
    table, held = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    table.append(rows(0))
    assert ids([held.read()]) == [0]
    outlived(table)
    append(held, rows(14))
    for reader in (held, table, AppendTable(path, SCHEMA)):
        assert ids([reader.read()]) == [*range(15)]


def test_a_writer_who_lost_the_race_long_ago_is_refused(path):
    table, held = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    table.append(rows(0))

    def unchanged() -> bool:
        if held.largest("id") != 0:
            return False
        outlived(table)
        return True

    assert not held.append_if(rows(14), unchanged)
    assert ids([held.read()]) == [*range(14)]


def test_a_table_of_an_earlier_dovetail_is_told_how_long_at_its_upkeep(path):
    DeltaTable.create(str(path), schema=SCHEMA, configuration=tables.PROPERTIES)
    table, other = AppendTable(path, SCHEMA), AppendTable(path, SCHEMA)
    assert other.append_if(rows(1), lambda: True)
    table.compact()
    told = DeltaTable(str(path))
    assert tables.HISTORY.items() <= told.metadata().configuration.items()
    table.compact()
    assert DeltaTable(str(path)).version() == told.version()
    assert other.append_if(rows(2), lambda: True)
    assert ids([table.read()]) == [1, 2]
