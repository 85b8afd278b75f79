"""Whom a source has forgotten is known by keyed hashes that its ledger names, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from dovetail.shared import commit, forgotten
from dovetail.shared.decode import FORGOTTEN, IS_BLANK, RAW, REASON, decode, parsed
from dovetail.shared.engine import arrow
from dovetail.shared.errors import IntegrityError
from dovetail.shared.forgotten import ForgetList, Forgotten, hash_sql, hashed
from dovetail.shared.ledger import Books, CommitId, LedgerRow
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.position import Position
from dovetail.shared.tables import Layout

SOURCE = "orders"
SECRET = bytes(range(32))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    commit.open_source(DeltaLedger(layout.ledger(SOURCE)), topic_id="t", origin=Position({0: 0}))
    return layout


def forget(layout: Layout, *values: str) -> LedgerRow:
    def write(commit_id: CommitId, seq: int) -> None:
        forgotten.write(layout, SOURCE, "customer", values, commit_id, seq)

    return commit.forget(DeltaLedger(layout.ledger(SOURCE)), write, note="by a test")


def test_a_row_of_the_ledger_puts_who_it_names_on_the_list(layout: Layout) -> None:
    known = ForgetList(layout, SOURCE, DeltaLedger(layout.ledger(SOURCE)))
    assert known.now() is None
    row = forget(layout, "alice", "bob")
    found = known.now()
    assert (row.kind, row.range.empty, found is not None) == ("forget", True, True)
    assert found is not None
    assert [found.holds("customer", name) for name in ("alice", "bob", "carol")] == [True, True, False]
    assert not found.holds("seller", "alice")


def test_who_was_written_for_a_row_that_was_never_appended_is_not_on_it(layout: Layout) -> None:
    forgotten.write(layout, SOURCE, "customer", ["carol"], CommitId("0" * 32), 1)
    forget(layout, "alice")
    found = ForgetList.of(layout, SOURCE)
    assert found is not None
    assert (found.holds("customer", "alice"), found.holds("customer", "carol")) == (True, False)


def test_no_file_holds_an_id_and_only_the_owner_reads_the_key(layout: Layout) -> None:
    forget(layout, "alice-of-wonderland")
    files = [f for f in layout.root.rglob("*") if f.is_file()]
    assert not [f for f in files if b"alice-of-wonderland" in f.read_bytes()]
    assert (layout.root / "forget.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("gone", ["forget.key", "sources/orders/forgotten"])
def test_without_its_key_or_its_table_nothing_is_read(layout: Layout, gone: str) -> None:
    forget(layout, "alice")
    (layout.root / gone).rename(layout.root / "elsewhere")
    with pytest.raises(IntegrityError, match="forgotten"):
        ForgetList.of(layout, SOURCE)


class _Nothing:
    """A CommitStore that is never asked for anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_a_commit_that_loses_to_the_row_folds_again_with_the_new_list(layout: Layout) -> None:
    ledger = DeltaLedger(layout.ledger(SOURCE))
    epoch, known, seen = commit.open_epoch(ledger), ForgetList(layout, SOURCE, ledger), list[bool]()

    def fold(*_: Any) -> commit.Folded:
        found = known.now()
        seen.append(bool(found and found.holds("customer", "alice")))
        if len(seen) == 1:
            forget(layout, "alice")  # by another process, while this one folds
        return commit.Folded({}, Books())

    row = commit.commit(ledger, _Nothing(), epoch=epoch, to=Position({0: 5}), fold=fold)
    assert (seen, row.seq) == ([False, True], 3)


DECODER = {"format": "json", "schema": {"customer": "string", "n": "bigint"}, "event_time": None}


@pytest.mark.java
def test_records_of_who_is_forgotten_are_blanked_and_every_decoder_knows_them(spark: SparkSession) -> None:
    names = ["alice", "bob", None, "élan 'x'\\"]
    values = [json.dumps({"customer": name, "n": n}).encode() for n, name in enumerate(names)]
    records = spark.createDataFrame([(0, n, None, b"key", value, [("h", b"1")]) for n, value in enumerate(values)], RAW)
    known = Forgotten(SECRET, {"customer": frozenset(hashed(n, SECRET) for n in ("alice", "élan 'x'\\"))})
    rows = known.blanked(decode(records, DECODER))
    assert rows.columns == decode(records, DECODER).columns
    found = arrow(rows.orderBy("_offset")).to_pylist()
    assert [r[REASON] for r in found] == [FORGOTTEN, None, None, FORGOTTEN]
    assert [(r["customer"], r["n"], r["_key"], r["_value"]) for r in found if r[REASON]] == [(None,) * 4] * 2
    again = decode(known.blanked_bytes(records, DECODER), {**DECODER, "schema": {"other": "string"}})
    assert [r[REASON] for r in arrow(again.orderBy("_offset")).to_pylist()] == [FORGOTTEN, None, None, FORGOTTEN]
    assert arrow(again.where(IS_BLANK)).num_rows == 2


@pytest.mark.java
def test_the_engine_hashes_as_python_does(spark: SparkSession) -> None:
    texts = ["", "a", "1234567890" * 20, "naïve ☃"]
    rows = spark.createDataFrame([(t,) for t in texts], "id string")
    found = arrow(rows.selectExpr("id", f"{hash_sql('id', SECRET)} as hash")).to_pylist()
    assert {r["id"]: r["hash"] for r in found} == {t: hashed(t, SECRET) for t in texts}
    number = arrow(spark.createDataFrame([(42,)], "id bigint").selectExpr(f"{hash_sql('id', SECRET)} as hash"))
    assert number["hash"].to_pylist() == [hashed("42", SECRET)]


@pytest.mark.java
def test_a_column_that_the_schema_has_no_more_is_no_way_round(spark: SparkSession) -> None:
    known = Forgotten(SECRET, {"person": frozenset({"0"})})
    with pytest.raises(IntegrityError, match="the schema has no more"):
        known.blanked(parsed(spark.createDataFrame([], RAW), DECODER))
