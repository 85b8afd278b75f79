"""Lines of CSV: what becomes columns and what goes to quarantine, and why. Real Spark."""

from datetime import date, datetime
from decimal import Decimal

import pytest

import dovetail as dv
from dovetail.shared.decode import RAW, REASON, decode
from dovetail.shared.errors import DeclarationError

SCHEMA = (
    "n bigint, name string, at timestamp, day date, price decimal(10,2), weight double, gift boolean, raw binary, i int"
)
GOOD = "1,a,2026-10-01T09:20:00Z,2026-10-01,1.25,2.5e1,true,xy,7"


def source(schema=SCHEMA, **how):
    return dv.source("lines", format=dv.csv(**how), schema=schema, event_time="at" if "at " in schema else None)


def read(spark, values, of):
    rows = [(0, i, datetime(2026, 11, 1), None, v and bytearray(v), None) for i, v in enumerate(values)]
    return decode(spark.createDataFrame(rows, RAW), of.as_json()).orderBy("_offset").collect()


def but(**fields):
    """The good line with some of its fields otherwise."""
    given = dict(zip(dv.source("x", schema=SCHEMA).columns, GOOD.split(","), strict=True))
    return ",".join((given | fields).values()).encode()


REASONS = {
    but(): None,
    but() + b"\r\n": None,
    but(name='"a, ""b"""', gift="FALSE", price="-12.500", weight="NaN", i=""): None,
    but(name="", n="", day="", price="", weight="", gift="", raw=""): None,
    None: "no value",
    b"\xff,a": "not UTF-8",
    b"": "an empty line",
    b"1,a,2026-10-01T09:20:00Z": "not 9 fields",
    but() + b",x": "not 9 fields",
    but() + b"\n" + but(): "more than one line",
    but(name='"a\nb"'): "more than one line",
    but(n="1.0"): "n is not bigint",
    but(n="9223372036854775808"): "n is not bigint",
    but(i="2147483648"): "i is not int",
    but(price="12.345"): "price is not decimal(10,2)",
    but(price="123456789.00"): "price is not decimal(10,2)",
    but(price="1d"): "price is not decimal(10,2)",
    but(weight="1d"): "weight is not double",
    but(gift="yes"): "gift is not boolean",
    but(day="2026-02-30"): "day is not date",
    but(day="2026-10-01 12:00"): "day is not date",
    but(at="09:20"): "at is not timestamp",
    but(at=""): "no at",
}


@pytest.mark.java
def test_each_line_of_csv_is_read_or_gets_a_reason_that_names_the_column(spark):
    rows = read(spark, list(REASONS), source())
    assert dict(zip(REASONS, [row[REASON] for row in rows], strict=True)) == REASONS
    assert tuple(rows[0][c] for c in source().columns) == (
        1, "a", datetime(2026, 10, 1, 9, 20), date(2026, 10, 1), Decimal("1.25"), 25.0, True, bytearray(b"xy"), 7,
    )  # fmt: skip
    assert (rows[2]["name"], rows[2]["price"], rows[2]["gift"], rows[2]["i"]) == (
        'a, "b"',
        Decimal("-12.50"),
        False,
        None,
    )
    assert [rows[3][c] for c in ("n", "name", "day", "price", "weight", "gift", "raw")] == [None] * 7


@pytest.mark.java
def test_the_delimiter_and_the_quote_are_as_declared(spark):
    (row,) = read(spark, [b"1\t'a\tb'"], source("n int, name string", delimiter="\t", quote="'"))
    assert (row["n"], row["name"], row[REASON]) == (1, "a\tb", None)


def test_what_cannot_be_csv_is_refused_at_its_line():
    with pytest.raises(DeclarationError, match="delimiter='' is not one character") as caught:
        dv.csv(delimiter="")
    assert caught.value.where.startswith("test_csv.py:")
    with pytest.raises(DeclarationError, match="column a is of type array<int>, which a field of CSV cannot be"):
        source("a array<int>")
    with pytest.raises(DeclarationError, match="both"):
        dv.csv(delimiter='"')


def test_how_lines_are_taken_apart_is_part_of_how_a_source_is_decoded():
    assert source().as_json() != source(delimiter=";").as_json()
