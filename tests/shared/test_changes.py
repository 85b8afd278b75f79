"""Change events of a table: what is decoded, which rows they give, and why some cannot be counted. Real Spark."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

import dovetail as dv
from dovetail.shared.changes import TOMBSTONES, image
from dovetail.shared.decode import RAW, REASON, decode, decoded
from dovetail.shared.errors import DeclarationError
from dovetail.shared.failing import said
from dovetail.shared.fold import misfits

SCHEMA = "id bigint, customer string, amount decimal(10,2), ordered_at timestamp"
ENVELOPES = json.loads((Path(__file__).parent / "debezium_postgres.json").read_text())
"""An insert, an update, a delete and its tombstone, as Debezium's connector for PostgreSQL writes them with schemas."""
AT = "2026-11-01T09:20:00.123456Z"
STORED = ["count_e1224e51", "sum_da7e9ce2", "sum_da7e9ce2", "count_a5fa838d", "moments_db4b9e9c"]
ROW = {"id": 1, "customer": "ada", "amount": "12.50", "ordered_at": AT}


def a_source(**changes: Any) -> dv.Source:
    given = {"schema": SCHEMA, "event_time": "ordered_at", "event_id": "id", "format": dv.changes()}
    return dv.source("orders", **{**given, **changes})


def envelope(op: str, before: Any = None, after: Any = None, **source: Any) -> dict[str, Any]:
    return {"before": before, "after": after, "source": {"lsn": 7, **source}, "op": op, "ts_ms": 1}


def records(spark: SparkSession, values: Sequence[Any]) -> DataFrame:
    def written(value: Any) -> bytearray | None:
        return None if value is None else bytearray(value if isinstance(value, bytes) else json.dumps(value).encode())

    rows = [(0, i, datetime(2026, 11, 1), None, written(v), None) for i, v in enumerate(values)]
    return spark.createDataFrame(rows, RAW)


def reasons(spark: SparkSession, source: dv.Source, *values: Any) -> list[str | None]:
    rows = decode(records(spark, values), source.as_json()).select("_offset", REASON).collect()
    return [row[REASON] for row in sorted(rows)]


def seen(spark: SparkSession, source: dv.Source, *values: Any) -> list[tuple[Any, ...]]:
    rows = decoded(decode(records(spark, values), source.as_json()), source.as_json())
    return sorted(tuple(row) for row in rows.collect())


@pytest.mark.java
def test_what_debezium_writes_of_postgres_gives_signed_rows(spark: SparkSession) -> None:
    source = a_source()
    insert, update, delete, tombstone = ENVELOPES
    first = (1001, "ada", Decimal("12.50"), datetime(2026, 11, 1, 9, 20, 0, 123456))
    second = (1001, "ada", Decimal("20.00"), datetime(2026, 11, 1, 9, 20, 0, 123456))
    assert seen(spark, source, insert) == [(*first, 1)]
    assert seen(spark, source, update) == [(*first, -1), (*second, 1)]
    assert seen(spark, source, delete) == [(*second, -1)]
    assert seen(spark, source, tombstone) == []
    bare = [change["payload"] for change in (insert, update, delete)]
    assert seen(spark, source, *bare) == seen(spark, source, insert, update, delete)
    assert list(source.row_columns) == ["id", "customer", "amount", "ordered_at", "sign"]


