"""The records behind a number: those that count in some groups of a view, and whether its tables hold as many rows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, TimestampNTZType, TimestampType

from dovetail.batch import imported
from dovetail.batch.behind import by_record, on_disk, placed, seen
from dovetail.batch.held import stored
from dovetail.shared.claims import Claims
from dovetail.shared.declare import View
from dovetail.shared.decode import POSITION
from dovetail.shared.engine import arrow
from dovetail.shared.errors import IntegrityError, NotYet
from dovetail.shared.fold import BUCKET, ROWS
from dovetail.shared.gaps import unarchived
from dovetail.shared.imports import Imports
from dovetail.shared.ledger import VersionId, covered, until_detached
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.project import Project
from dovetail.shared.records import outside, records_of, within
from dovetail.shared.sensitive import shown
from dovetail.shared.set_apart import counted
from dovetail.shared.states import only_copies
from dovetail.shared.versions import load, short


@dataclass(frozen=True)
class Asked:
    """Some groups of a view: per key the values of which one must match, and the time, `end` excluded.

    Values are as a question's plan holds them: None is null, timestamps and the bounds are microseconds since 1970.
    """

    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Line:
    """One record that counts, with so many rows. `event_time` is as decoded, None where the transform makes it."""

    record: RecordId
    timestamp: datetime
    event_time: str | None
    below_cut: bool
    rows: int
    value: bytes


@dataclass(frozen=True)
class Why:
    """What counts: `records`, so many of them below the cut, the rows they give and the rows that the tables hold.

    `gone` are rows of commits whose records nobody holds any more: their states are the only copy.
    `lines` are the first of the records, by partition and offset.
    """

    version: VersionId
    cut: Position
    seq: int
    records: int
    below_cut: int
    rows: int
    held: int
    gone: int
    lines: tuple[Line, ...]

    @property
    def agree(self) -> bool:
        return self.rows + self.gone == self.held


def why(project: Project, view: View, asked: Asked, log: Log, spark: SparkSession, *, limit: int = 20) -> Why:
    """Finds the counted records of the log that give rows to the groups asked for.

    Raises:
        NotYet: the view has never answered.
        IntegrityError: it cannot be answered now.
        UserCodeError: its transform loses where a row comes from.
    """
    layout, source = project.layout, view.source
    manifest = DeltaManifest(layout.manifest(view.name)).read()
    if manifest is None:
        raise NotYet(f"{view.name} has never answered", next=f"dovetail batch {view.name}")
    rows = DeltaLedger(layout.ledger(source.name)).rows()
    answers = until_detached(manifest.live, [row for row in rows if row.seq >= manifest.seq])
    if not covered(manifest.live, manifest.seq, answers):
        what = f"{view.name} cannot be answered: {short(manifest.live)} is not in force for new records"
        raise IntegrityError(what, next=f"dovetail batch {view.name} --full")
    bundle, span = load(layout.version(manifest.live)), Range(rows[0].to, answers[-1].to)
    passed = [r for r in unarchived(rows, Claims(layout.claims(source.name)).passed()) if span.to.reaches(r.to)]
    only = [r for r in passed if manifest.live in r.versions]
    records = outside(only, records_of(source, span, layout, log, spark))
    if ids := [each.id for each in manifest.imports]:
        imports = [each for each in Imports(layout, source.name).all() if each.id in ids]
        records = records.unionByName(imported.once(imported.held(layout, source.name, imports, spark), ids))
    records = counted(records, manifest.live, rows, source=source.name, ledger=rows, layout=layout, runs=manifest.runs)
    held = stored(layout, manifest, answers, bundle, spark)
    held_rows = _rows(asked, held)
    gone = _rows(asked, only_copies(layout, manifest.live, only, spark)) if only else 0
    with on_disk(seen(records, bundle), layout.scratch(f"why-{uuid.uuid4().hex[:8]}")) as kept:
        rows_of = placed(kept, bundle)
        found = by_record(rows_of.where(_matching(asked, rows_of)), kept).persist()
        below = F.expr(f"_partition < 0 OR {within(Range(span.from_, manifest.cut))}")
        sums = found.agg(F.count(F.lit(1)).alias("n"), F.count_if(below).alias("below"), F.sum(ROWS).alias("rows"))
        figures = arrow(sums).to_pylist()[0]
        first = arrow(found.withColumn("below", below).orderBy(*POSITION).limit(limit)).to_pylist()
        found.unpersist()
    masks = source.sensitive
    lines = tuple(
        Line(
            RecordId(*(r[c] for c in POSITION)),
            r["_timestamp"],
            r["_time"],
            r["below"],
            r[ROWS],
            shown(r["_value"], masks),
        )
        for r in first
    )
    return Why(
        manifest.live, manifest.cut, answers[-1].seq,
        figures["n"], figures["below"], figures["rows"] or 0, held_rows, gone, lines,
    )  # fmt: skip


def _rows(asked: Asked, states: DataFrame) -> int:
    """How many rows of the groups asked for states stand for."""
    return arrow(states.where(_matching(asked, states)).agg(F.sum(ROWS).alias(ROWS)))[ROWS][0].as_py() or 0


def _matching(asked: Asked, rows: DataFrame) -> Column:
    """The condition that a row with the columns of groups is asked for."""
    matching = [
        reduce(Column.__or__, (F.col(f"`{key}`").eqNullSafe(_literal(v, rows.schema[key].dataType)) for v in values))
        for key, values in asked.where.items()
    ]
    if asked.start is not None:
        matching.append(F.col(BUCKET) >= F.timestamp_micros(F.lit(asked.start)))
    if asked.end is not None:
        matching.append(F.col(BUCKET) < F.timestamp_micros(F.lit(asked.end)))
    return reduce(Column.__and__, matching, F.lit(True))


def _literal(value: Any, kind: DataType) -> Column:
    if value is not None and isinstance(kind, TimestampType | TimestampNTZType):
        return F.timestamp_micros(F.lit(value)).cast(kind)
    return F.lit(value).cast(kind)
