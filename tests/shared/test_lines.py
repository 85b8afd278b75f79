"""Records in files: JSON lines as they are, CSV by the schema's types, and what is wrong with which line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import dovetail as dv
from dovetail.shared.errors import UsageError
from dovetail.shared.lines import csv_lines, form_of, json_lines, records
from dovetail.shared.produce import Line

SOURCE = dv.source(
    "lines",
    schema="name string, n bigint, price decimal(10,2), ratio double, good boolean, day date, tags array<string>",
)


def of_csv(text: str | bytes, key: str | None = None) -> list[Line]:
    raw = text.encode() if isinstance(text, str) else text
    return list(csv_lines(raw.splitlines(keepends=True), SOURCE, key=key))


def cell(kind: str, text: str) -> bytes:
    (line,) = of_csv(f'{kind}\n"{text}"\n')
    assert not line.bad, line.bad
    return line.value.partition(b":")[2][:-1]


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("name", "007", b'"007"'),
        ("name", "NULL", b'"NULL"'),
        ("n", "007", b"7"),
        ("n", "-12", b"-12"),
        ("n", " 5 ", b"5"),
        ("n", "99999999999999999999", b"99999999999999999999"),
        ("price", "12.50", b"12.50"),
        ("price", "0.10", b"0.10"),
        ("price", ".5", b"0.5"),
        ("price", "-003.00", b"-3.00"),
        ("price", "1234567890123456789.12", b"1234567890123456789.12"),
        ("ratio", "1e999999999", b"1E+999999999"),
        ("good", "True", b"true"),
        ("day", "2026-03-01", b'"2026-03-01"'),
        ("tags", "[1]", b"[1]"),
        ("other", "12", b'"12"'),
    ],
)
def test_a_cell_becomes_the_value_that_its_column_takes(column: str, text: str, value: bytes) -> None:
    assert cell(column, text) == value


@pytest.mark.parametrize(
    ("column", "text"),
    [("n", "1.5"), ("n", "a"), ("n", "1_000"), ("price", "1,5"), ("price", "NaN"), ("good", "yes"), ("tags", "[")],
)
def test_a_cell_that_does_not_fit_makes_its_line_bad(column: str, text: str) -> None:
    (line,) = of_csv(f'{column}\n"{text}"\n')
    assert line.bad.startswith(f"column {column}: '{text}' is not ")
    assert line.value == f'"{text}"'.encode()


def test_an_empty_cell_is_null_in_every_type() -> None:
    (line,) = of_csv("name,n,price,ratio,good,day,tags\n,,,,,,\n")
    assert line.value == b'{"name":null,"n":null,"price":null,"ratio":null,"good":null,"day":null,"tags":null}'


def test_lines_are_numbered_as_an_editor_does() -> None:
    lines = of_csv('name,n\n"two\nlines",1\n\nx,1,2\ny,2\n')
    assert [(line.number, line.bad) for line in lines] == [(2, ""), (5, "3 cells under 2 columns"), (6, "")]
    assert lines[0].value == b'{"name":"two\\nlines","n":1}'
    assert lines[1].value == b"x,1,2"


def test_bytes_read_end_at_the_size_of_the_file() -> None:
    text = 'name,n\n"a\nb",1\nc,2\n'
    assert [line.read for line in of_csv(text)] == [len('name,n\n"a\nb",1\n'), len(text)]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert of_csv(b"\xef\xbb\xbfname\nx\n")[0].value == b'{"name":"x"}'


def test_bytes_that_are_no_utf8_make_a_line_bad() -> None:
    (line,) = of_csv(b"name\n\xff\n")
    assert (line.bad, line.value) == ("not UTF-8", b"\xff")


@pytest.mark.parametrize(
    ("text", "says"), [("", "the file is empty"), ("a,a\n", "column 'a' stands twice"), ("a\n", "unknown column 'b'")]
)
def test_a_header_that_cannot_be_used_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        of_csv(text, key="b" if text == "a\n" else None)


def test_json_lines_keep_their_bytes_and_give_their_keys() -> None:
    raw = [b'{"k": "a" , "n":1}\r\n', b"\n", b'{"k": 7}\n', b'{"n": 1}', b'{"k": null}']
    assert [(line.number, line.value, line.key, line.bad) for line in json_lines(raw, key="k")] == [
        (1, b'{"k": "a" , "n":1}', b"a", ""),
        (3, b'{"k": 7}', b"7", ""),
        (4, b'{"n": 1}', None, ""),
        (5, b'{"k": null}', None, ""),
    ]


@pytest.mark.parametrize("raw", [b"{", b"[1]", b'"a"', b"NaN", b'{"a": "\xff"}'])
def test_a_json_line_that_is_no_object_is_bad_and_kept(raw: bytes) -> None:
    (line,) = json_lines([raw])
    assert line.bad.startswith("not ")
    assert line.value == raw


def test_doubts_are_told_once_for_the_first_record() -> None:
    told: list[str] = []
    raw: Iterator[bytes] = iter([b'{"nmae": 1}\n'] * 3)
    assert len(list(records(raw, SOURCE, form="jsonl", on_doubt=told.append))) == 3
    assert [t.split(" Known")[0] for t in told] == ["unknown field 'nmae': did you mean 'name'?"]


@pytest.mark.parametrize(
    ("file", "form", "read_as"),
    [
        ("a.csv", None, "csv"),
        ("A.CSV", None, "csv"),
        ("a.jsonl", None, "jsonl"),
        ("-", None, "jsonl"),
        ("-", "csv", "csv"),
    ],
)
def test_the_form_is_told_by_the_name_unless_it_is_said(file: str, form: str | None, read_as: str) -> None:
    assert form_of(file, form) == read_as
