"""Records that Kafka drops before they are read: taken from the archive, or passed by a decision on record."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from e2e_system import System, Topic, free_port

from dovetail.batch.prove import prove
from dovetail.batch.trace import trace
from dovetail.batch.why import Asked, why
from dovetail.cli import importing, main
from dovetail.shared.claims import Claims
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.position import RecordId
from dovetail.shared.upkeep import tidy

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("{topic}", schema="id bigint, key string", event_id="id")
{topic}_view = dv.view("{topic}_view", source=events, keys=["key"], measures={{"rows": dv.count()}})
"""
WHY = "retention of an hour"
Say = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Event:
    id: int
    key = None

    @property
    def value(self) -> bytes:
        return json.dumps({"id": self.id, "key": f"k{self.id % 3}"}).encode()


@contextmanager
def system(log: Log, folder: Path, topic: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A project of one view on a topic of two partitions, in the working directory."""
    toml = f'views = ["{topic}_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n[serving]\nport = {free_port()}\n'
    (folder / "dovetail.toml").write_text(toml)
    (folder / f"{topic}_views.py").write_text(VIEWS.format(topic=topic))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_COLOR", "1")
    with System(folder, Topic(log, topic, partitions=2), {}) as running:
        yield running


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    def say(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(arguments))
        return (code, *capfd.readouterr())

    return say


def send(running: System, ids: range, partition: int) -> None:
    running.topic.send(map(Event, ids), partition=partition)


def truncate(log: Log, topic: str, *offsets: int) -> None:
    """Drops the records below an offset of each partition, as retention does."""
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, p, o) for p, o in enumerate(offsets)]).values():
        future.result(30)


def answered(running: System) -> Counter[str]:
    answer = running.ask(f"{running.topic.name}_view", by="key")
    return Counter({row["key"]: row["rows"] for row in answer["rows"]})


def keys(*ids: int) -> Counter[str]:
    return Counter(f"k{n % 3}" for n in ids)


@pytest.mark.long
def test_speed_stopped_for_longer_than_retention_takes_from_the_archive_what_kafka_dropped(
    log: Log, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    with system(log, tmp_path, "retained", monkeypatch) as running:
        send(running, range(6), 0)
        send(running, range(6, 9), 1)
        running.speed_here(spark)
        send(running, range(20, 28), 0)
        send(running, range(4), 1)  # again: counted once, though the second lies in the archive alone
        running.archive_here(spark)
        truncate(log, "retained", 14, 7)
        send(running, range(30, 33), 0)
        assert say("accept-gap", "retained", "0@6..14", "--because", WHY)[2].splitlines() == [
            "error  the archive holds 0@6..14 1@3..7, which speed has not read: that is not lost",
            " next  dovetail speed retained takes it from the archive, and so does dovetail batch",
        ]
        running.speed_here(spark)
        rows = DeltaLedger(running.project.layout.ledger("retained")).rows()
        assert [str(r.range) for r in rows if r.kind == "commit"][1:] == ["0@6..14 1@3..7", "0@14..17"]
        assert not [r for r in rows if r.kind == "lost"]
        proof = prove(running.project, running.source, log, spark)
        assert proof is not None
        assert (proof.holds, proof.gaps, proof.books.consumed, proof.books.repeats) == (True, [], 24, 4)


@pytest.mark.long
def test_what_nobody_holds_stops_both_layers_until_it_is_accepted_and_is_told_for_ever_after(
    log: Log, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    with system(log, tmp_path, "gone", monkeypatch) as running:
        layout = running.project.layout
        for p in (0, 1):
            send(running, range(10 * p, 10 * p + 5), p)
        running.archive_here(spark)
        running.speed_here(spark)
        for p in (0, 1):
            send(running, range(100 + 10 * p, 103 + 10 * p), p)
        running.speed_here(spark)  # up to 8 in both; the archive does not come to it
        for p in (0, 1):
            send(running, range(200 + 10 * p, 203 + 10 * p), p)
        truncate(log, "gone", 7, 5)
        shutil.rmtree(layout.seen("gone"))
        with pytest.raises(IntegrityError, match=r"the ids of 0@5\.\.7 are needed") as unknown:
            running.speed_here(spark)
        assert unknown.value.next.startswith("dovetail accept-gap gone 0@5..7 ")
        truncate(log, "gone", 10, 6)
        gone = ("0@5..10", "1@5..6")

        code, out, _ = say("status")
        assert code == 1
        assert out.startswith("!  gone: Kafka dropped 0@8..10 before the speed layer read it, at most 2 records\n")
        assert "!  gone: Kafka dropped 0@5..10 1@5..6 before the archive read it, at most 6 records\n" in out
        with pytest.raises(IntegrityError, match=r"0@8\.\.10 before the speed layer read it") as speed:
            running.speed_here(spark)
        with pytest.raises(IntegrityError, match=r"0@5\.\.10 1@5\.\.6 before the archive read it") as archive:
            running.archive_here(spark)
        for stopped in (speed, archive):
            assert stopped.value.next.startswith('accept it: dovetail accept-gap gone 0@5..10 1@5..6 --because "…"')

        before = DeltaLedger(layout.ledger("gone")).last()
        assert say("accept-gap", "gone", *gone)[0] == 2
        assert say("accept-gap", "gone", *gone, "--because", " ")[0] == 2
        code, _, err = say("accept-gap", "gone", "0@5..11", "1@5..6", "--because", WHY)
        assert (code, err.splitlines()[0]) == (
            2, "error  what is gone of gone is 0@5..10 1@5..6, not 0@5..11 1@5..6"
        )  # fmt: skip
        for layer in ("speed", "archive"):
            with held(layout.lock(f"{layer}-gone"), layer):
                assert "runs already: pid" in say("accept-gap", "gone", *gone, "--because", WHY)[2]
        assert say("accept-gap", "gone", *gone, "--because", WHY, "--dry-run")[1].endswith("Nothing written.\n")
        assert DeltaLedger(layout.ledger("gone")).last() == before
        assert Claims(layout.claims("gone")).passed() == []
        code, out, _ = say("accept-gap", "gone", *gone, "--because", WHY, "--json")
        assert (code, orjson.loads(out)["lost"], orjson.loads(out)["counted"]) == (0, "0@8..10", True)
        assert say("accept-gap", "gone", *gone, "--because", WHY)[2].startswith("error  nothing of gone is gone")
        monkeypatch.setattr(importing, "start_spark", lambda *_, **__: spark)
        (tmp_path / "copy.jsonl").write_bytes(b"".join(Event(n).value + b"\n" for n in range(100, 103)))
        copy, ways = str(tmp_path / "copy.jsonl"), {(): 2, ("--where", "id > 102"): 2, ("--unchecked",): 0}
        told = {way: say("import", "gone", copy, *way, "--dry-run") for way in ways}
        assert {way: code for way, (code, _, _) in told.items()} == ways
        assert "nobody can tell whether 0@5..10 1@5..6 of the log held some of these events" in told[()][2]
        assert "no row is left to import" in told["--where", "id > 102"][2]
        assert "Kafka dropped" not in say("status")[1]

        running.archive_here(spark)
        running.speed_here(spark)
        running.serve()
        true = keys(*range(5), *range(10, 15), *range(100, 103), *range(110, 113), 202, *range(210, 213))
        for full in (False, True):
            if full:
                send(running, range(300, 302), 0)
                running.speed_here(spark)
                running.archive_here(spark)
                true += keys(300, 301)
            running.batch(spark, full=full)
            tidy(layout, "gone")  # the floor is above what only the states hold
            assert answered(running) == true
            receipt = running.ask("gone_view", by="key")["receipt"]
            lost = next(r for r in DeltaLedger(layout.ledger("gone")).rows() if r.kind == "lost")
            assert receipt["gaps"] == [{"seq": lost.seq, "records": "0@8..10", "why": WHY}]
            assert receipt["complete"] is False
            proof = prove(running.project, running.source, log, spark)
            assert proof is not None
            assert (proof.problems, proof.lost, proof.doubled, proof.holds) == ([], 0, 0, True)
            assert proof.gaps[0] == f"records 0@8..10 are lost, passed in seq {lost.seq}: {WHY}"
            assert "some are only in the states of then" in proof.gaps[1]
        why_k1 = why(running.project, running.project.view("gone_view"), Asked({"key": ["k1"]}), log, spark)
        assert why_k1.agree
        assert (why_k1.rows + why_k1.gone, why_k1.gone > 0) == (true["k1"], True)
        for record, said in {
            "0@9": f"passed as lost in seq {lost.seq}: {WHY}",
            "0@6": "its bytes are in neither Kafka nor the archive",
        }.items():
            told = trace(running.project, running.source, RecordId.parse(record), lambda: log, lambda: spark)
            assert said in told.missing
