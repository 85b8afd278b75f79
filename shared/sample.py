"""The newest records of a topic, to look at: committed ones only, through no group, so that nobody's position moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dovetail.shared.decode import POSITION, named
from dovetail.shared.engine import arrow
from dovetail.shared.position import Position, Range

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from dovetail.shared.log import Extent, Log

LOOKS, WIDER = 5, 4
"""Where offsets have holes it is looked so often, each time so many times as far back: a compacted topic is long."""


@contextmanager
def newest(extent: Extent, most: int, log: Log, spark: SparkSession) -> Iterator[DataFrame]:
    """At most so many records, columns of META: the newest of each partition, as evenly as partitions hold them.

    Held in memory, or on disk, inside the `with` block.
    """
    rows = _read(span_of_newest(extent, most, log, spark), extent, log, spark).persist()
    try:
        yield rows
    finally:
        rows.unpersist()


def span_of_newest(extent: Extent, most: int, log: Log, spark: SparkSession) -> Range:
    """From the first record of the sample to the end, in each partition."""
    held = Range(extent.begin.up_to(extent.end), extent.end)
    wanted = spread({p: end - first for p, first, end in held.partitions()}, most)
    back, found = dict(wanted), dict[int, list[int]]()
    for _ in range(LOOKS):
        begin = {p: max(held.from_[p], end - back.get(p, 0)) for p, end in held.to.items()}
        found = _offsets(Range(Position(begin), held.to), extent, log, spark)
        few = [p for p, n in wanted.items() if len(found.get(p, ())) < n and begin[p] > held.from_[p]]
        if not few:
            break
        back |= {p: WIDER * back[p] for p in few}
    firsts = {p: found[p][-n:][0] for p, n in wanted.items() if n and found.get(p)}
    return Range(Position({p: firsts.get(p, end) for p, end in held.to.items()}), held.to)


def spread(held: Mapping[int, int], most: int) -> dict[int, int]:
    """So many records dealt out over partitions, as evenly as what each of them holds allows.

    >>> spread({0: 100, 1: 3, 2: 100}, 30)
    {0: 13, 1: 3, 2: 14}
    """
    dealt, left = dict[int, int](), most
    for n, (p, size) in enumerate(sorted(held.items(), key=lambda item: (item[1], item[0]))):
        dealt[p] = min(size, left // (len(held) - n))
        left -= dealt[p]
    return dict(sorted(dealt.items()))


def _offsets(span: Range, extent: Extent, log: Log, spark: SparkSession) -> dict[int, list[int]]:
    """The offsets in `span` that are of records, in order, by partition."""
    found: dict[int, list[int]] = {}
    places = arrow(_read(span, extent, log, spark).select(*POSITION)).sort_by([(c, "ascending") for c in POSITION])
    for partition, offset in zip(*(places[c].to_pylist() for c in POSITION), strict=True):
        found.setdefault(partition, []).append(offset)
    return found


def _read(span: Range, extent: Extent, log: Log, spark: SparkSession) -> DataFrame:
    options = log.spark_span_options(extent.topic, span.from_, span.to)
    return named(spark.read.format("kafka").options(**options).load())
