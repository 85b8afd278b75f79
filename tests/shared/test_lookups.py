"""Rules that look beyond the record, and what an id is, in real Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import dovetail as dv
from dovetail.shared.decode import RAW, decode
from dovetail.shared.dimensions import Versions
from dovetail.shared.errors import DeclarationError, RuleBroken
from dovetail.shared.fold import folded
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import LedgerRow, new_commit_id
from dovetail.shared.lookups import lookups
from dovetail.shared.position import Position, Range
from dovetail.shared.repeats import candidates
from dovetail.shared.tables import Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.java

SCHEMA = "n bigint, code string, price decimal(10,2), at timestamp"
NOON = datetime(2026, 11, 1, 12)
PRODUCTS = dv.dimension("products", key="code", path="products.csv")
Commit = Callable[..., Any]


class Ledger:
    """A LedgerStore in memory, opened."""

    def __init__(self) -> None:
        self.stored = [LedgerRow(0, 0, "open", Range(Position(), Position()), {}, "t")]

    def last(self) -> LedgerRow:
        return self.stored[-1]

    def rows(self, after: int = -1) -> list[LedgerRow]:
        return self.stored[after + 1 :]

    def append(self, row: LedgerRow) -> None:
        self.stored.append(row)


def records(spark: SparkSession, *values: dict[str, Any], minutes: int = 0, begin: int = 0) -> DataFrame:
    at = NOON + timedelta(minutes=minutes)
    rows = [(0, begin + i, at, None, bytearray(json.dumps(v).encode()), None) for i, v in enumerate(values)]
    return spark.createDataFrame(rows, RAW)


@pytest.fixture
def committed(tmp_path: Path, spark: SparkSession) -> Commit:
    """Folds values under a rule and publishes them; gives how many broke it."""
    ledger = Ledger()
    judge: Judge | None = None

    def commit(rule: Any, *values: dict[str, Any], minutes: int = 0) -> int:
        nonlocal judge
        source = dv.source("events", schema=SCHEMA, rules=[rule])
        no_log: Any = None
        judge = judge or Judge(source, ledger, lookups(source, ledger, Layout(tmp_path), no_log, spark))
        view = dv.view("v", source=source, measures={"rows": dv.count()})
        version: Any = SimpleNamespace(
            name="v", version="v@1", decoder=source.as_json(), view=view, keys=(), bucket_seconds=None,
            measures=view.measures, where="views.py:1", placed=False,
        )  # fmt: skip
        begin = ledger.last().to[0]
        rows = decode(records(spark, *values, minutes=minutes, begin=begin), source.as_json())
        span = Range(Position({0: begin}), Position({0: begin + len(values)}))
        done = folded(rows, judge, [version], span)
        row = LedgerRow(
            len(ledger.stored), 0, "commit", span, {}, "t", new_commit_id(), done.books, done.newest, broken=done.broken
        )
        ledger.append(row)
        done.published(row)
        return sum(done.broken.values())

    return commit


def products(folder: Path, *codes: str) -> None:
    Versions(Layout(folder), "products").add(pa.table({"code": [*codes], "name": ["x"] * len(codes)}), key="code")


def test_values_that_the_dimension_lacks_are_counted_by_its_newest_version(committed: Commit, tmp_path: Path) -> None:
    rule = dv.rule.references("code", PRODUCTS)
    values = [{"code": c} for c in ("a", "b", None, "c", "c")]
    assert committed(rule, *values) == 0  # it was never read
    products(tmp_path, "a", "b")
    assert committed(rule, *values) == 2
    products(tmp_path, "a", "c")
    assert committed(rule, *values) == 1


def test_numbers_are_looked_up_by_their_text(committed: Commit, tmp_path: Path) -> None:
    products(tmp_path, "1", "2")
    assert committed(dv.rule.references("n", PRODUCTS), {"n": 1}, {"n": 3}, {"n": 2}) == 1


def test_values_that_came_before_are_counted_within_the_horizon(committed: Commit) -> None:
    rule = dv.rule.unique("n", "code", within="10 minutes")
    one, other, none = {"n": 1, "code": "a"}, {"n": 1, "code": "b"}, {"n": 1}
    assert committed(rule, one, other, one, none, none) == 1
    assert committed(rule, one, minutes=10) == 1
    assert committed(rule, one, minutes=20) == 1  # of the one ten minutes before, though that one was none the first
    assert committed(rule, one, other, minutes=31) == 0


@pytest.mark.parametrize(
    ("rule", "values", "record"),
    [
        (dv.rule.references("code", PRODUCTS, otherwise="fail"), ["a", "z", "y"], r"record 0@1 \(and 1 more"),
        (dv.rule.unique("code", otherwise="fail"), ["a", "b", "a"], "record 0@2 breaks the rule"),
    ],
)
def test_a_rule_that_says_fail_names_the_record(
    committed: Commit, tmp_path: Path, rule: Any, values: list[str], record: str
) -> None:
    products(tmp_path, "a", "b")
    with pytest.raises(RuleBroken, match=record) as told:
        committed(rule, *({"code": v} for v in values))
    assert "otherwise='warn'" in told.value.next


def test_an_id_is_every_digit_of_its_columns_and_none_where_one_is_null(spark: SparkSession) -> None:
    source = dv.source("events", schema=SCHEMA, event_id=["n", "code", "price", "at"])
    at = "2026-11-01T12:00:00.000001Z"
    same = {"n": 2**62, "code": 'a",', "price": 1.5, "at": at}
    values = [
        same, same | {"price": 1.50}, same | {"at": "2026-11-01T14:00:00.000001+02:00"},  # said in other words
        same | {"at": "2026-11-01T12:00:00.000002Z"}, same | {"n": 2**62 + 1}, same | {"code": 'a","'},
        {k: v for k, v in same.items() if k != "code"},
    ]  # fmt: skip
    rows = decode(records(spark, *values), source.as_json())
    assert [r["_reason"] for r in rows.select("_reason").collect()] == [None] * 6 + ["no code"]
    entries = candidates(rows, source.event_id).entries
    ids = [*zip(entries.high.tolist(), entries.low.tolist(), strict=True)]
    assert len(ids) == 6
    assert len(set(ids)) == 4
    assert ids[0] == ids[1] == ids[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_id": "m"}, "event_id: unknown column 'm'"),
        ({"event_id": ["n", "n"]}, "event_id names a column twice"),
        ({"event_id": "tags"}, "column tags is of type array<string>: it takes simple types"),
        ({"event_id": "n", "dedup_horizon": "soon"}, "dedup_horizon='soon' is not a length of time"),
        ({"event_id": "n", "dedup_horizon": "0 s"}, "dedup_horizon='0 s' is not a length of time"),
        ({"rules": [dv.rule.unique("tags")]}, "column tags is of type array<string>: it takes simple types"),
        ({"rules": [dv.rule.unique("m")]}, "unknown column 'm'"),
    ],
)
def test_what_cannot_name_an_event_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        dv.source("events", schema="n bigint, tags array<string>", **arguments)
