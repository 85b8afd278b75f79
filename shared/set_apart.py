"""What was set apart of the records that were read: no layer counts a repeat, what was put right, what raises.

The commits say so, and for records of before a version was in force the runs of that version: a run that finds some
writes them down under its id, and the manifest, which names the run, says how many they are. Every later run of the
version that covers them leaves out the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared import supersede
from dovetail.shared.decode import POSITION
from dovetail.shared.fold import places, without
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.manifest import Run
from dovetail.shared.position import RecordId
from dovetail.shared.repeats import recorded
from dovetail.shared.states import FAILING, failed_in
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
    runs: Iterable[Run] = (),
) -> DataFrame:
    """Those of the records of `commits` that a version counts, if it can read them and no rule takes them out.

    Args:
        records: with the columns of POSITION.
        ledger: from `commits` on to its end: what was put right stands above what it names.
        runs: of the version, whose manifest names them.
    """
    spark, commits = records.sparkSession, [*commits]
    found = without(recorded(layout, source, commits, spark), records)
    found = without(supersede.frame(layout, source, ledger, spark), found)
    failed = failed_in(layout, runs)
    found = without(spark.createDataFrame(places(failed)) if failed.num_rows else None, found)
    return without(_failing(layout, source, version, commits, spark), found)


def why_raising(
    layout: Layout, source: str, version: VersionId, row: LedgerRow | None, record: RecordId, runs: Iterable[Run] = ()
) -> str:
    """Why the commit of `row`, or one of `runs`, has set the record apart for a version; nothing where none has.

    Without `row` for an imported record, which no commit has read.
    """
    here = (pc.field("partition") == record.partition) & (pc.field("offset") == record.offset)
    reasons = failed_in(layout, runs).filter(here)["reason"].to_pylist()
    if row and row.failing.get(version):
        mine = here & (pc.field("_commit_id") == row.commit_id) & (pc.field("version") == version)
        reasons += AppendTable(layout.failing(source), FAILING).read(mine, ["reason"])["reason"].to_pylist()
    return str(reasons[0]) if reasons else ""


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
