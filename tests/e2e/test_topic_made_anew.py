"""A topic deleted and made again under its old name, and one that a transaction holds up: both layers say so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from dovetail.batch import archive_job
from dovetail.batch.master import DeltaMaster
from dovetail.cli import main
from dovetail.shared import project as projects
from dovetail.shared import settings, troubles
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log, TopicMissing, refuse_another
from dovetail.shared.position import Position, RecordId
from dovetail.shared.project import Project
from dovetail.speed import job as speed_job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("{source}", topic="{topic}", schema="id bigint, key string")
{source}_view = dv.view("{source}_view", source=events, keys=["key"], measures={{"rows": dv.count()}})
"""


def declared(folder: Path, log: Log, topic: str, *, source: str) -> Project:
    (folder / "dovetail.toml").write_text(
        f'views = ["{source}_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n[archive]\ntrigger = "1s"\n'
    )
    (folder / f"{source}_views.py").write_text(VIEWS.format(source=source, topic=topic))
    return projects.load(settings.load(folder))


def send(log: Log, topic: str, n: int) -> None:
    producer = log.producer()
    for i in range(n):
        producer.produce(topic, value=json.dumps({"id": i, "key": f"k{i % 3}"}), partition=0)
    producer.flush()


def made_anew(log: Log, topic: str, *, records: int) -> None:
    """Deletes a topic, and makes it again with so many records."""
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(TopicMissing):
            log.extent(topic)
            time.sleep(0.05)
            continue
        break
    while not log.create(topic, partitions=1):
        assert time.monotonic() < end
        time.sleep(0.05)
    send(log, topic, records)


class Stop(Exception):
    """Ends a job from within a test."""


def run_once(run: Callable[..., None], *args: object, **hooks: object) -> None:
    with pytest.raises(Stop):
        run(*args, **hooks)


def stop(*_: object) -> None:
    raise Stop


@pytest.mark.parametrize("records", [3, 30], ids=["ends below the old position", "ends above it"])
def test_what_was_read_of_another_topic_is_told_by_its_id(log: Log, records: int) -> None:
    topic = f"anew-{records}"
    log.create(topic, partitions=1)
    send(log, topic, 10)
    before = log.extent(topic)
    with log.watched(topic, before.topic_id) as same_topic:
        same_topic()
        made_anew(log, topic, records=records)
        now = log.extent(topic)
        assert now.end == Position({0: records})
        told = f"{topic} was deleted and made again: it was {before.topic_id}, now it is {now.topic_id}"
        with pytest.raises(IntegrityError, match=told):
            same_topic()
    with pytest.raises(IntegrityError, match=told):
        refuse_another(now, before.topic_id, before.end, reader="the speed layer")


def test_a_log_that_lost_its_end_is_told(log: Log) -> None:
    log.create("shortened", partitions=1)
    send(log, "shortened", 3)
    extent = log.extent("shortened")
    with pytest.raises(IntegrityError, match="partition 0 ends at 3, the archive stands at 5"):
        refuse_another(extent, extent.topic_id, Position({0: 5}), reader="the archive")


@pytest.mark.parametrize(
    ("layer", "records"),
    [
        pytest.param("speed", 40, marks=pytest.mark.long),
        pytest.param("speed", 3, marks=pytest.mark.long),
        pytest.param("archive", 40, marks=pytest.mark.long),
    ],
)
def test_a_running_layer_counts_nothing_of_the_new_topic_and_does_not_start_on_it(
    log: Log, spark: SparkSession, tmp_path: Path, layer: str, records: int
) -> None:
    topic = source = f"swapped_{layer}_{records}"
    project = declared(tmp_path, log, topic, source=source)
    log.create(topic, partitions=1)
    send(log, topic, 10)
    declared_source, layout = project.source(source), project.layout
    made = list[int]()

    def on_step(_: object) -> None:
        if made:
            raise Stop  # something of the new topic was counted
        made.append(1)
        made_anew(log, topic, records=records)

    if layer == "speed":
        hooks: dict[str, object] = {"on_commit": on_step}
        run: Callable[..., None] = speed_job.run
    else:
        hooks, run = {"on_claim": on_step}, archive_job.run
    with pytest.raises(IntegrityError, match=r"was deleted|the topic is another one"):
        run(project, declared_source, log, spark, **hooks)
    assert made
    with pytest.raises(IntegrityError, match="deleted and made again") as refused:
        run(project, declared_source, log, spark)
    assert refused.value.next.startswith("give the source another name in views.py, and its views too")
    if layer == "speed":
        commits = [r for r in DeltaLedger(layout.ledger(source)).rows() if r.kind == "commit"]
        assert [str(r.range) for r in commits] == ["0@0..10"]
    else:
        assert DeltaMaster(layout, declared_source, spark).claim() == Position({0: 10})


@pytest.mark.long
def test_under_another_name_the_new_topic_is_read_from_its_beginning(
    log: Log, spark: SparkSession, tmp_path: Path
) -> None:
    old = declared(tmp_path, log, "renamed", source="before")
    log.create("renamed", partitions=1)
    send(log, "renamed", 10)
    run_once(speed_job.run, old, old.source("before"), log, spark, on_commit=stop)
    made_anew(log, "renamed", records=5)
    new = declared(tmp_path, log, "renamed", source="after")
    run_once(speed_job.run, new, new.source("after"), log, spark, on_commit=stop)
    found = [str(r.range) for r in DeltaLedger(new.layout.ledger("after")).rows() if r.kind == "commit"]
    assert found == ["0@0..5"]


def test_a_transaction_left_open_is_told_by_status_as_what_holds_the_position_up(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    declared(tmp_path, log, "held_up", source="held_up")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    log.create("held_up", partitions=2)
    project = projects.load(settings.load())
    from dovetail.shared.inforce import open_ledger

    open_ledger(project, project.source("held_up"), log)
    send(log, "held_up", 4)
    assert log.waiting(log.extent("held_up")) == []
    producer = Producer(
        {"bootstrap.servers": log.bootstrap, "transactional.id": "billing-7", "transaction.timeout.ms": 60_000}
    )
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce("held_up", value=b"{}", partition=0)
    producer.flush()
    send(log, "held_up", 3)
    extent = log.extent("held_up")
    assert extent.end[0] == 4
    (found,) = log.waiting(extent)
    assert (found.record, found.producer) == (RecordId(0, 4), "billing-7")
    assert 0 <= found.seconds < 60
    monkeypatch.setattr(troubles, "OPEN_S", 0.0)
    capfd.readouterr()
    assert main(["status"]) == 1
    line = "!  held_up: position stands still at 0@4 while the log grows: a transaction of producer billing-7 is open, "
    assert line in capfd.readouterr().out
    producer.abort_transaction(60)
    assert log.waiting(log.extent("held_up")) == []
