"""The speed job: one query per source that folds each micro-batch for every version in force and publishes it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from dovetail.shared import aside, lineage, pauses
from dovetail.shared.commit import Folded, commit, open_epoch
from dovetail.shared.declare import Source
from dovetail.shared.decode import asks, decode, named
from dovetail.shared.errors import IntegrityError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.fold import folded
from dovetail.shared.gaps import held
from dovetail.shared.inforce import bundles, open_ledger, put_in_force
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held as lock
from dovetail.shared.log import Log, refuse_another, resumable
from dovetail.shared.position import Range
from dovetail.shared.project import Project
from dovetail.shared.states import DeltaStates
from dovetail.shared.stream import follow
from dovetail.shared.upkeep import COMMITS_BETWEEN, tidy
from dovetail.shared.versions import Bundle
from dovetail.speed.catch_up import catch_up, dropped

READER = "the speed layer"
CONF = {
    # A micro-batch is small: planning it twice costs more than it saves, and a shuffle has two cores to go to.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    # What is kept in memory is there for one micro-batch.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # Asks the engine twice for every column of a transform, in every micro-batch; `check --deep` is where errors show.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # No sums beside the files of the checkpoint, the only ones this engine writes: each costs a process of its own.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
}


@dataclass
class SpeedJob:
    """The running fold of one source. Its epoch fences every writer that came before."""

    project: Project
    source: Source
    ledger: DeltaLedger
    states: DeltaStates
    epoch: int
    on_commit: Callable[[LedgerRow], None]
    judge: Judge
    same_topic: Callable[[], None]
    """Raises where the topic is another one by now."""
    _bundles: dict[VersionId, Bundle] = field(default_factory=dict)
    _upkeep: threading.Thread | None = None

    def step(self, records: DataFrame, span: Range) -> None:
        """One micro-batch of decoded records: folded for each version, published by one ledger row."""

        def fold(wanted: Range, versions: frozenset[VersionId]) -> Folded:
            if wanted != span:
                raise IntegrityError(f"the ledger wants {wanted}, the micro-batch holds {span}", next="dovetail speed")
            every = bundles(self.project.layout, versions, self._bundles)
            found = folded(records, self.judge, every, span)
            self.same_topic()  # after the records were read, before they count
            return found

        row = commit(self.ledger, self.states, epoch=self.epoch, to=span.to, fold=fold)
        self.on_commit(row)
        if row.seq % COMMITS_BETWEEN == 0 and not (self._upkeep and self._upkeep.is_alive()):
            # Beside the stream, so that no reader waits for it; the tables still have this one writing process.
            self._upkeep = threading.Thread(target=tidy, args=(self.project.layout, self.source.name), daemon=True)
            self._upkeep.start()

    def settle(self) -> None:
        """Returns when nothing of it writes any more."""
        if self._upkeep:
            self._upkeep.join()


def run(
    project: Project,
    source: Source,
    log: Log,
    spark: SparkSession,
    *,
    on_ready: Callable[[LedgerRow], None] = lambda _: None,
    on_commit: Callable[[LedgerRow], None] = lambda _: None,
    on_pause: Callable[[str], None] = lambda _: None,
) -> None:
    """Folds the source until told to stop; first what only the archive still holds. While it is paused it waits.

    Raises:
        Busy: another speed job holds the source.
        Fenced: another writer opened a newer epoch.
        IntegrityError: the topic is another one by now, or neither it nor the archive holds what comes next.
        RuleBroken: a rule of the source says `fail`, or too many records go to quarantine; what was committed before
            stays.
        StandAside: it is asked to; nothing of it is under way.
    """
    layout, settings = project.layout, project.settings.speed
    own = layout.lock(f"speed-{source.name}")
    if aside.stood_in_for(own):
        on_pause(f"a batch commits in the place of speed; speed of {source.name} goes on once that is done")
    with lock(own, f"the speed job of {source.name}", behind=aside.IN_PLACE):
        go_on = partial(pauses.wait, layout, "speed", source.name, tell=on_pause)
        go_on()
        ledger = open_ledger(project, source, log)
        put_in_force(project, source, ledger, spark)
        epoch = open_epoch(ledger, note="speed")
        failpoint("speed.epoch_opened")
        opened = ledger.last()
        if opened is None or opened.epoch != epoch:
            raise RuntimeError("another writer opened an epoch while this one started: start again")
        extent = log.extent(source.topic)
        refuse_another(extent, opened.topic_id, opened.to, reader=READER)
        judge = Judge.of_commits(source, ledger, layout, log, spark, stop=settings.stop_if_quarantined)
        states = DeltaStates(layout, source.name)
        with log.watched(source.topic, opened.topic_id) as same_topic:
            job = SpeedJob(project, source, ledger, states, epoch, on_commit, judge, same_topic)
            lineage.of_speed(project, source, log, opened)
            archived = held(layout, source.name)
            decoder = source.as_json()

            def decoding(records: DataFrame, span: Range) -> None:
                job.step(decode(records, decoder), span)

            span, most = dropped(extent, opened.to, archived), settings.max_records_per_commit
            try:
                catch_up(span, job.step, source, layout, log, spark, max_records=most, go_on=go_on)
                extent = log.extent(source.topic)
                start = resumable(extent, opened.topic_id, span.to, reader=READER, source=source.name, held=archived)
                follow(
                    spark,
                    log,
                    source.topic,
                    start,
                    decoding if asks(decoder) else job.step,
                    prepare=named if asks(decoder) else lambda raw: decode(named(raw), decoder),
                    scratch=layout.scratch(f"speed-{source.name}"),
                    trigger=settings.trigger,
                    max_records=most,
                    on_ready=lambda: on_ready(opened),
                    hold_up=go_on,
                    look=partial(aside.refuse, layout, "speed", source.name),
                )
            finally:
                job.settle()
