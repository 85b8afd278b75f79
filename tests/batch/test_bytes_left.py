"""What names somebody is found in every kind of file, however it is packed, and chance is not taken for it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dovetail.batch.bytes_left import Left, Needle, in_rows

ALICE = Needle("customer", ["alice-of-wonderland"])
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))


def column(value: Any, kind: pa.DataType) -> pa.Table:
    return pa.table({"c": pa.array([value] * 3, kind)})


def look(folder: Path, needle: Needle) -> dict[str, str]:
    return Left(folder).look(needle).found


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("to alice-of-wonderland", pa.string()),
        (b'{"customer": "alice-of-wonderland"}', pa.binary()),
        (["x", "alice-of-wonderland"], pa.list_(pa.string())),
        ([{"key": "h", "value": b"alice-of-wonderland"}], HEADERS),
        ([("alice-of-wonderland", 1)], pa.map_(pa.string(), pa.int64())),
        ("alice-of-wonderland", pa.dictionary(pa.int32(), pa.string())),
    ],
)
@pytest.mark.parametrize("statistics", [True, False])
def test_it_is_found_in_what_parquet_packs(tmp_path: Path, value: Any, kind: pa.DataType, statistics: bool) -> None:
    pq.write_table(column(value, kind), tmp_path / "f", compression="zstd", write_statistics=statistics)
    assert look(tmp_path, ALICE)
    assert not look(tmp_path, Needle("customer", ["alice-of-elsewhere"]))


def test_it_is_found_in_text_in_what_is_gzipped_and_in_names(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text('{"stats": "{\\"max\\": \\"alice-of-wonderland\\"}"}')
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"x alice-of-wonderland"))
    (tmp_path / "customer=alice-of-wonderland").mkdir()
    (tmp_path / "customer=alice-of-wonderland" / "empty").touch()
    (tmp_path / "other").write_text("alice of wonderland")
    found = look(tmp_path, ALICE)
    assert {*found.values()} == {"bytes", "unpacked", "its name"}
    assert len(found) == 3


def test_a_short_id_is_a_word_and_never_by_chance(tmp_path: Path) -> None:
    short = Needle("customer", ["c1"])
    pq.write_table(column("c10 and xc1", pa.string()), tmp_path / "not")
    pq.write_table(column("for c1, please", pa.string()), tmp_path / "yes")
    assert [*look(tmp_path, short)] == ["yes"]


def test_what_json_escapes_is_found(tmp_path: Path) -> None:
    pq.write_table(column(b'{"customer": "\\u00e9lodie-duval"}', pa.binary()), tmp_path / "f", compression="zstd")
    assert look(tmp_path, Needle("customer", ["élodie-duval"]))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (rb"O\u0027Brien Ltd", "O'Brien Ltd"),
        (rb"Ren\u00E9e Dupont", "Renée Dupont"),
        (rb"anna\u002Bx@shop.org", "anna+x@shop.org"),
        (rb"\u0061nna-of-nowhere", "anna-of-nowhere"),
        (rb"north\/south-42", "north/south-42"),
        (rb"say \"hello\" twice", 'say "hello" twice'),
        (rb"smile \uD83D\uDE00 twice", "smile \N{GRINNING FACE} twice"),
        (rb"{\"stats\": \"O\\u0027Brien Ltd\"}", "O'Brien Ltd"),
        (rb'{"c":"\u00e91"}', "é1"),
    ],
)
def test_however_json_escapes_it_it_is_found(tmp_path: Path, written: bytes, name: str) -> None:
    needle = Needle("customer", [name, "somebody-else"])
    assert needle.within(written)
    assert needle.within(name.encode())
    pq.write_table(column(written, pa.binary()), tmp_path / "f", compression="zstd")
    assert look(tmp_path, needle)
    assert not Needle("customer", [f"{name[:-1]}_", "x"]).within(written)


def test_rows_are_theirs_by_the_column_that_names_subjects(tmp_path: Path) -> None:
    def holds(rows: dict[str, list[Any]], *values: str, number: bool = False) -> bool:
        pq.write_table(pa.table(rows), tmp_path / "f")
        return in_rows(tmp_path / "f", Needle("customer", values, number=number))

    assert not holds({"customer": ["9"], "size": ["12"]}, "12"), "of a size nobody is forgotten"
    assert holds({"customer": ["9", "12"]}, "12")
    assert holds({"customer": ["12"]}, "12", number=True), "as a CSV file holds it"
    assert holds({"customer": [12]}, "12", number=True)
    assert holds({"owner": ["alice-of-wonderland"]}, "12", "alice-of-wonderland")
    assert not holds({"owner": ["bob", None]}, "12", "alice-of-wonderland")


def test_a_number_is_found_under_its_columns_name_alone(tmp_path: Path) -> None:
    number = Needle("customer", ["42"], number=True)
    pq.write_table(pa.table({"n": [42], "v": [b'{"n":42,"customer":421}']}), tmp_path / "not")
    pq.write_table(pa.table({"customer": pa.array([41, 42], pa.int32())}), tmp_path / "column")
    pq.write_table(pa.table({"v": [b'{"n":1,"customer": 42}']}), tmp_path / "record")
    assert [*look(tmp_path, number)] == ["column", "record"]
