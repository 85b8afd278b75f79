"""For a project's own tests: the laws that every measure has to keep, and nasty rows to try them on."""

from __future__ import annotations

import datetime as dt
import functools
import io
import math
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dovetail.shared import ddl
from dovetail.shared.measures import GatheredKind, Measure, State

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from hypothesis.strategies import SearchStrategy
    from pyspark.sql import SparkSession

Row = Mapping[str, Any]
SPLITS, PARTS = 5, 4


def check_measure(
    measure: Measure,
    rows: Sequence[Row],
    *,
    schema: str,
    spark: SparkSession,
    expect: Callable[[Sequence[Row]], Any] | None = None,
    within: Callable[[Any, Any], bool] | None = None,
    seed: int = 0,
) -> Any:
    """Holds a measure to its laws on `rows` and gives its answer for all of them.

    The rows are split into parts in several ways, each part is prepared by Spark, and the states are merged by Spark,
    by DuckDB and in Python, in several orders, with the state of no rows among them, and after a way through Parquet.
    Each merge has to equal the state of all rows at once, as nearly as the kind of state promises.

    Args:
        schema: the rows' columns as Spark DDL.
        expect: the truth, from the rows in plain Python.
        within: how near the answer has to come to it: gets both; equal, doubles within 1e-9 relative, where not given.

    Raises:
        AssertionError: which law does not hold, and the states or answers that differ.
    """
    whole, splits = _prepared(measure, rows, schema, spark, seed)
    by_spark = _in_spark(measure, splits, spark)
    for state, true in zip(measure.states, whole, strict=True):
        _check("merged by Spark", state, by_spark[state.column].combine_chunks(), true, spark)
        for law, merge in _MERGES.items():
            merged = [merge(state, parts[state.column]) for parts in splits]
            _check(law, state, _concatenated(merged), true, spark)
    answer = presented(measure, whole)
    if expect is not None:
        truth = expect(rows)
        assert (within or same)(answer, truth), f"{measure.name} answers {answer!r}, the truth is {truth!r}"
    return answer


def answer(measure: Measure, rows: Sequence[Row], *, schema: str, spark: SparkSession) -> Any:
    """What a measure answers for all of `rows`, as a Python value; `schema` is their columns as Spark DDL."""
    whole, _ = _prepared(measure, rows, schema, spark, 0, splits=0)
    return presented(measure, whole)


def presented(measure: Measure, states: Sequence[pa.Array]) -> Any:
    """The answer from one merged state per state of the measure, each an array of one, as a Python value."""
    return measure.presenter.present(*(_neutral(s, a) for s, a in zip(measure.states, states, strict=True)))[0].as_py()


def rows(schema: str, *, max_size: int = 30) -> SearchStrategy[list[dict[str, Any]]]:
    """A Hypothesis strategy for rows of a Spark DDL schema, rich in nulls, repeats, extremes and odd text."""
    from hypothesis import strategies as st

    columns = {name: st.none() | _values(kind) for name, kind in ddl.columns(schema, where="").items()}
    return st.lists(st.fixed_dictionaries(columns), max_size=max_size)


def same(answer: Any, truth: Any) -> bool:
    """Equal; doubles within 1e-9 relative, NaN like NaN, also inside lists and structs."""
    if isinstance(answer, float) and isinstance(truth, float):
        both_nan = math.isnan(answer) and math.isnan(truth)
        return both_nan or answer == truth or math.isclose(answer, truth, rel_tol=1e-9)
    if isinstance(answer, Mapping) and isinstance(truth, Mapping):
        return answer.keys() == truth.keys() and all(same(answer[k], truth[k]) for k in answer)
    if isinstance(answer, list) and isinstance(truth, list):
        return len(answer) == len(truth) and all(map(same, answer, truth))
    return bool(answer == truth)


def _prepared(
    measure: Measure, rows: Sequence[Row], schema: str, spark: SparkSession, seed: int, *, splits: int = SPLITS
) -> tuple[list[pa.Array], list[dict[str, pa.Array]]]:
    """The states of all rows, and for each split those of its parts and of no rows."""
    from pyspark.sql import functions as F

    shuffled = random.Random(seed)  # noqa: S311  a split is no secret
    placed = [
        (*(row.get(c) for c in ddl.columns(schema, where="")), i % 3, i, split, part)
        for split in range(splits + 1)
        for i, row in enumerate(rows)
        for part in [shuffled.randrange(PARTS) if split else 0]
    ]
    frame = spark.createDataFrame(placed, f"{schema}, _partition int, _offset bigint, _split int, _part int")
    states = {s.column: s for s in measure.states}
    prepared = [F.expr(s.prepared).alias(column) for column, s in states.items()]
    none = frame.where("false").agg(*prepared).toArrow()
    by_part = frame.groupBy("_split", "_part").agg(*prepared).toArrow().to_pylist()
    whole = [r for r in by_part if r["_split"] == 0] or none.to_pylist()
    typed = {c: none.schema.field(c).type for c in states}
    import pyarrow as pa

    parts = [
        {
            c: pa.array([none[c][0].as_py(), None, *(r[c] for r in by_part if r["_split"] == split)], typed[c])
            for c in states
        }
        for split in range(1, splits + 1)
    ]
    return [pa.array([whole[0][s.column]], typed[s.column]) for s in measure.states], parts


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """One for all merges: to make one takes longer than a merge."""
    import duckdb

    return duckdb.connect()


