"""Views of one layer alone, and a history that is computed from the log without the master."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable
from e2e_stand import Stand
from pyspark.sql import SparkSession

from dovetail.batch import change, job, replay, reprocessing
from dovetail.serving.snapshot import Snapshot, read
from dovetail.shared.errors import UsageError
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Manifest, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.states import DeltaStates

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("{name}", schema="key string, n bigint")
totals = dv.view("totals", source=events, keys=["key"], measures={{"total": dv.sum("{summed}")}}{more})
"""


class OneLayer(Stand):
    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str, more: str = "") -> None:
        self.more = more
        super().__init__(folder, log, spark, name, VIEWS.format(name=name, summed="n", more=more))
        self.ledger = open_ledger(self.project, self.source, log)
        put_in_force(self.project, self.source, self.ledger, spark)

    def sent(self, *numbers: int) -> None:
        self.send(*({"key": "a", "n": n} for n in numbers))
        self.commit()

    def answer(self) -> tuple[int, Snapshot]:
        """The total that serving makes of its snapshot, which it reads as it does."""
        found = read(DeltaManifest(self.layout.manifest("totals")), self.ledger, DeltaStates(self.layout, self.name))
        assert found is not None
        tables = [*found.commits.values(), *map(self.table, found.manifest.runs)]
        sums = [pc.sum(t[next(c for c in t.column_names if c.startswith("sum"))]).as_py() or 0 for t in tables if t]
        return sum(sums), found

    def table(self, run: Run) -> Any:
        path = str(self.layout.run(run.version, run.id))
        return DeltaTable(path).to_pyarrow_table() if run.id != ORIGIN else None

    def change(self, summed: str) -> None:
        self.declare(f"{self.name}_{len(summed)}", VIEWS.format(name=self.name, summed=summed, more=self.more))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"kappa_{abs(hash(request.node.name)) % 10**8}"


def test_a_view_of_batch_alone_ends_where_its_last_batch_did(
    log: Log, spark: SparkSession, tmp_path: Path, name: str
) -> None:
    stand = OneLayer(tmp_path, log, spark, name, ", speed=False")
    assert (stand.answer()[0], stand.answer()[1].last.to) == (0, stand.ledger.rows()[0].to)
    stand.sent(1, 2)
    assert stand.ledger.rows()[-1].versions == {}, "speed folds nothing for it"
    assert stand.answer()[0] == 0
    stand.batch("totals")
    total, found = stand.answer()
    assert (total, found.last.to) == (3, stand.ledger.rows()[-1].to)
    stand.sent(4)
    total, found = stand.answer()
    assert (total, stand.ledger.rows()[-1].to.reaches(found.last.to), found.last.to == stand.ledger.rows()[-1].to) == (
        3, True, False,
    )  # fmt: skip
    stand.batch("totals")
    assert stand.answer()[0] == 7
    stand.sent(8)
    stand.batch("totals", full=True)
    assert (stand.answer()[0], stand.ledger.rows()[-1].versions, stand.proof().holds) == (15, {}, True)


def test_a_batch_that_fails_leaves_it_out_of_force(
    log: Log, spark: SparkSession, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = OneLayer(tmp_path, log, spark, name, ", speed=False")
    stand.sent(1)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(job.recompute, "run", fail)
    with pytest.raises(OSError, match="no space"):
        stand.batch("totals")
    assert (stand.ledger.rows()[-1].versions, stand.answer()[0]) == ({}, 0)


def test_a_change_of_it_is_reprocessed_and_promoted(log: Log, spark: SparkSession, tmp_path: Path, name: str) -> None:
    stand = OneLayer(tmp_path, log, spark, name, ", speed=False")
    stand.sent(1, 2)
    stand.batch("totals")
    stand.change("n * 10")
    view = stand.project.view("totals")
    runs = replayed(stand, replay=False).staged_of(stand.project.version(view))
    change.switch(stand.project, view, stand.manifest, runs, note="by the test")
    stand.sent(3)
    assert stand.answer()[0] == 60, "until its next batch speed folds it"
    stand.batch("totals")
    assert (stand.answer()[0], stand.ledger.rows()[-1].versions) == (60, {})


def test_a_view_of_speed_alone_answers_from_the_origin(
    log: Log, spark: SparkSession, tmp_path: Path, name: str
) -> None:
    stand = OneLayer(tmp_path, log, spark, name, ", batch=False")
    stand.sent(1, 2)
    stand.sent(3)
    total, found = stand.answer()
    assert (total, [run.id for run in found.manifest.runs]) == (6, [ORIGIN])


def test_a_replay_needs_no_master_and_comes_to_the_same(
    log: Log, spark: SparkSession, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "AT_ONCE", 1)  # its records are counted in several looks
    stand = OneLayer(tmp_path, log, spark, name)
    stand.sent(1, 2)
    stand.sent(3)
    stand.batch("totals")
    stand.change("n * 10")
    view = stand.project.view("totals")
    version = stand.project.version(view)
    of_master = [stand.table(run).to_pylist() for run in replayed(stand, replay=False).staged_of(version)]
    reprocessing.give_up(stand.project, view)
    shutil.rmtree(stand.layout.master(stand.name))
    shutil.rmtree(stand.layout.claims(stand.name))
    runs = replayed(stand).staged_of(version)
    assert [stand.table(run).to_pylist() for run in runs] == of_master
    assert sum(run.records for run in runs) == 3
    change.switch(stand.project, view, stand.manifest, runs, note="by the test")
    assert stand.answer()[0] == 60


def test_a_replay_of_what_kafka_has_dropped_is_refused(
    log: Log, spark: SparkSession, tmp_path: Path, name: str
) -> None:
    stand = OneLayer(tmp_path, log, spark, name)
    stand.sent(1, 2, 3)
    stand.batch("totals")
    stand.change("n * 10")
    drop(log, name, below=2)
    with pytest.raises(UsageError, match=r"Kafka has dropped 0@0\.\.2 of it"):
        replayed(stand)
    assert len(stand.ledger.rows()[-1].versions) == 1, "nothing was put in force"


def drop(log: Log, topic: str, *, below: int) -> None:
    """Drops records as retention does."""
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, below)]).values():
        future.result(30)


def replayed(stand: OneLayer, *, replay: bool = True) -> Manifest:
    view = stand.project.view("totals")
    return reprocessing.run(stand.project, view, stand.log, stand.spark, replay=replay)[0]
