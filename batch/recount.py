"""Truth by another engine than the one that computed: Spark decodes and transforms, DuckDB groups and adds up.

A transform is PySpark, so Spark runs it; what it makes goes into scratch files, and DuckDB folds these. Only states
that both engines fold exactly alike, over types that both compare alike: for any other view the fold is Spark's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from dovetail.batch.held import group_columns, states_of
from dovetail.shared.fold import ROWS, fold, grouping, user_code
from dovetail.shared.measures.base import State, StateKind
from dovetail.shared.measures.numeric import Count, Max, Min, Sum
from dovetail.shared.versions import Bundle

COUNTED = "CAST(coalesce(sum({0}), 0) AS BIGINT)"
SQL: dict[type[StateKind], str] = {Count: COUNTED, Sum: "sum({0})", Min: "min({0})", Max: "max({0})"}
"""By kind of state how DuckDB folds its input."""
KEYS = (T.IntegralType, T.DecimalType, T.StringType, T.BooleanType, T.DateType, T.TimestampType, T.TimestampNTZType)
"""Types that both engines group alike: of doubles, zero and minus zero are one group for one of them alone."""
VALUES = (*KEYS, T.FractionalType, T.BinaryType)
MEMORY = "2GB"
"""What does not fit goes to disk: Spark runs beside it."""


@contextmanager
def truth(good: DataFrame, bundle: Bundle, scratch: Path, *, chosen: str) -> Iterator[tuple[DataFrame, str]]:
    """What decoded records come to, columns as of `fold`, without empty groups; and the engine that folded them.

    Args:
        chosen: SQL on the columns of groups: those that are looked at.
    """
    folded = fold(good, bundle).where(f"{ROWS} > 0")  # without keys there is a group of no rows
    if not _both_fold(folded, bundle):
        yield folded.where(chosen), "Spark"
        return
    try:
        rows, groups = scratch / "rows", scratch / "groups.parquet"
        inputs = _inputs(good, bundle).where(chosen)
        inputs.selectExpr(*(_written(f) for f in inputs.schema)).write.parquet(str(rows))
        _grouped(rows, groups, inputs.schema, bundle)
        found = good.sparkSession.read.parquet(str(groups)).where(f"{ROWS} > 0")
        yield found.selectExpr(*(_read(f) for f in folded.schema)), "DuckDB"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _both_fold(folded: DataFrame, bundle: Bundle) -> bool:
    types = {f.name: f.dataType for f in folded.schema}
    return (
        all(type(s.kind) in SQL for s in states_of(bundle))
        and all(isinstance(types[g], KEYS) for g in group_columns(bundle))
        and all(isinstance(types[s.column], VALUES) for s in states_of(bundle))
        and all(kind == T.StringType() for kind in types.values() if isinstance(kind, T.StringType))  # else collated
    )


def _inputs(good: DataFrame, bundle: Bundle) -> DataFrame:
    """A row for each that the transform makes: what it is grouped by, and what each state takes of it."""
    with user_code(bundle):
        return bundle.view(good).selectExpr(
            *grouping(bundle), *(f"{_input(s)} as `{s.column}`" for s in states_of(bundle))
        )


def _input(state: State) -> str:
    if isinstance(state.kind, Count):
        return f"CASE WHEN {state.where} THEN 1 ELSE 0 END" if state.where else "1"
    return state.taken


def _written(field: T.StructField) -> str:
    """SQL of a column as it is put into files: there Spark's timestamps are of a type that others read in many ways."""
    column = f"`{field.name}`"
    return f"unix_micros({column}) as {column}" if isinstance(field.dataType, T.TimestampType) else column


def _read(field: T.StructField) -> str:
    column = f"`{field.name}`"
    value = f"timestamp_micros({column})" if isinstance(field.dataType, T.TimestampType) else column
    return f"cast({value} as {field.dataType.simpleString()}) as {column}"


def _grouped(rows: Path, to: Path, schema: T.StructType, bundle: Bundle) -> None:
    kinds = {f.name: f.dataType for f in schema}

    def folded(state: State) -> str:
        sql = SQL[type(state.kind)].format(quoted(state.column))
        whole = isinstance(state.kind, Sum) and isinstance(kinds[state.column], T.IntegralType)
        return f"{f'CAST({sql} AS BIGINT)' if whole else sql} AS {quoted(state.column)}"

    columns = [*map(quoted, group_columns(bundle)), *map(folded, states_of(bundle)), f"count(*) AS {ROWS}"]
    with duckdb.connect() as engine:
        engine.execute("SET memory_limit = ?", [MEMORY])
        engine.execute("SET temp_directory = ?", [str(to.with_suffix(".tmp"))])
        made = engine.read_parquet(str(rows / "*.parquet"))
        made.aggregate(", ".join(columns), ", ".join(map(quoted, group_columns(bundle)))).write_parquet(str(to))


def quoted(name: str) -> str:
    """A name of a column as DuckDB reads it."""
    return '"' + name.replace('"', '""') + '"'
