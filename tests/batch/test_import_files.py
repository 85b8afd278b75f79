"""Files of old history become the bytes that a producer would have sent, row by row, or are refused by name."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

import dovetail as dv
from dovetail.batch.import_files import Part, columns, parts, rows
from dovetail.batch.imports import _gathered
from dovetail.shared.errors import UsageError
from dovetail.shared.imports import Import
from dovetail.shared.position import RecordId

SOURCE = dv.source(
    "lines",
    schema="id bigint, at timestamp, price decimal(10,2), n int, name string, ok boolean, raw binary, "
    "tags array<string>",
    event_time="at",
    event_id="id",
)
AT = dt.datetime(2019, 3, 1, 9, 30, 0, 123456)


def read(part: Part) -> list[Any]:
    return [json.loads(value) for _, value in rows(part, SOURCE)]


def parquet(path: Path, **columns_: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns_), path)
    return path


def test_json_lines_keep_their_bytes_and_are_named_by_their_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"id": 1,  "x": 1.10}\n\nbroken\n{"id": 2}\n')
    (part,) = parts([str(file)])
    assert [*rows(part, SOURCE)] == [(1, b'{"id": 1,  "x": 1.10}'), (3, b"broken"), (4, b'{"id": 2}')]
    assert columns(part) == ["id", "x"]


def test_a_zipped_csv_is_read_and_a_bad_row_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(b"id,price,name\n1,1.10,x\n2,cheap,y\n"))
    (part,) = parts([str(file)])
    assert columns(part) == ["id", "price", "name"]
    assert [*rows(part, SOURCE)] == [(2, b'{"id":1,"price":1.10,"name":"x"}'), (3, b"2,cheap,y")]


def test_typed_columns_keep_their_digits_and_their_times(tmp_path: Path) -> None:
    file = parquet(
        tmp_path / "a.parquet",
        id=pa.array([1.0, 2.5]),  # whole numbers with nulls are doubles in many files
        at=pa.array([AT, AT.replace(microsecond=0)], pa.timestamp("ns")),
        price=pa.array([Decimal("1234567.10"), None], pa.decimal128(12, 2)),
        n=pa.array(["7", "seven"]),
        name=pa.array(["a", "b"]).dictionary_encode(),
        ok=pa.array([True, None]),
        raw=pa.array([b"\x00", None], pa.binary()),
        tags=pa.array([["x"], []], pa.list_(pa.string())),
        other=pa.array([float("nan"), 0.1]),
    )
    (part,) = parts([str(file)])
    (_, first), (_, second) = rows(part, SOURCE)
    assert b'"price":1234567.10,' in first
    assert json.loads(first) == {
        "id": 1, "at": "2019-03-01T09:30:00.123456", "price": 1234567.1, "n": 7, "name": "a", "ok": True,
        "raw": "AA==", "tags": ["x"], "other": "NaN",
    }  # fmt: skip
    later = json.loads(second)
    assert (later["id"], later["price"], later["n"], later["other"]) == (2.5, None, "seven", 0.1)
    assert isinstance(json.loads(first)["id"], int)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("at", pa.array([1551432600000]), "column at is int64, not timestamp"),
        ("n", pa.array([True]), "column n is bool, not int"),
        ("ok", pa.array([1]), "column ok is int64, not boolean"),
        ("price", pa.array([b"1"], pa.binary()), "column price is binary, not decimal(10,2)"),
    ],
)
def test_a_column_that_can_never_fit_is_refused_by_its_name_and_file(
    tmp_path: Path, column: str, values: pa.Array, says: str
) -> None:
    (part,) = parts([str(parquet(tmp_path / "a.parquet", **{column: values}))])
    with pytest.raises(UsageError, match=r"a\.parquet") as refused:
        read(part)
    assert refused.value.what == says


def test_folders_tell_columns_and_hidden_files_are_no_data(tmp_path: Path) -> None:
    parquet(tmp_path / "t" / "n=7" / "name=a%20b" / "x.parquet", id=[1])
    (tmp_path / "t" / "_SUCCESS").touch()
    (tmp_path / "t" / "n=7" / ".x.crc").touch()
    (part,) = parts([str(tmp_path / "t")])
    assert read(part) == [{"id": 1, "n": 7, "name": "a b"}]
    assert columns(part) == ["id", "n", "name"]


def test_a_delta_table_is_its_newest_version_with_its_partitions(tmp_path: Path) -> None:
    table = str(tmp_path / "t")
    write_deltalake(table, pa.table({"id": [1], "n": pa.array([1], pa.int32())}), partition_by=["n"])
    write_deltalake(table, pa.table({"id": [2], "n": pa.array([2], pa.int32())}), mode="overwrite")
    found = parts([table])
    assert [row for part in found for row in read(part)] == [{"id": 2, "n": 2}]
    with pytest.raises(UsageError, match="is a Delta table in a folder of files"):
        parts([str(tmp_path)])


def test_deletion_vectors_are_refused_for_their_rows_would_come_back(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(str(table), pa.table({"id": [1]}))
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"]}  # fmt: skip
    (table / "_delta_log" / f"{1:020}.json").write_text(json.dumps({"protocol": protocol}))
    with pytest.raises(UsageError, match="the Delta table cannot be read"):
        parts([str(table)])


def test_what_makes_no_import_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.jsonl").write_text("{}\n")
    (tmp_path / "c.txt").write_text("x")
    (tmp_path / "array.json").write_text('[\n{"id": 1}]')
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    refusals = {
        ("none.csv",): "there is no file",
        ("a.csv", "b.jsonl"): "several formats",
        (".",): "is not told by its name",
        ("a.csv", "a.csv"): "named twice",
        ("empty",): "there is no file to import",
    }
    for names, says in refusals.items():
        with pytest.raises(UsageError, match=says):
            parts([str(tmp_path / name) for name in names])
    with pytest.raises(UsageError, match="unknown format 'xml'"):
        parts([str(tmp_path / "a.csv")], "xml")
    for name, says in {"array.json": "holds a JSON array", "torn.parquet": "cannot be read as parquet"}.items():
        with pytest.raises(UsageError, match=says):
            [*rows(*parts([str(tmp_path / name)]), SOURCE)]


def gathered(folder: Path, *names: str, known: dict[str, Import] | None = None) -> list[Any]:
    chosen = parts([str(folder / name) for name in names])
    return _gathered(chosen, SOURCE, folder / "raw", known=known or {}, tell=lambda _: None)


def test_rows_are_gathered_under_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    (tmp_path / "b.csv").write_text("id\n")
    assert [(f.rows, len(f.sha256)) for f in gathered(tmp_path, "a.csv", "b.csv")] == [(2, 64), (0, 64)]
    offsets = pq.read_table(tmp_path / "raw")["_offset"].to_pylist()
    assert [str(RecordId(-4, o)) for o in offsets] == ["import:4/1#2", "import:4/1#3"]
    with pytest.raises(UsageError, match="there is no row"):
        gathered(tmp_path, "b.csv")


def test_the_same_bytes_twice_are_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id\n1\n")
    with pytest.raises(UsageError, match="byte for byte"):
        gathered(tmp_path, "a.csv", "b.csv")
    before = Import(3, "f", tuple(gathered(tmp_path, "a.csv")), 1, 0)
    with pytest.raises(UsageError, match=r"b.csv was imported already: it is in import 3 of .*a.csv"):
        gathered(tmp_path, "b.csv", known={before.files[0].sha256: before})


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id\n1\n2\n")

    def digest(_: Part) -> str:
        with file.open("a") as more:
            more.write("3\n")
        return "x"

    monkeypatch.setattr(Part, "digest", digest)
    with pytest.raises(UsageError, match="changed while it was read"):
        gathered(tmp_path, "a.csv")
