"""The archive job: one query per source that appends the log to the master dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from dovetail.batch.archive import archive, resume_at
from dovetail.batch.master import DeltaMaster
from dovetail.shared import aside, pauses
from dovetail.shared.declare import Source
from dovetail.shared.inforce import open_ledger
from dovetail.shared.locks import held
from dovetail.shared.log import Log, refuse_another, resumable
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project
from dovetail.shared.stream import follow

READER = "the archive"
CONF = {
    # The writes of every few seconds become files that suit a scan.
    "spark.databricks.delta.autoCompact.enabled": "true"
}


@dataclass
class _Archive:
    """The ArchiveStore of a running archive: the master, and the records of the step at hand."""

    master: DeltaMaster
    topic_id: str
    same_topic: Callable[[], None]
    """Raises where the topic is another one by now."""
    records: DataFrame | None = None

    def held(self) -> Position:
        return self.master.held()

    def claim(self) -> Position | None:
        return self.master.last_claim()

    def append(self, span: Range) -> None:
        if self.records is None:
            raise RuntimeError(f"no records at hand for {span}")
        self.same_topic()  # nothing of another one is added knowingly
        self.master.append(self.records, topic_id=self.topic_id)
        self.same_topic()  # what came of another one meanwhile is never claimed

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
    on_pause: Callable[[str], None] = lambda _: None,
) -> None:
    """Archives the source until told to stop. While it is paused it waits.

    Raises:
        Busy: another archive holds the source.
        IntegrityError: the topic no longer holds what comes next.
        StandAside: it is asked to; nothing of it is under way.
    """
    layout, settings = project.layout, project.settings.archive
    with held(layout.lock(f"archive-{source.name}"), f"the archive of {source.name}"):
        go_on = partial(pauses.wait, layout, "archive", source.name, tell=on_pause)
        go_on()
        ledger = open_ledger(project, source, log)
        first = ledger.rows()[0]
        master = DeltaMaster(layout, source, spark)
        master.create()
        extent, topic_id = log.extent(source.topic), first.topic_id
        refuse_another(extent, topic_id, master.claim(), reader=READER)  # before what lies above the claim is claimed
        with log.watched(source.topic, topic_id) as same_topic:
            store = _Archive(master, topic_id, same_topic)
            at = resume_at(store, first.to)
            start = resumable(extent, topic_id, at, reader=READER, source=source.name, held=at)

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
                hold_up=go_on,
                look=partial(aside.refuse, layout, "archive", source.name),
            )
