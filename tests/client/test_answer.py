"""Answers have the values of Python and the types of Arrow, and show nothing that a notebook would run."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from client_double import RECEIPT, stream

from dovetail.client import Answer, Behind, ClientError, Receipt

TABLE = pa.table(
    {
        "country": ["FR", None],
        "bucket": pa.array([dt.datetime(2026, 3, 1, tzinfo=dt.UTC), None], pa.timestamp("us", tz="Europe/Paris")),
        "revenue": pa.array([Decimal("10.00"), None], pa.decimal128(38, 2)),
        "day": pa.array([dt.date(2026, 3, 1), None]),
    }
)


def test_rows_are_values_of_python() -> None:
    answer = Answer.read(stream(TABLE))
    assert answer.rows == [
        {"country": "FR", "bucket": dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "revenue": Decimal("10.00"),
         "day": dt.date(2026, 3, 1)},
        dict.fromkeys(TABLE.column_names),
    ]  # fmt: skip
    assert answer.rows[0]["bucket"].isoformat() == "2026-03-01T01:00:00+01:00"
    assert str(answer.rows[0]["revenue"]) == "10.00"
    assert (list(answer), len(answer), answer.more) == (answer.rows, 2, False)


def test_tables_keep_the_types() -> None:
    answer = Answer.read(stream(TABLE))
    assert answer.to_arrow().equals(TABLE, check_metadata=True)
    assert answer.to_polars().schema == {
        "country": pl.String, "bucket": pl.Datetime("us", "Europe/Paris"), "revenue": pl.Decimal(38, 2), "day": pl.Date,
    }  # fmt: skip
    frame = answer.to_pandas()
    assert frame["bucket"].dtype == pd.DatetimeTZDtype("us", "Europe/Paris")
    assert frame["revenue"][0] == Decimal("10.00")


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_package_that_is_not_installed_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ClientError, match=f"needs {package}, which is not installed\n  next: pip install {package}"):
        getattr(Answer.read(stream(TABLE)), f"to_{package}")()


@pytest.mark.parametrize(
    ("cut", "says"),
    [(lambda s: s[:-8], "cut off"), (lambda s: s[: len(s) // 2], "cut off"), (lambda s: b"", "cut off")],
)
def test_an_answer_that_is_not_whole_is_refused(cut: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Answer.read(cut(stream(TABLE)))


def test_an_answer_without_a_receipt_is_refused() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pytest.raises(KeyError, match=r"dovetail\.receipt"):
        Answer.read(sink.getvalue().to_pybytes())


def test_a_notebook_shows_the_first_rows_and_the_receipt_and_runs_nothing() -> None:
    evil = "<script>alert(1)</script>"
    table = pa.table({f"{evil}&": [evil, *"abcdefghijklmnopqrstuvwxyz"]})
    shown = Answer.read(stream(table, view=evil, more=True))._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert shown.count("<tr>") == 21
    assert "the first 20 of 27 rows" in shown
    assert "receipt s1.3.0011aabb; there are more rows" in shown


def test_an_answer_says_its_receipt_in_a_line() -> None:
    line = "sales up to seq 3; 0.4 s behind; receipt s1.3.0011aabb"
    assert repr(Answer.read(stream(TABLE))) == f"<Answer of 2 rows: {line}>"
    told = {"quarantined": 1200, "complete": False, "approximate": ["buyers"], "behind": {"records": 0, "seconds": 0}}
    assert str(Receipt.read(RECEIPT | told)) == (
        "sales up to seq 3; nothing behind, 1,200 quarantined, not complete, approximate: buyers; receipt s1.3.0011aabb"
    )


def test_a_receipt_has_types_and_keeps_what_the_server_said() -> None:
    told = RECEIPT | {"more": True, "next": "s1.3.0011aabb~7", "new": "field", "gaps": [{"seq": 2, "records": 3}]}
    receipt = Receipt.read(told)
    assert (receipt.cut, receipt.position, receipt.behind) == ({0: 1, 1: 1}, {0: 1, 1: 2}, Behind(4, 0.4))
    assert (receipt.runs, receipt.gaps) == (("origin", "run2"), ({"seq": 2, "records": 3},))
    assert (receipt.more, receipt.next, receipt.complete, receipt.raw) == (True, "s1.3.0011aabb~7", True, told)
    assert {*RECEIPT} < {*vars(receipt)}
    with pytest.raises(AttributeError):
        receipt.seq = 4  # type: ignore[misc]


def test_what_says_nothing_of_gaps_is_not_called_complete() -> None:
    assert Receipt.read({"id": "q1"}).complete is False
