"""Which rows to be imported the log holds already, by their event ids: whatever time lies between the two."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch.master import DeltaMaster
from dovetail.shared.claims import Claims
from dovetail.shared.declare import Source
from dovetail.shared.decode import POSITION, REASON, decode
from dovetail.shared.engine import arrow
from dovetail.shared.errors import UsageError
from dovetail.shared.gaps import held, unarchived
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Extent, Log, another
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.records import records_of
from dovetail.shared.tables import Layout

SHOWN = 5


def overlapping(
    rows: DataFrame, source: Source, where: str, layout: Layout, log: Log, spark: SparkSession
) -> DataFrame:
    """The places, columns of POSITION, of decoded rows whose event id is in the log, and where there, `_of`.

    Args:
        where: how the rows were narrowed by somebody who knows, or nothing.

    Raises:
        UsageError: they were not, and speed counted records of which nobody knows the event ids any more.
        ServiceMissing: Kafka does not answer, or has no such topic.
        IntegrityError: the topic is another one than the one that was read.
    """
    extent = _extent(source, layout, log)
    if not where:
        _refuse_unknown(source, layout, extent)
    theirs, same = events(_in_log(source, layout, log, extent, spark), source, "struct(_partition, _offset) as _of")
    good = rows.where(f"{REASON} is null").select(*POSITION, *source.event_id)
    return good.join(theirs, same).groupBy(*POSITION).agg(F.min("_of").alias("_of"))


def events(records: DataFrame, source: Source, *columns: str) -> tuple[DataFrame, Column]:
    """The events of decoded records, with these columns (SQL), and the condition that a row is the same event."""
    ids = {f"_id_{n}": name for n, name in enumerate(source.event_id)}
    named = (f"`{name}` as {id_}" for id_, name in ids.items())
    same = reduce(Column.__and__, (F.col(f"`{name}`") == F.col(id_) for id_, name in ids.items()))
    return records.where(f"{REASON} is null").selectExpr(*named, *columns), same


def examples_of(found: DataFrame) -> list[tuple[RecordId, RecordId]]:
    """The first of them, each with the record that it is."""
    some = arrow(found.orderBy(*POSITION).limit(SHOWN)).to_pylist()
    return [(RecordId(*(r[c] for c in POSITION)), RecordId(*r["_of"].values())) for r in some]


def _extent(source: Source, layout: Layout, log: Log) -> Extent:
    last, extent = DeltaLedger(layout.ledger(source.name)).last(), log.extent(source.topic)
    if last is not None and last.topic_id != extent.topic_id:
        raise another(source.topic, last.topic_id, extent.topic_id)
    return extent


def _refuse_unknown(source: Source, layout: Layout, extent: Extent) -> None:
    """Raises UsageError where commits read what neither the log nor the master holds: accepted as gone, or not yet."""
    gone = [*Claims(layout.claims(source.name)).passed(), extent.gone(held(layout, source.name))]
    rows = DeltaLedger(layout.ledger(source.name)).rows()
    unknown = " ".join(str(each) for each in gone if unarchived(rows, [each]))
    if unknown:
        by = source.event_time if source.event_time in source.columns else "…"
        raise UsageError(
            f"nobody can tell whether {unknown} of the log held some of these events",
            where=f"topic {source.topic}",
            why="speed counted some of it, and neither Kafka nor the archive holds it; what comes again counts twice",
            next=f"--where \"{by} < '…'\" for what was before that, or --unchecked where you know",
        )


def _in_log(source: Source, layout: Layout, log: Log, extent: Extent, spark: SparkSession) -> DataFrame:
    """Every record that the log has, or had and the master holds, decoded."""
    master, claim = DeltaMaster(layout, source, spark), held(layout, source.name)
    begin = Position({p: min(max(extent.begin[p], claim[p]), end) for p, end in extent.end.items()})
    tail = decode(records_of(source, Range(begin, extent.end), layout, log, spark), source.as_json())
    return master.rows(Range(Position(), claim), source.as_json()).unionByName(tail) if master.exists() else tail