def in_duckdb(state: State, parts: pa.Array) -> pa.Array:
    """The merge of states as serving does it."""
    import pyarrow as pa

    with _database().cursor() as connection:
        connection.register("parts", pa.table({"state": parts}))
        kind = state.kind
        merge = kind.merge("state") if kind.exact(parts.type) else kind.merge_in_order("state")
        merged = connection.sql(f"SELECT {merge} AS state FROM parts").to_arrow_table()["state"].combine_chunks()  # noqa: S608
    merged = kind.collected(merged) if isinstance(kind, GatheredKind) else merged
    return merged.cast(parts.type)


def _in_steps(state: State, parts: pa.Array) -> pa.Array:
    merged = parts.slice(0, 0)
    for part in range(len(parts)):
        merged = in_duckdb(state, _concatenated([merged, parts.slice(part, 1)]))
    return merged


def _in_spark(measure: Measure, splits: Sequence[Mapping[str, pa.Array]], spark: SparkSession) -> pa.Table:
    import pyarrow as pa
    from pyspark.sql import functions as F

    states = {s.column: s for s in measure.states}
    split = [n for n, parts in enumerate(splits) for _ in next(iter(parts.values()))]
    columns = {column: _concatenated([parts[column] for parts in splits]) for column in states}
    merges = [F.expr(s.kind.merge_in_spark(column)).alias(column) for column, s in states.items()]
    return spark.createDataFrame(pa.table({"_split": split, **columns})).groupBy("_split").agg(*merges).toArrow()


def _in_python(state: State, parts: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.array([state.kind.merge_values(parts.to_pylist())], parts.type)


def _stored(parts: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"state": parts}), file)
    return pq.read_table(file)["state"].combine_chunks()


def _concatenated(arrays: Sequence[pa.Array]) -> pa.Array:
    import pyarrow as pa

    return pa.concat_arrays([*arrays])


_MERGES: dict[str, Callable[[State, pa.Array], pa.Array]] = {
    "merged by DuckDB": in_duckdb,
    "merged by DuckDB in reverse": lambda state, parts: in_duckdb(state, parts[::-1]),
    "merged by DuckDB one after another": _in_steps,
    "merged in Python": _in_python,
    "merged in Python in reverse": lambda state, parts: _in_python(state, parts[::-1]),
    "merged after a way through Parquet": lambda state, parts: in_duckdb(state, _stored(parts)),
}


def _check(law: str, state: State, found: pa.Array, true: pa.Array, spark: SparkSession) -> None:
    import pyarrow as pa

    neutral = state.kind.merge_values(())
    one, other = ([neutral if v is None else v for v in a.to_pylist()] for a in (found, true))
    if all(v == other[0] for v in one):
        return
    frame = spark.createDataFrame(
        pa.table({"one": pa.array(one, true.type), "other": pa.array(other * len(one), true.type)})
    )
    agree = frame.selectExpr(f"{state.kind.agree('one', 'other')} AS agree").toArrow()["agree"].to_pylist()
    for value, agrees in zip(one, agree, strict=True):
        assert agrees, f"{state.column} {law} is {value!r}, of all rows at once {other[0]!r}"


def _neutral(state: State, merged: pa.Array) -> pa.Array:
    empty = state.kind.merge_values(())
    return merged.fill_null(empty) if isinstance(empty, int) else merged


def _values(kind: str) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    kind = kind.lower()
    if kind.startswith("decimal"):
        precision, scale = (int(n) for n in kind[8:-1].split(","))
        most = Decimal(10) ** (precision - scale) - Decimal(1).scaleb(-scale)
        return st.decimals(-most, most, places=scale)
    widths = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 40}  # sums of 64 bits overflow, and are refused
    if kind in widths:
        return st.integers(-(2 ** (widths[kind] - 1)), 2 ** (widths[kind] - 1) - 1) | st.integers(0, 3)
    moment = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))
    return {
        "boolean": st.booleans(),
        "double": st.floats(-1e12, 1e12) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.5]),
        "string": st.text(max_size=4) | st.sampled_from(["", " ", "a", "A", "é", "e\u0301", "NaN", "null"]),
        "date": st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1)),
        "timestamp": moment.map(lambda m: m.replace(tzinfo=dt.UTC)),
    }[kind]
