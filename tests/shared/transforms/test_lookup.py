"""lookup: what a pinned table adds to rows, and which tables are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyarrow import parquet

import dovetail as dv
from dovetail.shared.errors import DeclarationError
from dovetail.shared.purity import problems
from dovetail.shared.transforms import pinned

from .conftest import Table, refusal

pytestmark = [pytest.mark.java, pytest.mark.long]

lookup = dv.transforms.lookup
PRODUCTS = 'code,line,msrp\nS18,Vintage Cars,60.54\nS24,"Planes, etc",\n'
TYPED = "code string, line string, msrp decimal(10,2)"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "products.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


def test_rows_find_the_columns_of_their_key(table: Table, write: Write) -> None:
    with_product = lookup(write(PRODUCTS), on={"Product": "code"}, schema=TYPED)
    rows = table("id int, product string", (1, "S18"), (2, "S24"), (3, "s18"), (4, None), (5, "S18"))
    expected = table(
        "id int, product string, line string, msrp decimal(10,2)",
        (1, "S18", "Vintage Cars", Decimal("60.54")),
        (2, "S24", "Planes, etc", None),
        (3, "s18", None, None),
        (4, None, None, None),
        (5, "S18", "Vintage Cars", Decimal("60.54")),
    )
    assert_df_equality(with_product(rows), expected, ignore_nullable=True, ignore_row_order=True)


def test_a_key_of_several_columns_is_found_as_a_whole(table: Table, write: Write) -> None:
    file = write("country,zip,city\nFR,1000,Bourg\nBE,1000,Brussels\n")
    places = lookup(file, on=["country", "zip"], schema="country string, zip int, city string")
    rows = table("zip bigint, country string", (1000, "BE"), (1000, "DE"), (1000, None), (None, "FR"))
    assert {tuple(row) for row in places(rows).collect()} == {
        (1000, "BE", "Brussels"), (1000, "DE", None), (1000, None, None), (None, "FR", None),
    }  # fmt: skip


def test_without_a_schema_csv_is_text_and_only_the_named_columns_are_taken(table: Table, write: Write) -> None:
    file = write("\ufeffcode,line,msrp\r\nS18,x,60.54\r\n")
    rows = table("code string", ("S18",))
    assert lookup(file, on="code")(rows).collect() == [("S18", "x", "60.54")]
    assert lookup(file, on="code", schema="msrp double, code string")(rows).collect() == [("S18", 60.54)]


def test_json_and_parquet_keep_their_types(table: Table, write: Write) -> None:
    objects = write('[{"code": 1, "price": 0.10, "ok": true}, {"code": 2, "since": "2026-03-01"}]', "p.json")
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({"code": [1], "since": [date(2026, 3, 1)]}), sink)
    rows = table("code int", (1,))
    assert lookup(objects, on="code")(rows).collect() == [(1, Decimal("0.10"), True, None)]
    assert lookup(write(sink.getvalue().to_pybytes(), "p.parquet"), on="code")(rows).collect() == [
        (1, date(2026, 3, 1))
    ]
    typed = lookup(objects, on="code", schema="code int, since date")
    assert typed(table("code int", (2,))).collect() == [(2, date(2026, 3, 1))]


def test_a_table_without_rows_finds_nothing(table: Table, write: Write) -> None:
    assert lookup(write("code,line\n"), on="code")(table("code string", ("S18",))).collect() == [("S18", None)]


def test_the_rows_are_those_of_the_declaration_whatever_the_file_holds_later(table: Table, write: Write) -> None:
    step = lookup(write("code,line\nS18,then\n"), on="code")
    write("code,line\nS18,now\n")
    assert step(table("code string", ("S18",))).collect() == [("S18", "then")]


def test_what_does_not_fit_the_rows_is_told(table: Table, write: Write) -> None:
    step = lookup(write(PRODUCTS), on="code")
    assert refusal(step, table("cod string")) == "lookup: unknown column 'code': did you mean 'cod'? Known: cod"
    assert refusal(step, table("code string, LINE string")) == "lookup: two columns would be called 'line'"
    said = refusal(step, table("code int"))
    assert said == "lookup: column 'code' is int, and 'code' of products.csv is string: give schema="


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("code,line\na,x\nb,y\na,z\n", {}, "products.csv: the key a is there twice, the second time in row 3"),
        ("code,line\na,x\n,y\n", {}, "products.csv: row 2 has no key code"),
        ("code,line\na,x\n", {"on": "cod"}, "products.csv: unknown column 'cod': did you mean 'code'"),
        ("code,line\na,x\n", {"schema": "line string"}, "unknown column 'code'"),
        ("code,line\na,x\n", {"schema": "code string, lin string"}, "unknown column 'lin': did you mean 'line'"),
        ("code,line\na,x\n", {"schema": "code string, line int"}, "column line is no int: Failed to parse"),
        ("code,line\na,x\n", {"schema": "code string, line timestamp"}, "column line: unknown type 'timestamp'"),
        ("code,n\na,1.255\n", {"schema": "code string, n decimal(4,2)"}, r"column n is no decimal\(4,2\)"),
        ("code,line\na,x,y\n", {}, "row 1 has 3 fields, and the header 2"),
        ("code,code\na,x\n", {}, "two columns are called 'code'"),
        ('code,line\na,"x\n', {}, "products.csv: line 2: unexpected end of data"),
        (b"code\n\xff\n", {}, "products.csv: it is not UTF-8"),
        ("", {}, "products.csv: it is empty"),
        ("code,line\na,x\n", {"on": []}, "no column is named"),
        ("code,line\na,x\n", {"on": {"a": "code", "b": "code"}}, "column 'code' is named twice"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_is_refused_at_once(
    write: Write, content: str | bytes, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(DeclarationError, match=f"^lookup: .*{message}") as caught:
        lookup(write(content), **{"on": "code", **arguments})
    assert caught.value.where.startswith("test_lookup.py:")


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "[1]",
        '{"a": {"b": 1}}',
        "nonsense",
        '[{"code": 1}, {"code": "a"}]',
        '[{"code": 99999999999999999999}]',
    ],
)
def test_json_that_is_no_table_is_refused_at_once(write: Write, content: str) -> None:
    with pytest.raises(DeclarationError, match=r"^lookup: p.json: "):
        lookup(write(content, "p.json"), on="code")


def test_another_kind_of_file_is_refused(write: Write) -> None:
    with pytest.raises(DeclarationError, match=r"the ending of path='xlsx' is none of 'csv', 'json', 'parquet'"):
        lookup(write("", "products.xlsx"), on="code")
    with pytest.raises(DeclarationError, match=r"p.parquet: .*[Pp]arquet"):
        lookup(write("code,line\n", "p.parquet"), on="code")


def test_a_table_that_is_too_large_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "LIMIT", 20)
    assert lookup(write("code,line\na,x\n"), on="code")
    with pytest.raises(DeclarationError, match=r"products\.csv holds 27 bytes, and 20 are the most"):
        lookup(write("code,line\na,x\nbbbbbbbbbb,y\n"), on="code")
    with pytest.raises(DeclarationError, match=r"p\.json: its rows take 34 bytes, and 20 are the most"):
        lookup(write('[{"code":1,"n":2}]', "p.json"), on="code", schema="code decimal(3,2), n decimal(3,2)")


def test_a_file_that_is_not_there_is_told_when_it_is_needed(table: Table, tmp_path: Path) -> None:
    step = lookup(tmp_path / "nowhere.csv", on="code")
    message = f"the file {tmp_path / 'nowhere.csv'} is not there"
    assert [p.message for p in problems(step, project=tmp_path)] == [message]
    with pytest.raises(DeclarationError, match=r"nowhere\.csv is not there") as caught:
        step(table("code string"))
    assert caught.value.where.startswith("test_lookup.py:")


def test_a_file_outside_the_project_is_a_problem(write: Write, tmp_path: Path) -> None:
    step = lookup(write(PRODUCTS), on="code")
    assert problems(step, project=tmp_path) == []
    [problem] = problems(step, project=tmp_path / "project")
    assert "products.csv is not under the project's folder" in problem.message
