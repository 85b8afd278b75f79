"""Files of a folder: each row once, whatever dies or is touched, and nothing of what has changed."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feed_stand import MemoryLog, fed, killed_everywhere

import dovetail as dv
from dovetail.feeding import parts
from dovetail.feeding.files import FilesReader
from dovetail.feeding.run import Told
from dovetail.shared.errors import Mend, ServiceMissing

orders = dv.source("orders", schema="id bigint, price decimal(20,2), at timestamp", event_time="at")
CSV = "id,price,at\n1,10.10,2026-01-01T00:00:00\n9007199254740993,12345678901234567.89,2026-01-01T00:00:01\n"
ROWS = [
    b'{"id":1,"price":10.10,"at":"2026-01-01T00:00:00"}',
    b'{"id":9007199254740993,"price":12345678901234567.89,"at":"2026-01-01T00:00:01"}',
]


def feed(form: Any = "csv", **more: Any) -> Any:
    return dv.feed.files("arriving", source=orders, folder="in", format=form, **{"quiet": "0s", **more})


def run(log: MemoryLog, folder: Path, given: Any = None, **more: Any) -> int:
    given = given or feed()
    return fed(log, given, FilesReader(given, folder), **more).records


def of_ids(folder: Path, name: str, *ids: int) -> None:
    (folder / name).write_text("id,price,at\n" + "".join(f"{n},1.00,2026-01-01\n" for n in ids))


def ids(log: MemoryLog) -> list[int]:
    return [value["id"] for value in log.values]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_row_is_the_same_record_in_every_format(tmp_path: Path, form: str) -> None:
    if form == "csv":
        (tmp_path / "a.csv").write_text("\ufeff" + CSV)
    elif form == "jsonl":
        (tmp_path / "a.json").write_bytes(b"\n\n".join(ROWS))
    else:
        price = [Decimal("10.10"), Decimal("12345678901234567.89")]
        at = pa.array([1767225600_000_000_000, 1767225601_000_000_000], pa.timestamp("ns"))
        pq.write_table(pa.table({"id": [1, 9007199254740993], "price": price, "at": at}), tmp_path / "a.parquet")
    log = MemoryLog()
    assert run(log, tmp_path, feed(form, key="id")) == 2
    assert [row.value for row in log.rows] == ROWS
    assert [row.key for row in log.rows] == [b"1", b"9007199254740993"]
    assert log.rows[1].place.startswith("a.")


def test_each_file_is_fed_once_in_the_order_of_names_also_one_that_comes_late(tmp_path: Path) -> None:
    (tmp_path / "day2").mkdir()
    of_ids(tmp_path, "day2/a.csv", 3)
    of_ids(tmp_path, "b.csv", 1, 2)
    log = MemoryLog()
    assert [run(log, tmp_path), run(log, tmp_path)] == [3, 0]
    of_ids(tmp_path, "a.csv", 4)
    assert run(log, tmp_path) == 1
    assert ids(log) == [1, 2, 3, 4]


def test_a_kill_at_any_part_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 2)
    of_ids(tmp_path, "a.csv", 1, 2, 3, 4, 5)
    of_ids(tmp_path, "b.csv", 6, 7)
    found = killed_everywhere(MemoryLog, lambda log: run(log, tmp_path))
    assert len(found[0]) == 7
    assert all(rows == found[0] for rows in found)


def test_a_part_holds_no_more_bytes_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BYTES", 100)
    of_ids(tmp_path, "a.csv", *range(10))
    log = MemoryLog()
    run(log, tmp_path)
    assert (log.parts, ids(log)) == (5, [*range(10)])


def test_what_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    for name in (".a.csv", "_a.csv", "a.csv.tmp", "a.txt"):
        of_ids(tmp_path, name, 1)
    (tmp_path / "empty.csv").touch()
    of_ids(tmp_path, "b.csv", 2)
    log, given = MemoryLog(), feed(quiet="1h")
    reader = FilesReader(given, tmp_path)
    assert [*reader.parts({})] == []
    of_ids(tmp_path, "b.csv", 2, 3)
    reader.settle = 0.0
    assert [len(part.rows) for part in reader.parts(log.marks)] == [2]
    reader.settle = 3600.0
    of_ids(tmp_path, "b.csv", 2, 3, 4)
    assert [*reader.parts(log.marks)] == [], "it has changed since it was seen last"


def test_a_file_that_changes_while_it_is_read_waits_for_another_look(tmp_path: Path) -> None:
    of_ids(tmp_path, "a.csv", 1)
    reader = FilesReader(feed(), tmp_path)
    reader._quiet()
    os.utime(tmp_path / "a.csv", (1, 1))
    assert [*reader._file("a.csv", None)] == []


def test_a_file_that_was_fed_and_is_another_now_stops_the_feed(tmp_path: Path) -> None:
    of_ids(tmp_path, "a.csv", 1)
    log = MemoryLog()
    run(log, tmp_path)
    (tmp_path / "a.csv").touch()
    os.utime(tmp_path / "a.csv", (1, 1))
    assert run(log, tmp_path) == 0, "a file that was only copied or touched is the same"
    of_ids(tmp_path, "a.csv", 1, 2)
    with pytest.raises(Mend, match=r"a\.csv is another file than it was when 1 rows of it were fed"):
        run(log, tmp_path)
    assert ids(log) == [1]


@pytest.mark.parametrize(
    ("form", "first", "then", "says"),
    [
        ("csv", "id,price\n1,1\n", "id,cost\n2,2\n", "column price is gone"),
        ("jsonl", '{"id":1,"price":1}', '{"id":2}\n', "column price is gone"),
        ("jsonl", '{"id":1,"price":1}', '{"id":2,"price":"2"}', "column price is text: it was number"),
    ],
)
def test_a_file_of_another_shape_stops_the_feed_and_nothing_of_it_is_sent(
    tmp_path: Path, form: str, first: str, then: str, says: str
) -> None:
    (tmp_path / f"a.{form}").write_text(first)
    log, given = MemoryLog(), feed(form)
    run(log, tmp_path, given)
    before = len(log.rows)
    (tmp_path / f"b.{form}").write_text(then)
    with pytest.raises(Mend, match=says):
        run(log, tmp_path, given)
    assert len(log.rows) == before
    assert run(log, tmp_path, given, new_shape=True) == 1
    assert run(log, tmp_path, given) == 0


@pytest.mark.parametrize(("form", "first"), [("csv", "id,nr\n1,1\n"), ("jsonl", '{"id":1,"nr":1}\n')])
def test_a_key_that_is_gone_or_was_never_there_stops_the_feed_also_where_the_source_ignores_it(
    tmp_path: Path, form: str, first: str
) -> None:
    (tmp_path / f"a.{form}").write_text(first)
    log, given = MemoryLog(), feed(form, key="nr")
    with pytest.raises(Mend, match="unknown column 'number'"):
        run(log, tmp_path, feed(form, key="number"))
    assert run(log, tmp_path, given) == 1
    (tmp_path / f"b.{form}").write_text(first.replace("nr", "no"))
    with pytest.raises(Mend, match=r"column nr is gone|unknown column 'nr'"):
        run(log, tmp_path, given)
    with pytest.raises(Mend, match="unknown column 'nr'"):
        run(log, tmp_path, given, new_shape=True)
    assert [row.key for row in log.rows] == [b"1"]


def test_a_parquet_column_of_another_type_stops_the_feed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "price": ["1"]}), tmp_path / "a.parquet")
    log = MemoryLog()
    run(log, tmp_path, feed("parquet"))
    pq.write_table(pa.table({"id": ["2"], "price": ["2"]}), tmp_path / "b.parquet")
    with pytest.raises(Mend, match="column id is string: it was int64"):
        run(log, tmp_path, feed("parquet"))


def test_a_field_that_some_objects_lack_may_be_gone_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":1,"price":1}\n{"id":2}\n')
    (tmp_path / "b.jsonl").write_text('{"id":3}')
    assert run(MemoryLog(), tmp_path, feed("jsonl")) == 3


def test_a_column_more_or_one_that_the_source_ignores_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,ignored\n1,x\n")
    (tmp_path / "b.csv").write_text("id,price\n2,2\n")
    log, doubts = MemoryLog(), list[str]()
    assert run(log, tmp_path, told=Told(doubt=doubts.append)) == 2
    assert [doubt[:14] for doubt in doubts] == ["unknown field ", "there is no at"]


def test_bad_rows_go_to_quarantine_as_they_are_or_stop_the_feed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,price\n1,1\nx,2\n3\n")
    log, given = MemoryLog(), feed()
    assert fed(log, given, FilesReader(given, tmp_path)).bad == 2
    assert [row.value for row in log.rows] == [b'{"id":1,"price":1}', b"x,2", b"3"]
    log, given = MemoryLog(), feed(bad="stop")
    with pytest.raises(Mend, match="'x' is not a whole number") as stopped:
        run(log, tmp_path, given)
    assert (stopped.value.where, log.rows) == ("a.csv:3", [])


@pytest.mark.parametrize(("form", "text"), [("parquet", "PAR1"), ("csv", "id,id\n1,2\n")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, form: str, text: str) -> None:
    (tmp_path / f"a.{form}").write_text(text)
    with pytest.raises(Mend, match=rf"a\.{form}"):
        run(MemoryLog(), tmp_path, feed(form))


def test_a_folder_that_is_not_there_is_a_missing_service(tmp_path: Path) -> None:
    with pytest.raises(ServiceMissing, match="there is no folder"):
        run(MemoryLog(), tmp_path / "nowhere")
