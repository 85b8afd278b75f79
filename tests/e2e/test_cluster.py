"""On a real Spark cluster of two workers, by settings alone: answers are exact, states those of one machine."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa
import pytest
from depot_scans import Record, records
from depot_truth import DEPOT
from e2e_system import SETTLE_S, System
from spark_cluster import CONF, Cluster, cluster

from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1800)]

BURST = 400
numbers = count(50_000)
HELPERS = """
def grams(weight):
    return None if weight is None else int(weight * 1000)
"""
BY_HAND = """

import helpers
from pyspark.sql import functions as F


def with_grams(rows):
    grams = F.udf(lambda weight: helpers.grams(weight), "bigint")
    return rows.withColumn("grams", grams("weight"))


by_hand = dv.view(
    "by_hand", source=scans, transform=[with_grams], keys=["depot"], bucket="1d", measures={"grams": dv.sum("grams")}
)
"""
"""A view whose transform runs in Python on the executors, with a function of another file of the project."""


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def burst(sent: list[Record]) -> Iterator[Record]:
    return records(BURST, seed=next(numbers), sent=sent)


def test_all_layers_on_a_cluster_answer_exactly_and_a_killed_executor_changes_nothing(
    two_workers: Cluster, log: Log, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL__SPARK__MASTER", two_workers.master)
    monkeypatch.setenv("DOVETAIL__SPARK__CONF", json.dumps(CONF))
    sent: list[Record] = []
    with System.create(DEPOT, tmp_path / "depot", log, topic="depot.scans.cluster", partitions=3) as depot:
        depot.topic.send(burst(sent))
        depot.start("archive", wait=False)
        depot.start("speed")
        depot.serve()
        depot.exact()
        depot.wait_claimed()
        others = {p.pid for p in two_workers.executors()}
        with subprocess.Popen([sys.executable, "-m", "dovetail", "batch"], cwd=depot.folder) as batch:
            kill(new(two_workers, but=others, of=batch))
            assert batch.wait(SETTLE_S) == 0
        depot.exact()
        assert all(depot.ask(view)["receipt"]["cut"] == depot.topic.end.as_json() for view in depot.oracles)
        for executor in two_workers.executors():  # of archive and of speed
            kill(executor)
        depot.topic.send(burst(sent))
        depot.exact()
        depot.wait_claimed()
        assert prove(depot, spark) == (0, 0, [])


def test_a_profile_moves_a_project_to_a_cluster_and_its_states_stay_as_they_were(
    two_workers: Cluster, log: Log, tmp_path: Path, spark: SparkSession
) -> None:
    with System.create(DEPOT, tmp_path / "depot", log, topic="depot.scans.profile", partitions=2) as depot:
        (depot.folder / "helpers.py").write_text(HELPERS)
        with (depot.folder / "views.py").open("a") as views:
            views.write(BY_HAND)
        with (depot.folder / "dovetail.toml").open("a") as toml:
            conf = "".join(f'"{name}" = "{value}"\n' for name, value in CONF.items())
            toml.write(
                f'[profile.cluster.spark]\nmaster = "{two_workers.master}"\n[profile.cluster.spark.conf]\n{conf}'
            )
        depot.reload()
        depot.topic.send(burst([]))
        depot.archive_here(spark)
        run(depot, "batch", "--full")
        here = {view: states(depot, view) for view in depot.project.views}
        assert len(here["by_hand"][0]) > 5
        run(depot, "--profile", "cluster", "batch", "--full")
        for view, (rows, sums) in here.items():
            assert states(depot, view) == (rows, pytest.approx(sums))


def run(depot: System, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", *arguments], cwd=depot.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def states(depot: System, view: str) -> tuple[list[tuple[Any, ...]], list[float]]:
    """The rows of the newest run of a view, in an order of their own, and the sums of its doubles apart from them."""
    from deltalake import DeltaTable

    manifest = DeltaManifest(depot.project.layout.manifest(view)).read()
    assert manifest is not None
    newest = manifest.runs[-1]
    table = DeltaTable(str(depot.project.layout.run(newest.version, newest.id))).to_pyarrow_table()
    doubles = [f.name for f in table.schema if pa.types.is_floating(f.type)]
    rows = [tuple(row.values()) for row in table.drop_columns(doubles).to_pylist()]
    sums = [math.fsum(v for v in table[name].to_pylist() if v is not None) for name in doubles]
    return sorted(rows, key=repr), sums


def new(cluster: Cluster, *, but: set[int], of: subprocess.Popen[bytes]) -> psutil.Process:
    """An executor that was not there before, as soon as there is one."""
    end = time.monotonic() + SETTLE_S
    while not (found := [p for p in cluster.executors() if p.pid not in but]):
        assert of.poll() is None, "it ended before it had an executor"
        assert time.monotonic() < end
        time.sleep(0.05)
    return found[0]


def kill(executor: psutil.Process) -> None:
    executor.kill()
    psutil.wait_procs([executor], timeout=30)


def prove(depot: System, spark: SparkSession) -> tuple[int, int, list[str]]:
    from dovetail.batch.prove import prove as proven

    proof = proven(depot.project, depot.source, depot.topic.log, spark)
    assert proof is not None
    return proof.lost, proof.doubled, proof.problems
