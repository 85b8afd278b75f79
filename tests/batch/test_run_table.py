"""The table of a run, written by this process or by the engine: the same rows, and errors that say whose they are."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from dovetail.batch import run_table
from dovetail.batch.run_table import ENGINE_ROWS, SORTED_ROWS
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.failing import said

pytestmark = pytest.mark.java

FEW, MANY, VERY_MANY = ENGINE_ROWS, ENGINE_ROWS + 1, SORTED_ROWS + 1


def states(spark: SparkSession, n: int = 1000) -> DataFrame:
    rows = spark.range(n).selectExpr("7919 * id % 1000 as key", "id", "uuid() as text")
    return rows.groupBy("key").agg({"id": "sum", "text": "max"}).toDF("key", "n", "text")


@contextmanager
def a_full_disk(spark: SparkSession) -> Iterator[None]:
    """The engine may write no file of more than 20,000 bytes."""
    engine = psutil.Process(spark.sparkContext._gateway.proc.pid)
    before = engine.rlimit(resource.RLIMIT_FSIZE)
    engine.rlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        engine.rlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("expected", [FEW, MANY, VERY_MANY])
def test_all_rows_are_in_the_table_and_counted(spark: SparkSession, tmp_path: Path, expected: int) -> None:
    rows = states(spark).drop("text")
    assert run_table.write(rows, ["key"], tmp_path / "run", expected=expected) == 1000
    written = DeltaTable(str(tmp_path / "run"))
    assert written.to_pyarrow_table().sort_by("key") == rows.toArrow().sort_by("key")
    in_order = all(keys == sorted(keys) for keys in (pq.read_table(f)["key"].to_pylist() for f in written.file_uris()))
    assert in_order is (expected == VERY_MANY)


def test_whoever_writes_them_values_of_all_types_are_the_same_and_so_are_their_types(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = spark.range(3).selectExpr(
        "id as key", "timestamp '1969-07-20T20:17:40.123456Z' as _bucket", "date '1582-10-04' as day",
        "timestamp_ntz '2026-03-29T02:30:00' as local", "cast(id + 0.5 as decimal(38,2)) as exact",
        "cast('NaN' as double) as n", "cast(id as smallint) as small", "X'00FF' as sketch",
        "if(id = 1, null, 'é') as text", "array(struct(id as value, cast(null as decimal(10,3)) as weight)) as most",
        "map('a', id) as counts",
    )  # fmt: skip
    few, many = tmp_path / "few", tmp_path / "many"
    assert run_table.write(rows, ["key"], few, expected=FEW) == run_table.write(rows, ["key"], many, expected=MANY) == 3
    by_us, by_engine = DeltaTable(str(few)), DeltaTable(str(many))
    types = [[(f.name, f.type) for f in table.schema().fields] for table in (by_us, by_engine)]
    assert types[0] == types[1]
    found = [repr(table.to_pyarrow_table().sort_by("key").to_pylist()) for table in (by_us, by_engine)]
    assert found[0] == found[1]
    assert by_us.metadata().configuration == by_engine.metadata().configuration
    assert sorted(path.name for path in many.iterdir() if path.suffix not in (".parquet", ".crc")) == ["_delta_log"]


def test_rows_that_are_too_large_for_the_driver_are_written_by_the_engine(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: DataFrame) -> None:
        raise RuntimeError("Total size of serialized results is bigger than spark.driver.maxResultSize")

    monkeypatch.setattr(run_table, "arrow", refused)
    assert run_table.write(states(spark), ["key"], tmp_path / "run", expected=FEW) == 1000


@pytest.mark.parametrize("expected", [FEW, MANY, VERY_MANY])
@pytest.mark.parametrize(
    ("n", "condition"),
    [
        ("1 div (id - 3)", "DIVIDE_BY_ZERO"),
        ("cast(if(id = 3, 'No space left on device', '1') as int)", "CAST_INVALID_INPUT"),  # as a full disk says
    ],
)
def test_what_the_data_raises_where_it_is_written_is_said_and_nothing_is_left(
    spark: SparkSession, tmp_path: Path, expected: int, n: str, condition: str
) -> None:
    rows = spark.range(10).selectExpr("id as key", f"{n} as n")  # no shuffle: it is the writing that raises
    with pytest.raises(PySparkException) as raised:
        run_table.write(rows, ["key"], tmp_path / "run", expected=expected)
    assert said(raised.value) == condition
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_not_taken_for_the_datas_fault(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(100_000).selectExpr("id as key", "uuid() as text")
    with a_full_disk(spark), pytest.raises(ServiceMissing, match="a table cannot be written") as raised:
        run_table.write(rows, ["key"], tmp_path / "run", expected=MANY)
    assert (raised.value.where, raised.value.why) == (str(tmp_path / "run"), "File too large")
    assert not (tmp_path / "run").exists()
    assert run_table.write(rows, ["key"], tmp_path / "run", expected=MANY) == 100_000
