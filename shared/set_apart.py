"""What commits have set apart of the records they read: no layer counts a repeat, what was put right, what raises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds

from dovetail.shared import supersede
from dovetail.shared.decode import POSITION
from dovetail.shared.fold import without
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.position import RecordId
from dovetail.shared.repeats import recorded
from dovetail.shared.states import FAILING
from dovetail.shared.tables import AppendTable, Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def counted(
    records: DataFrame,
    version: VersionId,
    commits: Iterable[LedgerRow],
    *,
    source: str,
    ledger: Sequence[LedgerRow],
    layout: Layout,
) -> DataFrame:
    """Those of the records of `commits` that a version counts, if it can read them and no rule takes them out.

    Args:
        records: with the columns of POSITION.
        ledger: all of it: what was put right stands above what it names.
    """
    spark, commits = records.sparkSession, [*commits]
    found = without(recorded(layout, source, commits, spark), records)
    found = without(supersede.frame(layout, source, ledger, spark), found)
    return without(_failing(layout, source, version, commits, spark), found)


def why_raising(layout: Layout, source: str, version: VersionId, row: LedgerRow, record: RecordId) -> str:
    """Why the commit of `row` has set the record apart for a version; nothing where it has not."""
    if not row.failing.get(version):
        return ""
    mine = {"_commit_id": row.commit_id, "version": version, "partition": record.partition, "offset": record.offset}
    here = reduce(and_, (ds.field(name) == value for name, value in mine.items()))
    found = AppendTable(layout.failing(source), FAILING).read(here, ["reason"])["reason"].to_pylist()
    return str(found[0]) if found else ""


def _failing(
    layout: Layout, source: str, version: VersionId, commits: Iterable[LedgerRow], spark: SparkSession
) -> DataFrame | None:
    """The places, columns of POSITION, that commits set apart for a version; None where there are none."""
    ids = [row.commit_id for row in commits if row.failing.get(version)]
    if not ids:
        return None
    named = spark.createDataFrame(pa.table({"_commit_id": ids, "version": [version] * len(ids)}))
    places = spark.read.format("delta").load(str(layout.failing(source))).join(named, named.columns, "left_semi")
    return places.toDF(*(f"_{c.removeprefix('_')}" for c in places.columns)).select(*POSITION)
