"""What a view makes of one record: the groups it counts in, and which layer answers for it there.

The view's live version is run on that record alone; that the groups are there is looked up in the table that answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any, Literal

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch.held import group_columns
from dovetail.shared.decode import REASON, decode, decoded
from dovetail.shared.engine import arrow
from dovetail.shared.fold import BUCKET, ROWS, fold
from dovetail.shared.ledger import LedgerRow, VersionId, covered, until_detached
from dovetail.shared.manifest import Manifest
from dovetail.shared.position import RecordId
from dovetail.shared.set_apart import why_raising
from dovetail.shared.tables import Layout
from dovetail.shared.versions import Bundle, load, short

NO_ROW = "the transform gives no row"
REPEAT = "a repeat counts nowhere"


@dataclass(frozen=True)
class Held:
    """A record with its bytes: one row, columns of META."""

    id: RecordId
    raw: pa.Table
    spark: SparkSession

    def decoded(self, decoder: Mapping[str, Any]) -> tuple[DataFrame, str]:
        """The record as `decode` gives it, and why no view sees it, or nothing."""
        rows = decode(self.spark.createDataFrame(self.raw), decoder)
        return rows, arrow(rows.select(REASON))[REASON][0].as_py() or ""


@dataclass(frozen=True)
class Group:
    """A group that the record counts in, with so many rows. `bucket` is when its bucket begins; None without one."""

    keys: Mapping[str, Any]
    bucket: datetime | None
    rows: int


@dataclass(frozen=True)
class Answered:
    """What one view makes of the record.

    `served_by` answers for it: a batch run, `run`, or speed; `cut` is where one hands over to the other in the record's
    partition. `reason` is why there is no group; `problem` what is wrong with the view, and `next` helps.
    """

    view: str
    version: VersionId | None = None
    groups: tuple[Group, ...] = ()
    served_by: Literal["batch", "speed"] | None = None
    run: str | None = None
    cut: RecordId | None = None
    reason: str = ""
    problem: str = ""
    next: str = ""


def answered(layout: Layout, manifest: Manifest, rows: Sequence[LedgerRow], record: Held, *, out: str = "") -> Answered:
    """What the view of `manifest` makes of a record that one of `rows`, the whole ledger, has read.

    Args:
        out: why no view counts it, or nothing.
    """
    version, place = manifest.live, (record.id.partition, record.id.offset)
    found = Answered(manifest.view, version, cut=RecordId(place[0], manifest.cut[place[0]]))
    answers = until_detached(version, [row for row in rows if row.seq >= manifest.seq])
    if not covered(version, manifest.seq, answers):
        problem = f"nobody answers for it: {short(version)} is not in force for new records"
        return replace(found, problem=problem, next=f"dovetail batch {manifest.view} --full")
    if not answers[-1].to.includes(*place):
        problem = f"its answers end before it, at seq {answers[-1].seq}"
        return replace(found, problem=problem, next=f"dovetail batch {manifest.view}")
    run = next((r for r in manifest.runs if r.range.includes(*place)), None)
    found = replace(found, served_by="batch" if run else "speed", run=run.id if run else None)
    if out:
        return replace(found, reason=out)
    bundle = load(layout.version(version))
    good, reason = record.decoded(bundle.decoder)
    if reason:
        return replace(found, reason=reason)
    commit = next(r for r in rows if r.range.includes(*place))
    if raised := why_raising(layout, bundle.source, version, commit, record.id, manifest.runs):
        return replace(found, reason=raised)
    states = stated(good, bundle)
    found = replace(found, groups=groups_of(states, bundle))
    if not found.groups:
        return replace(found, reason=NO_ROW)
    path = layout.run(version, run.id) if run else layout.states(version)
    held = record.spark.read.format("delta").load(str(path))
    lacking = _lacking(
        states.select(*group_columns(bundle)), held if run else held.where(F.col("_commit_id") == commit.commit_id)
    )
    if not lacking:
        return found
    where = f"batch run {run.id}" if run else f"the commit of speed, {commit.commit_id}"
    return replace(found, problem=f"{where} lacks {lacking} of its groups", next="dovetail prove")


def stated(good: DataFrame, bundle: Bundle) -> DataFrame:
    """The states that a decoded record gives, a row a group."""
    return fold(decoded(good, bundle.decoder, placed=bundle.placed), bundle).where(f"{ROWS} > 0")


def groups_of(states: DataFrame, bundle: Bundle) -> tuple[Group, ...]:
    """The groups that these states are of."""
    return tuple(_group(row) for row in arrow(states.select(*group_columns(bundle), ROWS)).to_pylist())


def _group(row: dict[str, Any]) -> Group:
    rows, bucket = row.pop(ROWS), row.pop(BUCKET, None)
    return Group(row, bucket, rows)


def _lacking(groups: DataFrame, held: DataFrame) -> int:
    """How many of these groups a table does not hold."""
    theirs = held.select(*(F.col(c).alias(f"_held_{n}") for n, c in enumerate(groups.columns)))
    same = (F.col(c).eqNullSafe(F.col(f"_held_{n}")) for n, c in enumerate(groups.columns))
    return int(groups.join(theirs, reduce(Column.__and__, same, F.lit(True)), "left_anti").count())
