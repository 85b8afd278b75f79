"""What the tables that answer for a view hold: its runs, and the commits of speed above its cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.shared.fold import BUCKET, ROWS
from dovetail.shared.ledger import LedgerRow, visible
from dovetail.shared.manifest import ORIGIN, Manifest
from dovetail.shared.measures.base import State
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import Bundle

OWNER = "_owner"
"""Of a stored row, the run or the commit whose table holds it, by its id."""


def stored(
    layout: Layout, manifest: Manifest, rows: Sequence[LedgerRow], bundle: Bundle, spark: SparkSession
) -> DataFrame:
    """The rows of every table that answers for the view, with OWNER."""
    columns = [*group_columns(bundle), *(s.column for s in states_of(bundle)), ROWS]
    commits = visible(manifest.live, rows, after=manifest.seq)
    states = _rows(layout.states(manifest.live), spark)
    named = states.where(F.col("_commit_id").isin(*commits) if commits else F.lit(False))
    parts = [named.select(*columns, F.col("_commit_id").alias(OWNER))]
    for run in manifest.runs:
        if run.id != ORIGIN and run.state_rows:
            table = _rows(layout.run(run.version, run.id), spark)
            parts.append(table.select(*columns, F.lit(run.id).alias(OWNER)))
    return reduce(DataFrame.unionByName, parts)


def _rows(path: Path, spark: SparkSession) -> DataFrame:
    """The rows of a table, of which only delta-rs reads the log: Spark takes seconds for each."""
    from pyspark.sql.pandas.types import from_arrow_schema

    table = AppendTable.existing(path)
    schema, files = from_arrow_schema(table.schema), table.paths
    return spark.read.schema(schema).parquet(*files) if files else spark.createDataFrame([], schema)


def merged(states: DataFrame, bundle: Bundle, by: Sequence[str] | None = None) -> DataFrame:
    """The states of each group as one; groups by fewer columns than they are stored by, where given."""
    merges = [F.expr(s.kind.merge_in_spark(f"`{s.column}`")).alias(s.column) for s in states_of(bundle)]
    return (
        states.groupBy(*(group_columns(bundle) if by is None else by))
        .agg(*merges, F.sum(ROWS).alias(ROWS))
        .where(f"{ROWS} > 0")
    )


def group_columns(bundle: Bundle) -> list[str]:
    """The columns that stored rows are grouped by."""
    return [*bundle.keys, *([BUCKET] if bundle.bucket_seconds else [])]


def states_of(bundle: Bundle) -> list[State]:
    """The states that a view stores, each once."""
    return list({s.column: s for m in bundle.measures.values() for s in m.states}.values())
