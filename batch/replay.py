"""The log itself in the place of the master: for a history that is computed where there is no master, or none that is
trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from dovetail.batch.counting import Places
from dovetail.batch.master import DeltaMaster
from dovetail.shared.declare import Source
from dovetail.shared.decode import POSITION, parsed
from dovetail.shared.engine import arrow
from dovetail.shared.errors import UsageError
from dovetail.shared.judge import Judge
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log, refuse_another
from dovetail.shared.position import Position, Range, slices
from dovetail.shared.records import records_of
from dovetail.shared.tables import Layout

AT_ONCE = 10_000_000
"""Records whose places are held in memory at once, to be counted: 120 MB."""


class ReplayedLog(DeltaMaster):
    """A master that is read from Kafka, and never written."""

    def __init__(self, layout: Layout, source: Source, log: Log, spark: SparkSession, *, judge: Judge) -> None:
        super().__init__(layout, source, spark, judge=judge)
        self._log = log

    def claim(self) -> Position:
        return self._log.extent(self._source.topic).end

    def passed(self) -> list[Range]:
        """None: what nobody holds any more is not in the log either, and then there is no replay."""
        return []

    def exists(self) -> bool:
        return True

    def _held(self, span: Range) -> DataFrame:
        refuse_dropped(self._layout, self._source, self._log)
        return records_of(self._source, span, self._layout, self._log, self._spark)

    def _places(self, span: Range) -> Iterator[Places]:
        at = span.from_
        for to in slices(span, AT_ONCE):  # so that each record is read once, however long the log is
            found = arrow(self._held(Range(at, to)).select(*POSITION))
            yield found[POSITION[0]].to_numpy(), found[POSITION[1]].to_numpy()
            at = to

    def _all_were(self, decoder: str) -> bool:  # noqa: ARG002
        return False  # records of the log are decoded nowhere

    def _parsed(self, stored: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
        return parsed(stored, decoder)


def refuse_dropped(layout: Layout, source: Source, log: Log) -> None:
    """Raises UsageError unless the log still holds every record from the origin on.

    Raises:
        IntegrityError: the topic is another one than the one that was read.
    """
    rows = DeltaLedger(layout.ledger(source.name)).rows()
    extent = log.extent(source.topic)
    refuse_another(extent, rows[0].topic_id, rows[-1].to, reader="the speed layer")
    gone = extent.gone(rows[0].to)
    if not gone.empty:
        raise UsageError(
            f"the log of {source.name} cannot be replayed: Kafka has dropped {gone} of it",
            where=f"topic {source.topic}",
            next="leave out --replay: the master holds what was archived",
        )
