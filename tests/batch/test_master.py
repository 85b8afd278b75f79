"""The master dataset: bytes and decoded columns, ranges, counts by ledger row, claims. Real Spark and Delta."""

from datetime import datetime

import pytest

import dovetail as dv
from dovetail.batch.master import DeltaMaster
from dovetail.shared.decode import RAW, REASON
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout

pytestmark = pytest.mark.java

SOURCE = dv.source("events", schema="n bigint")
WIDER = dv.source("events", schema="n bigint, name string")
OTHER = dv.source("events", schema="n string")


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def append(master, spark, *places, value=b'{"n": 1}'):
    rows = [(p, o, datetime(2026, 11, 1), None, bytearray(value), None) for p, o in places]
    master.append(spark.createDataFrame(rows, RAW), topic_id="t")


def places(frame):
    return sorted((r["_partition"], r["_offset"]) for r in frame.collect())


def test_a_range_gives_just_its_records_decoded(layout, spark):
    master = DeltaMaster(layout, SOURCE, spark)
    append(master, spark, (0, 0), (0, 1), (1, 5), value=b'{"n": 7}')
    append(master, spark, (0, 2), (1, 6), value=b"broken")
    rows = master.rows(Range(Position({0: 1, 1: 0}), Position({0: 3, 1: 6})), SOURCE.as_json())
    assert places(rows) == [(0, 1), (0, 2), (1, 5)]
    assert {(r["_offset"], r["n"], r[REASON] is None) for r in rows.collect()} == {
        (1, 7, True),
        (2, None, False),
        (5, 7, True),
    }


@pytest.mark.parametrize(
    ("newer", "columns"),
    [(WIDER, {"n": 1, "name": "x"}), (OTHER, {"n": "1"})],
    ids=["a new column", "another type"],
)
def test_records_archived_under_another_schema_are_decoded_from_their_bytes(layout, spark, newer, columns):
    value = b'{"n": 1, "name": "x"}'
    append(DeltaMaster(layout, SOURCE, spark), spark, (0, 0), value=value)
    master = DeltaMaster(layout, newer, spark)
    append(master, spark, (0, 1), value=value)
    rows = master.rows(Range(Position(), Position({0: 2})), newer.as_json()).collect()
    assert [{name: r[name] for name in columns} for r in rows] == [columns, columns]


def test_counts_are_by_ledger_row_and_holes_are_no_records(layout, spark):
    master = DeltaMaster(layout, SOURCE, spark)
    append(master, spark, (0, 0), (0, 1), (0, 4), (1, 2))
    ends = [{0: 2, 1: 0}, {0: 2, 1: 3}, {0: 4, 1: 3}, {0: 5, 1: 3}]
    starts = [{0: 0, 1: 0}, *ends]
    rows = [
        LedgerRow(seq, 0, "commit", Range(Position(a), Position(b)), {}, "t")
        for seq, (a, b) in enumerate(zip(starts, ends, strict=False), start=1)
    ]
    assert master.counts(rows) == {1: 2, 2: 1, 4: 1}


def test_what_is_held_beyond_the_claim_is_found_in_the_data(layout, spark):
    master = DeltaMaster(layout, SOURCE, spark)
    assert (master.claim(), master.held()) == (Position(), Position())
    append(master, spark, (0, 0), (0, 1))
    master.write_claim(Position({0: 2, 1: 0}))
    append(master, spark, (0, 2), (1, 9), (2, 0))
    assert DeltaMaster(layout, SOURCE, spark).claim() == Position({0: 2, 1: 0})
    assert DeltaMaster(layout, SOURCE, spark).held() == Position({0: 3, 1: 10, 2: 1})


def test_an_empty_master_can_be_read(layout, spark):
    master = DeltaMaster(layout, SOURCE, spark)
    master.create()
    assert places(master.rows(Range(Position(), Position({0: 9})), SOURCE.as_json())) == []
