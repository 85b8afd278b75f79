"""Folding, in real Spark: any split of the rows, merged, equals the whole; buckets are UTC's."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

import dovetail as dv
from dovetail.shared.engine import arrow, arrow_slices
from dovetail.shared.errors import UserCodeError
from dovetail.shared.fold import BUCKET, ROWS, fold

pytestmark = pytest.mark.java

SCHEMA = "key string, at timestamp, n int, price decimal(10,2), x double"
MEASURES = {
    "rows": dv.count(),
    "some": dv.count(where="n > 1"),
    "total": dv.sum("n * price"),
    "prices": dv.sum("price"),
    "least": dv.min("price"),
    "most": dv.max("n", where="key = 'a'"),
    "mean": dv.avg("price"),  # of the same sum as prices
    "double": dv.max("x"),
}
ROWS_GIVEN = [
    ("a", datetime(2026, 10, 1, 9, 59, 59), 1, Decimal("1.10"), 1.5),
    ("a", datetime(2026, 10, 1, 10), 2, Decimal("2.20"), float("nan")),
    (None, datetime(2026, 10, 1, 10), 3, None, None),
    ("b", datetime(1969, 12, 31, 23, 59), None, Decimal("-5.00"), -0.0),
    ("a", datetime(2026, 10, 1, 9, 0), 4, Decimal("99999999.99"), 2.5),
    ("b", None, 5, Decimal("0.01"), 7.0),
]


def bundle(transform=(), *, keys=("key",), bucket="1h", measures=None):
    source = dv.source("events", schema=SCHEMA, event_time="at")
    view = dv.view("v", source=source, transform=transform, keys=keys, bucket=bucket, measures=measures or MEASURES)
    seconds = 3600 if bucket else None
    return SimpleNamespace(
        name="v", view=view, keys=tuple(keys), bucket_seconds=seconds, measures=view.measures, where="views.py:1"
    )


def merged(pieces: list[pa.Table], states, keys) -> list[dict]:
    """The pieces merged by each state's Python merge: a second way, next to Spark's and DuckDB's."""
    groups: dict[tuple, list[dict]] = {}
    for row in (r for piece in pieces for r in piece.to_pylist()):
        groups.setdefault(tuple(row[k] for k in keys), []).append(row)
    return [
        dict(zip(keys, key, strict=True))
        | {s.column: s.kind.merge_values([r[s.column] for r in rows]) for s in states}
        | {ROWS: sum(r[ROWS] for r in rows)}
        for key, rows in groups.items()
    ]


def in_order(rows):
    return sorted(repr(sorted(r.items())) for r in rows)


@pytest.mark.parametrize("cut", range(len(ROWS_GIVEN) + 1))
def test_split_anywhere_and_merged_equals_the_whole(spark, cut):
    b = bundle()
    states = [s for m in b.measures.values() for s in m.states]
    keys = [*b.keys, BUCKET]
    whole, *pieces = (
        arrow(fold(spark.createDataFrame(rows, SCHEMA), b)) for rows in (ROWS_GIVEN, ROWS_GIVEN[:cut], ROWS_GIVEN[cut:])
    )
    assert in_order(merged(pieces, states, keys)) == in_order(merged([whole], states, keys))


def test_buckets_begin_on_the_hour_in_utc_also_before_1970_and_a_missing_time_has_its_own(spark):
    folded = arrow(fold(spark.createDataFrame(ROWS_GIVEN, SCHEMA), bundle()))
    assert {row[BUCKET] for row in folded.to_pylist()} == {
        datetime(2026, 10, 1, 9, tzinfo=UTC),
        datetime(2026, 10, 1, 10, tzinfo=UTC),
        datetime(1969, 12, 31, 23, tzinfo=UTC),
        None,
    }


def test_null_is_a_key_like_any_other_and_no_keys_make_one_group(spark):
    rows = spark.createDataFrame(ROWS_GIVEN, SCHEMA)
    keyed = arrow(fold(rows, bundle(bucket=None))).to_pylist()
    assert {row["key"]: row[ROWS] for row in keyed} == {"a": 3, "b": 2, None: 1}
    assert arrow(fold(rows, bundle(keys=(), bucket=None))).to_pylist()[0][ROWS] == len(ROWS_GIVEN)


def test_decimal_states_have_all_38_digits(spark):
    b = bundle()
    schema = arrow(fold(spark.createDataFrame(ROWS_GIVEN, SCHEMA), b)).schema
    assert schema.field(b.measures["total"].states[0].column).type == pa.decimal128(38, 2)


def test_a_time_that_the_transform_makes_is_the_buckets_time(spark):
    def an_hour_later(rows: DataFrame) -> DataFrame:
        return rows.withColumn("at", F.col("at") + F.expr("INTERVAL 1 HOUR"))

    folded = arrow(fold(spark.createDataFrame(ROWS_GIVEN[:1], SCHEMA), bundle([an_hour_later])))
    assert folded[BUCKET].to_pylist() == [datetime(2026, 10, 1, 10, tzinfo=UTC)]


@pytest.mark.parametrize("changes", [{"keys": ("kye",)}, {"measures": {"m": dv.sum("prise")}}], ids=["key", "measure"])
def test_a_column_that_is_not_there_is_told_with_the_views_line(spark, changes):
    with pytest.raises(UserCodeError, match="does not fit") as caught:
        fold(spark.createDataFrame(ROWS_GIVEN, SCHEMA), bundle(**changes))
    assert caught.value.where == "views.py:1"


def test_a_transform_that_raises_keeps_the_users_traceback(spark):
    def broken(rows: DataFrame) -> DataFrame:
        raise ValueError("mine")

    with pytest.raises(UserCodeError, match="mine") as caught:
        fold(spark.createDataFrame(ROWS_GIVEN, SCHEMA), bundle([broken]))
    assert isinstance(caught.value.__cause__, ValueError)


def test_states_too_large_for_the_driver_come_in_slices_without_loss(spark, monkeypatch):
    from dovetail.shared import engine

    rows = spark.range(1000).selectExpr("concat('k', id) AS key", "id AS n")
    real, asked = engine.arrow, []

    def limited(frame):
        asked.append(frame)
        table = real(frame)
        if table.num_rows > 200:
            raise RuntimeError("Total size of serialized results is bigger than spark.driver.maxResultSize")
        return table

    monkeypatch.setattr(engine, "arrow", limited)
    slices = list(arrow_slices(rows, ["key"]))
    assert len(slices) == engine.SLICES
    numbers = reduce(list.__add__, (s["n"].to_pylist() for s in slices))
    assert sorted(numbers) == list(range(1000))


def without_place(events: DataFrame) -> DataFrame:
    return events.select("key", "at", "n")


@pytest.mark.parametrize(
    ("measures", "transform", "says"),
    [
        ({"x": dv.sum("key")}, (), "measure x of v: sum of 'key': string is not a number"),
        ({"x": dv.stddev("at")}, (), "stddev of 'at': timestamp is not a number"),
        ({"x": dv.approx_quantiles("key")}, (), "approx_quantiles of 'key': string is not a number"),
        ({"x": dv.first("n")}, (without_place,), "first needs each row's position: keep _partition and _offset"),
    ],
)
def test_what_sql_would_accept_and_a_measure_cannot_be_of_is_refused(spark, measures, transform, says):
    placed = [(*row, 0, n) for n, row in enumerate(ROWS_GIVEN)]
    rows = spark.createDataFrame(placed, f"{SCHEMA}, _partition int, _offset bigint")
    with pytest.raises(UserCodeError) as refused:
        fold(rows, bundle(transform, measures=measures, bucket=None))
    assert says in str(refused.value)
