"""A paused layer stands still on the real stack: its job stays up, reads and writes nothing, and goes on exactly."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_system import System, Topic, _stopped_at
from test_gaps import Event

from dovetail.batch import archive_job, job
from dovetail.batch.prove import prove
from dovetail.shared import pauses
from dovetail.shared.claims import Claims
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.position import Position
from dovetail.speed import job as speed_job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
STILL_S = 2.0
VIEWS = """
import dovetail as dv

events = dv.source("{topic}", schema="id bigint, key string")
{topic}_view = dv.view("{topic}_view", source=events, keys=["key"], measures={{"rows": dv.count()}})
"""


def project(log: Log, folder: Path, topic: str) -> System:
    (folder / "dovetail.toml").write_text(f'views = ["{topic}_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n')
    (folder / f"{topic}_views.py").write_text(VIEWS.format(topic=topic))
    return System(folder, Topic(log, topic, partitions=2), {})


class Paused:
    """One layer of a project that pauses itself when it has come to the first records, with more of them sent."""

    def __init__(self, running: System, layer: pauses.Layer, spark: SparkSession) -> None:
        self.running, self.layer, self.spark = running, layer, spark
        self.layout, self.name = running.project.layout, running.source.name
        self.said: list[str] = []
        self.stood: list[Position | None] = []

    def at(self) -> Position | None:
        """Where the layer stands, as its own table says."""
        if self.layer == "archive":
            return Claims(self.layout.claims(self.name)).last()
        last = DeltaLedger(self.layout.ledger(self.name)).last()
        return last.to if last else None

    def pause(self) -> None:
        pauses.pause(self.layout, self.layer, self.name, because="the disk is moved")

    def run(self, on: Callable[[Position], None], waiting: Callable[[], None]) -> None:
        """Runs the job; `on` is called with each position reached, `waiting` on a thread once it says that it waits."""

        def told(said: str) -> None:
            self.said.append(said)
            if "Waits for" in said:
                threading.Thread(target=waiting).start()

        given: tuple[Any, ...] = (self.running.project, self.running.source, self.running.topic.log, self.spark)
        if self.layer == "archive":
            archive_job.run(*given, on_claim=on, on_pause=told)
        else:
            speed_job.run(*given, on_commit=lambda row: on(row.to), on_pause=told)

    def watch(self) -> None:
        """Looks where it stands, for a while."""
        end = time.monotonic() + STILL_S
        while time.monotonic() < end:
            self.stood.append(self.at())
            time.sleep(0.2)

    def resume_later(self) -> None:
        self.watch()
        pauses.resume(self.layout, self.layer, self.name)

    def stop_later(self) -> None:
        self.watch()
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("layer", ["speed", "archive"])
def test_a_paused_job_stays_up_reads_nothing_and_goes_on_where_it_stood(
    layer: pauses.Layer, log: Log, spark: SparkSession, tmp_path: Path
) -> None:
    with project(log, tmp_path, f"paused_{layer}") as running:
        running.topic.send(map(Event, range(6)))
        one, before = Paused(running, layer, spark), running.topic.end

        def first(at: Position) -> None:
            if at == before:
                one.pause()
                running.topic.send(map(Event, range(6, 20)))
            elif at.reaches(before):  # it is paused, and went on
                os.kill(os.getpid(), signal.SIGTERM)

        with _stopped_at(before):  # a job that is told to stop while it waits
            one.run(first, one.stop_later)
        assert {*one.stood} == {before}
        assert one.at() == before

        one.stood.clear()
        running.topic.send(map(Event, range(20, 25)))
        with _stopped_at(running.topic.end) as reached:  # a start that waits, is resumed, and is paused in mid run
            one.run(reached, one.resume_later)
        assert {*one.stood} == {before}
        assert [said.partition(" of ")[2].partition(" ")[2][:10] for said in one.said] == ["was paused"] * 2 + [
            "goes on"
        ]
        assert one.at() == running.topic.end

        getattr(running, "archive_here" if layer == "speed" else "speed_here")(spark)
        assert job.run(running.project, next(iter(running.project.views.values())), log, spark) is not None
        proof = prove(running.project, running.source, log, spark)
        assert proof is not None
        assert (proof.holds, proof.problems, proof.lost, proof.doubled) == (True, [], 0, 0)
