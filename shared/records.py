"""Records as they came, wherever they are still held: in Kafka, and in the master dataset what Kafka has dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dovetail.shared.decode import META, named
from dovetail.shared.forgotten import ForgetList
from dovetail.shared.position import Position, Range

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from dovetail.shared.declare import Source
    from dovetail.shared.ledger import LedgerRow
    from dovetail.shared.log import Log
    from dovetail.shared.tables import Layout


def records_of(source: Source, span: Range, layout: Layout, log: Log, spark: SparkSession) -> DataFrame:
    """The records of `span` with the columns of META; those of whom the source has forgotten are blanked."""
    records, forgotten = _records(source, span, layout, log, spark), ForgetList.of(layout, source.name)
    return forgotten.blanked_bytes(records, source.as_json()) if forgotten else records


def outside(commits: Iterable[LedgerRow], records: DataFrame) -> DataFrame:
    """Those of the records that lie in the range of none of these commits."""
    ranges = " OR ".join(within(row.range) for row in commits)
    return records.where(f"NOT ({ranges})") if ranges else records


def within(span: Range) -> str:
    """A SQL condition on `_partition` and `_offset`: the record lies in `span`."""
    parts = (f"(_partition = {p} AND _offset >= {a} AND _offset < {b})" for p, a, b in span.partitions())
    return " OR ".join(parts) or "false"


def _records(source: Source, span: Range, layout: Layout, log: Log, spark: SparkSession) -> DataFrame:
    extent = log.extent(source.topic)
    begin = Position({p: max(span.from_[p], min(extent.begin[p], span.to[p])) for p in span.to})
    others = {p: extent.begin[p] for p in extent.end if p not in span.to}  # Spark wants to hear of each partition
    options = log.spark_span_options(
        source.topic, Position({**begin, **others}), Position({**{p: span.to[p] for p in span.to}, **others})
    )
    dropped = Range(span.from_, begin)
    held = spark.read.format("delta").load(str(layout.master(source.name))) if not dropped.empty else None
    if held is not None and begin == span.to:
        return held.where(within(dropped)).select(*META)
    records = named(spark.read.format("kafka").options(**options).load())
    return records if held is None else records.unionByName(held.where(within(dropped)).select(*META))
