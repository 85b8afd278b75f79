"""The archive job: one query per source that appends the log to the master dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from dovetail.batch.archive import archive, resume_at
from dovetail.batch.master import DeltaMaster
from dovetail.shared.declare import Source
from dovetail.shared.inforce import open_ledger
from dovetail.shared.locks import held
from dovetail.shared.log import Log, resumable
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project
from dovetail.shared.stream import follow

CONF = {
    # The writes of every few seconds become files that suit a scan.
    "spark.databricks.delta.autoCompact.enabled": "true"
}


@dataclass
class _Archive:
    """The ArchiveStore of a running archive: the master, and the records of the step at hand."""

    master: DeltaMaster
    topic_id: str
    records: DataFrame | None = None

    def held(self) -> Position:
        return self.master.held()

    def claim(self) -> Position | None:
        return self.master.last_claim()

    def append(self, span: Range) -> None:
        if self.records is None:
            raise RuntimeError(f"no records at hand for {span}")
        self.master.append(self.records, topic_id=self.topic_id)

    def write_claim(self, to: Position) -> None:
        self.master.write_claim(to)


def run(
    project: Project,
    source: Source,
    log: Log,
    spark: SparkSession,
    *,
    on_ready: Callable[[Position], None] = lambda _: None,
    on_claim: Callable[[Position], None] = lambda _: None,
) -> None:
    """Archives the source until told to stop.

    Raises:
        Busy: another archive holds the source.
        IntegrityError: the topic no longer holds what comes next.
    """
    layout, settings = project.layout, project.settings.archive
    with held(layout.lock(f"archive-{source.name}"), f"the archive of {source.name}"):
        ledger = open_ledger(project, source, log)
        first = ledger.rows()[0]
        master = DeltaMaster(layout, source, spark)
        master.create()
        store = _Archive(master, first.topic_id)
        resume = resume_at(store, first.to)
        start = resumable(log.extent(source.topic), first.topic_id, resume, reader="the archive")

        def step(records: DataFrame, span: Range) -> None:
            store.records = records
            archive(store, span)
            on_claim(span.to)

        follow(
            spark,
            log,
            source.topic,
            start,
            step,
            scratch=layout.scratch(f"archive-{source.name}"),
            trigger=settings.trigger,
            max_records=settings.max_records_per_commit,
            on_ready=lambda: on_ready(start),
        )