@pytest.mark.java
def test_a_change_that_cannot_be_counted_gets_a_reason_that_names_the_fix(spark: SparkSession) -> None:
    full = "set REPLICA IDENTITY FULL on the table"
    micros = ROW | {"ordered_at": 1793524800123456}
    cases: list[tuple[Any, str | None]] = [
        (envelope("r", None, ROW), None),
        (envelope("u", ROW, ROW), None),
        (None, TOMBSTONES.reason),
        (b"\xff", "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b'{"op": "c"} {"op": "c"}', "not a JSON object"),
        (ROW, "no op: it is no change as Debezium writes one"),
        (envelope("t"), "the table was truncated: which rows that takes back it does not say"),
        (envelope("m"), "op is none of c, r, u and d"),
        (envelope("c"), "no after"),
        (envelope("u", None, ROW), f"no row before the change: {full}"),
        (envelope("d"), f"no row before the change: {full}"),
        (envelope("d", {"id": 1}), f"no ordered_at in before: {full}"),
        (envelope("c", None, ROW | {"ordered_at": None}), "no ordered_at"),
        (envelope("c", None, ROW | {"id": None}), "no id"),
        (envelope("c", None, ROW | {"amount": "BN4="}), "amount is not decimal(10,2)"),
        (envelope("u", ROW | {"amount": "BN4="}, ROW), "amount is not decimal(10,2)"),
        ({"schema": {}, "payload": envelope("c", None, ROW | {"id": "one"})}, "id is not bigint"),
        (envelope("c", None, micros), "ordered_at is not timestamp"),
        (envelope("u", micros, ROW), "ordered_at is not timestamp"),
        (envelope("c", None, ROW | {"ordered_at": "12:30"}), "ordered_at is not timestamp"),
        (envelope("c", None, ROW) | {"source": {"ts_ms": 1}}, "no place in source"),
        (envelope("c", None, ROW) | {"source": None}, "no place in source"),
    ]
    values, expected = zip(*cases, strict=True)
    assert reasons(spark, a_source(), *values) == list(expected)
    assert reasons(spark, a_source(event_id=()), envelope("c", None, ROW) | {"source": None}) == [None]


@pytest.mark.java
@pytest.mark.long
def test_a_change_is_named_by_the_key_and_its_place_in_the_databases_log(spark: SparkSession) -> None:
    source = a_source()
    changes = [
        envelope("c", None, ROW),
        envelope("c", None, ROW) | {"ts_ms": 99},
        envelope("u", ROW, ROW, lsn=8),
        envelope("d", ROW, lsn=None, file="binlog.000003", pos=154, row=2),
    ]
    rows = decode(records(spark, changes), source.as_json()).select("_offset", *source.event_id).collect()
    assert [tuple(row)[1:] for row in sorted(rows)] == [(1, "7"), (1, "7"), (1, "8"), (1, "binlog.000003 154 2")]


def test_the_row_of_a_change_is_shown_to_what_looks_at_fields() -> None:
    wrapped = {"schema": {}, "payload": envelope("u", {"id": 1}, {"id": 2})}
    given = [envelope("d", {"id": 1}), wrapped, envelope("t"), [1], {"payload": 3}]
    shown = [image(json.dumps(each).encode()) for each in given] + [image(None), image(b"{")]
    assert shown == [b'{"id": 1}', b'{"id": 2}', None, None, None, None, None]


def test_the_columns_name_is_its_own() -> None:
    with pytest.raises(DeclarationError, match="column sign is what says which rows"):
        a_source(schema=SCHEMA + ", Sign int")
    assert a_source(schema=SCHEMA + ", sign int", format=dv.changes(sign="change")).sign == "change"
    for wrong in ("", "_sign", "two words"):
        with pytest.raises(DeclarationError, match="is no name of a column"):
            dv.changes(sign=wrong)
    with pytest.raises(DeclarationError, match="unknown format 'maxwell'"):
        dv.changes(format="maxwell")
    with pytest.raises(DeclarationError, match="nobody can be forgotten in a topic of changes"):
        a_source(schema=SCHEMA, format=dv.changes(), subject="id")


@pytest.mark.parametrize("otherwise", ["drop", "quarantine"])
def test_no_rule_takes_a_change_out(otherwise: Any) -> None:
    with pytest.raises(DeclarationError, match="would count for ever") as caught:
        a_source(rules=[dv.rule("amount > 0", otherwise=otherwise)])
    assert caught.value.where.startswith("test_changes.py:")
    assert len(a_source(rules=[dv.rule("amount > 0", otherwise="warn")]).rules) == 2


def test_measures_of_changes_go_by_the_sign_without_being_told() -> None:
    def view(**measures: dv.Measure) -> dv.View:
        return dv.view("totals", source=a_source(), keys=["customer"], measures=measures)

    told = view(n=dv.count(sign="sign"), mean=dv.avg("amount", sign="sign"))
    assert view(n=dv.count(), mean=dv.avg("amount")).measures == told.measures
    assert told.measures["n"] != dv.count()


@pytest.mark.parametrize(
    "measure",
    [
        dv.min("amount"), dv.max("amount"), dv.first("amount"), dv.last("amount"), dv.any_value("amount"),
        dv.top_k("amount", k=3), dv.collect_set("customer"), dv.bool_or("amount > 1"), dv.approx_distinct("customer"),
        dv.approx_quantiles("amount"), dv.approx_top_k("customer", k=3), dv.ratio(dv.max("amount"), dv.count()),
    ],
    ids=lambda m: m.name,
)  # fmt: skip
def test_what_cannot_be_taken_back_is_refused_at_its_line_with_a_way_out(measure: dv.Measure) -> None:
    with pytest.raises(DeclarationError, match=r"measure 'it': .* cannot tell what is left") as caught:
        dv.view("totals", source=a_source(), measures={"it": measure})
    assert caught.value.where.startswith("test_changes.py:")
    assert "latest rows upstream" in caught.value.next
    plain = dv.source("rows", schema=SCHEMA + ", sign int", event_time="ordered_at")
    with pytest.raises(DeclarationError, match="cannot tell what is left"):
        dv.view("totals", source=plain, measures={"n": dv.count(sign="sign"), "it": measure})


def test_the_page_on_changes_declares_what_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "changes.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    known: dict[str, Any] = {}
    exec(code, known)
    assert known["orders"].sign == "sign"
    assert {m.sign for m in known["by_customer"].measures.values()} == {"sign"}


def test_a_measure_without_a_sign_is_stored_as_it_was_before_there_were_signs() -> None:
    """These names are in stored bundles and columns of states."""
    measures = [dv.count(), dv.sum("amount"), dv.avg("amount"), dv.variance("amount")]
    assert [s.column for m in measures for s in m.states] == STORED
    assert [sorted(m.as_json()) for m in measures] == [["measure", "states"]] * 3 + [["measure", "options", "states"]]


@pytest.mark.java
@pytest.mark.long
def test_a_sign_is_a_whole_number_and_another_one_sets_its_record_apart(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, "1"), (2, "1")], "sign int, text string")
    assert misfits(rows, {"share": dv.ratio(dv.count(sign="sign"), dv.count())}) == {}
    assert misfits(rows, {"n": dv.count(sign="text"), "all": dv.count()}) == {
        "n": "count: sign 'text' is string: make it a whole number, as an int"
    }
    with pytest.raises(PySparkException) as caught:
        rows.selectExpr(dv.count(sign="sign").states[0].prepared).collect()
    assert said(caught.value) == "a sign that is not -1, 0 or 1"
