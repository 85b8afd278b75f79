"""What speed does not find in Kafka any more, because it was stopped for long: taken from the archive (rule 6)."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession

from dovetail.shared.declare import Source
from dovetail.shared.decode import decode
from dovetail.shared.log import Extent, Log
from dovetail.shared.position import Position, Range, slices
from dovetail.shared.records import records_of
from dovetail.shared.tables import Layout


def dropped(extent: Extent, position: Position, held: Position) -> Range:
    """What Kafka has dropped of the records from `position` on, up to where the master holds them."""
    gone = extent.gone(position)
    return Range(gone.from_, Position({p: max(gone.from_[p], min(held[p], o)) for p, o in gone.to.items()}))


def catch_up(
    span: Range,
    step: Callable[[DataFrame, Range], None],
    source: Source,
    layout: Layout,
    log: Log,
    spark: SparkSession,
    *,
    max_records: int,
    go_on: Callable[[], object] = lambda: None,
) -> None:
    """Gives `step` the decoded records of `span` in pieces of at most so many offsets, as the stream would.

    `go_on` holds each piece up before anything of it is read, for as long as it takes.
    """
    at = span.from_
    for to in slices(span, max_records) if not span.empty else ():
        go_on()
        piece = Range(at, to)
        step(decode(records_of(source, piece, layout, log, spark), source.as_json()), piece)
        at = to
