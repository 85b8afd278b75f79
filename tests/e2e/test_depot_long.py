"""A depot hit everywhere: each named point, kills at any moment, a broker that goes down. For make test-long."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from depot_scans import Record, records
from depot_truth import DEPOT
from e2e_system import System, beside, free_port

from dovetail.shared.broker import Broker
from dovetail.shared.failpoints import NAMES
from dovetail.shared.log import Log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1800)]

BURST = 120
SENT: list[Record] = []
numbers = count(1000)


LAYERS = {"archive": "archive", "speed": "speed", "batch": "batch", "prune": "batch", "compact": "batch"}
"""Who passes the failpoints of a prefix."""
ATTACHING = (
    "attach.bundle_written",
    "attach.bundle_stored",
    "attach.states_created",
    "attach.in_force",
    "attach.answered",
)
"""Passed by the first start of speed alone. Those of other prefixes have fast tests, with `killed_at`."""
UNTROD = ("speed.failing_written", "batch.failed_written", "batch.retired")
"""Passed only where a version raises or is needed no more: `test_poison_of_before`, `test_change`."""
MORE = ("speed.index_joined",)
"""Passed by the commit after the next one, where the file of that one is too small to be joined with the one before."""
WALKED = sorted(name for name in NAMES if name.split(".")[0] in LAYERS and name not in UNTROD)


@pytest.fixture(autouse=True)
def nothing_sent() -> None:
    """Or what is sent again would be of another test's topic, and no repeat in this one."""
    SENT.clear()


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_killed_at_each_of_its_named_points_in_turn_it_goes_on_exactly(
    layer: str, log: Log, tmp_path: Path, spark: SparkSession
) -> None:
    command = LAYERS[layer]
    with System.create(DEPOT, tmp_path / "depot", log, topic=f"depot.scans.{layer}", partitions=2) as depot:
        depot.topic.send(burst())
        depot.archive_here(spark)
        depot.batch(spark)
        depot.serve()
        depot.exact()
        for point in [name for name in WALKED if name.split(".")[0] == layer]:
            print(point)  # shown with a failure
            depot.topic.send(burst())
            for _ in range(3 if point == "batch.run_deleted" else 0):  # runs beyond the last that may be gone back to
                depot.batch(spark, "seen", full=True)
            if command == "batch":
                depot.archive_here(spark)
            depot.start(command, failpoint=f"{point}:crash", wait=False)
            with sending(depot) if point in MORE else nullcontext():
                depot.died(command)
            depot.topic.send(burst())
            depot.archive_here(spark)
            depot.speed_here(spark)
            depot.exact()
            depot.batch(spark)
            depot.exact()
            prove(depot, spark)


@pytest.mark.parametrize("point", ATTACHING)
def test_killed_while_it_puts_views_in_force_the_next_start_does_the_rest(
    point: str, log: Log, tmp_path: Path, spark: SparkSession
) -> None:
    with System.create(DEPOT, tmp_path / "depot", log, topic=f"depot.scans.{point}", partitions=2) as depot:
        depot.topic.send(burst())
        depot.start("speed", failpoint=f"{point}:crash|nth=2", wait=False)
        depot.died("speed")
        depot.topic.send(burst())
        depot.speed_here(spark)
        depot.serve()
        depot.exact()
        depot.archive_here(spark)
        depot.batch(spark)
        depot.exact()
        prove(depot, spark)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_while_records_come_it_goes_on_exactly(
    seed: int, log: Log, tmp_path: Path, spark: SparkSession
) -> None:
    chance = random.Random(seed)
    with System.create(DEPOT, tmp_path / "depot", log, topic=f"depot.scans.seed-{seed}", partitions=3) as depot:
        depot.topic.send(burst())
        depot.start("archive", wait=False)
        depot.start("speed")
        depot.serve()
        for _ in range(6):
            name = chance.choice(("speed", "speed", "archive"))
            with sending(depot):
                time.sleep(chance.uniform(0, 3))  # any moment will do: this waits for nothing
                depot.stack.children.pop(name).kill()
            depot.start(name)
            if chance.random() < 0.5:
                depot.exact()
                depot.wait_claimed()
                depot.batch(spark, chance.choice(list(DEPOT.oracles)))
        depot.exact()
        depot.wait_claimed()
        prove(depot, spark)


def test_a_broker_killed_outright_and_started_again_loses_nothing(tmp_path: Path, spark: SparkSession) -> None:
    port = free_port()
    broker = Broker.start(tmp_path / "kafka", port=port)
    try:
        log = Log(broker.bootstrap, {})
        with System.create(DEPOT, tmp_path / "depot", log, topic="depot.scans", partitions=2) as depot:
            depot.topic.send(burst())
            depot.start("archive", wait=False)
            depot.start("speed")
            depot.serve()
            depot.exact()
            below = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
            java = [p for p in below if "kafka.Kafka" in p.cmdline() and str(tmp_path) in p.cmdline()[-1]]
            for process in java:
                process.kill()
            psutil.wait_procs(java, timeout=30)
            broker.stop()
            broker = Broker.start(tmp_path / "kafka", port=port)
            depot.topic.send(burst())
            for name in ("archive", "speed"):  # each may have ended with an error that says so, or have held out
                if depot.stack.children[name].process.poll() is not None:
                    depot.start(name)
            depot.exact()
            depot.wait_claimed()
            prove(depot, spark)
    finally:
        broker.stop()


def burst() -> Iterator[Record]:
    n = next(numbers)
    return records(BURST, seed=n, sent=SENT)


@contextmanager
def sending(depot: System) -> Iterator[None]:
    """Sends bursts while the block runs."""

    def send(stop: threading.Event) -> None:
        while not stop.wait(0.05):  # faster, one answer could no longer hold every group
            depot.topic.send(burst())

    with beside(send):
        yield


def prove(depot: System, spark: SparkSession) -> None:
    from dovetail.batch.prove import prove as proven

    proof = proven(depot.project, depot.source, depot.topic.log, spark)
    assert proof is not None
    assert proof.problems == []
    assert (proof.lost, proof.doubled, proof.books.consumed) == (0, 0, len(depot.topic.sent))
