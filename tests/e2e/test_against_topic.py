"""`dovetail check --against-topic` on a real log: how a declaration fits the records that come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from dovetail.cli import main, start
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.sample import newest, span_of_newest
from dovetail.shared.versions import short

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.timeout(300)]
SCHEMA = "id bigint, at timestamp, quantity int, note string"
VIEWS = """
import dovetail as dv

orders = dv.source("orders", topic="TOPIC", schema="SCHEMA", event_time="at", rules=[RULES])
sales = dv.view("sales", source=orders, bucket="1h", measures={"lines": dv.count(), "sold": dv.sum("quantity")})
"""
WHOLE = {"id": 1, "at": "2026-10-01T09:20:00Z", "quantity": 2, "note": "x"}


def but(*gone: str, **changed: object) -> dict[str, object]:
    return {k: v for k, v in WHOLE.items() if k not in gone} | changed


def send(log: Log, topic: str, *records: object, partition: int = 0, transaction: bool | None = None) -> None:
    """Sends records; in a transaction of their own, committed or not, where `transaction` says so."""
    own = {} if transaction is None else {"transactional.id": topic, "log_level": 2}
    producer = Producer({"bootstrap.servers": log.bootstrap, **own})
    if own:
        producer.init_transactions(60)
        producer.begin_transaction()
    for record in records:
        value = record if isinstance(record, bytes | None) else json.dumps(record).encode()
        producer.produce(topic, value=value, partition=partition)
    assert producer.flush(60) == 0
    if own:
        (producer.commit_transaction if transaction else producer.abort_transaction)(60)


class Stand:
    """A project in a folder of its own, and a topic of its own."""

    def __init__(self, folder: Path, log: Log, topic: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.log, self.topic, self._capsys = folder, log, topic, capsys
        (folder / "dovetail.toml").write_text(f'views = ["topic_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n')
        self.declare()
        log.create(topic, partitions=2)

    def declare(self, schema: str = SCHEMA, rules: str = "") -> None:
        sys.modules.pop("topic_views", None)
        text = VIEWS.replace("TOPIC", self.topic).replace("SCHEMA", schema).replace("RULES", rules)
        (self.folder / "topic_views.py").write_text(text)

    def send(self, *records: object, **how: Any) -> None:
        send(self.log, self.topic, *records, **how)

    def check(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main(["check", "--against-topic", *arguments])
        return (code, *self._capsys.readouterr())

    def findings(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        code, out, err = self.check("--json", *arguments)
        assert code in (0, 1), err
        [told] = orjson.loads(out)["topics"]
        return code, told["findings"]


@pytest.fixture
def stand(
    log: Log, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Stand]:
    """A project whose commands run on the session at hand."""
    monkeypatch.setattr(start, "start_spark", lambda *_, **__: spark)
    monkeypatch.chdir(tmp_path)
    for name, value in {"NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    topic = f"orders-{tmp_path.parent.name}-{tmp_path.name}".replace("_", "-")
    yield Stand(tmp_path, log, topic, capsys)
    sys.modules.pop("topic_views", None)


CHANGES = {
    "a new field": (but(channel="web"), 0, "note", "channel is not declared: string in 4 of 10 records, ignored"),
    "a missing field": (
        but("note"), 0, "warn", "note is missing in the newest 4 of 10 records, first 0@6; all before hold it"
    ),
    "a widened type": (
        but(quantity=3_000_000_000), 1, "fail",
        "4 of 10 records would go to quarantine: quantity is not int, first 0@6",
    ),
    "a narrowed type": (
        but(note=7), 0, "note", "note is declared string and is integer in 4 of 10 records: read as text"
    ),
    "a renamed field": (
        but("quantity", qty=2), 0, "warn",
        "quantity gives way to qty, which is not declared, in 4 of 10 records, first 0@6: did you mean qty?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "code", "level", "message"),
    [
        pytest.param(
            *told, id=change, marks=() if change in ("a widened type", "a renamed field") else pytest.mark.long
        )
        for change, told in CHANGES.items()
    ],
)
def test_a_change_of_the_producer_in_mid_stream_is_told(
    stand: Stand, record: object, code: int, level: str, message: str
) -> None:
    stand.send(*[WHOLE] * 6, *[record] * 4)
    exit_code, findings = stand.findings()
    assert (exit_code, [(f["level"], f["message"]) for f in findings]) == (code, [(level, message)])


def test_a_problem_names_the_field_and_the_line_and_what_would_mend_it(stand: Stand) -> None:
    stand.send(WHOLE, but(quantity="two"), b"{", None, but("at"), partition=1)
    code, out, _ = stand.check()
    assert code == 1
    problems = [line for line in out.splitlines() if line.startswith("!")]
    assert problems == [
        f"!  source orders  1 of 5 records would go to quarantine: {reason}, first {place}  (topic_views.py:4)"
        for reason, place in [
            ("quantity is not int", "1@1"), ("not a JSON object", "1@2"), ("no value", "1@3"), ("no at", "1@4"),
        ]
    ]  # fmt: skip
    assert "     next  declare quantity string, or mend its producer\n" in out
    assert f"warn  orders            1 of the 5 newest records of {stand.topic} would be counted\n" in out
    assert "\n4 problems in " in out
    assert out.endswith(" s, by the engine too\n")


@pytest.mark.long
def test_without_its_event_time_a_record_is_a_problem_and_the_new_name_is_told(stand: Stand) -> None:
    stand.send(*[but("at", time=WHOLE["at"])] * 4)
    code, found = stand.findings()
    assert (code, [(f["level"], f["kind"]) for f in found]) == (1, [("fail", "quarantine"), ("warn", "renamed")])
    assert found[0]["message"] == "4 of 4 records would go to quarantine: no at, first 0@0"
    assert found[1]["message"].endswith("did you mean time?")
    stand.send(*[but(at="yesterday")] * 3)
    assert [f["next"] for f in stand.findings()[1]][:2] == ["", "mend the producer of at"]


@pytest.mark.parametrize(("bad", "code"), [(5, 0), (6, 1)])
def test_no_more_than_the_share_that_status_warns_of_is_no_problem(stand: Stand, bad: int, code: int) -> None:
    stand.send(*[b"{"] * bad, *[WHOLE] * (100 - bad))
    exit_code, [found] = stand.findings()
    assert (exit_code, found["level"]) == (code, "fail" if code else "warn")
    assert found["message"] == f"{bad} of 100 records would go to quarantine: not a JSON object, first 0@0"


@pytest.mark.long
def test_a_column_whose_every_value_clashes_is_a_problem_however_few_hold_it(stand: Stand) -> None:
    stand.declare(SCHEMA + ", tip int")
    stand.send(*[WHOLE] * 99, but(tip="1.50"))
    code, found = stand.findings()
    assert code == 1
    assert [(f["level"], f["kind"], f["column"]) for f in found] == [
        ("fail", "quarantine", "tip"),
        ("note", "sparse", "tip"),
    ]
    stand.send(*[but(tip=1)] * 2)
    assert stand.findings()[0] == 0


def test_the_share_of_records_that_break_a_rule_is_told(stand: Stand) -> None:
    kinds = ("quarantine", "drop", "warn", "fail")
    ruled = [f'dv.rule("quantity > {n}", otherwise="{kind}", name="{kind}")' for n, kind in enumerate(kinds)]
    stand.declare(rules=", ".join(ruled))
    stand.send(*[WHOLE] * 20, *(but(quantity=n) for n in (0, 1)))
    code, found = stand.findings()
    assert (code, [(f["level"], f["message"]) for f in found]) == (1, [
        ("warn", "1 of 22 records would go to quarantine: breaks the rule 'quarantine', first 0@20"),
        ("warn", "1 of 22 records would be dropped: breaks the rule 'drop', first 0@21"),
        ("warn", "20 of 22 records would be counted with a warning: breaks the rule 'warn', first 0@0"),
        ("fail", "20 of 22 records would stop the job: breaks the rule 'fail', first 0@0"),
    ])  # fmt: skip


@pytest.mark.long
def test_a_rule_that_raises_at_a_record_that_comes_is_a_problem(stand: Stand) -> None:
    stand.declare(rules='dv.rule("10 / quantity > 1")')
    stand.send(WHOLE, but(quantity=0))
    code, [found] = stand.findings()
    assert (code, found["level"], found["kind"]) == (1, "fail", "rule")
    assert "would stop the job: [DIVIDE_BY_ZERO" in found["message"]
    stand.declare(rules='dv.rule("abs(quantiy) > 1")')
    assert "unknown column 'quantiy': did you mean 'quantity'?" in stand.findings()[1][0]["message"]


@pytest.fixture
def live(stand: Stand, log: Log, spark: SparkSession) -> str:
    """A view of the stand's source that answers; its version, as people read it."""
    project = projects.load(settings.load(stand.folder))
    source = project.source("orders")
    put_in_force(project, source, open_ledger(project, source, log), spark)
    manifest = DeltaManifest(project.layout.manifest("sales")).read()
    assert manifest is not None
    return short(manifest.live)


@pytest.mark.long
def test_what_the_live_version_counts_and_the_declaration_would_not_is_told_and_the_reverse(
    stand: Stand, live: str
) -> None:
    stand.send(*[WHOLE] * 3, but(quantity=40_000), but(quantity=3_000_000_000), but(quantity=50_000))
    stand.declare(SCHEMA.replace("quantity int", "quantity smallint"))
    code, found = stand.findings()
    assert code == 1
    assert [(f["level"], f["kind"], f["message"]) for f in found] == [
        ("fail", "quarantine", "3 of 6 records would go to quarantine: quantity is not smallint, first 0@3"),
        (
            "fail", "refused",
            f"2 of 6 records that {live} counts would go to quarantine: quantity is not smallint, first 0@3",
        ),
    ]  # fmt: skip
    stand.declare(SCHEMA.replace("quantity int", "quantity bigint"))
    code, [won] = stand.findings()
    assert (code, won["level"], won["kind"]) == (0, "note", "accepted")
    assert (
        won["message"] == f"1 of 6 records would be counted that {live} does not count: quantity is not int, first 0@4"
    )
    stand.declare()
    assert [f["kind"] for f in stand.findings()[1]] == ["quarantine"]


@pytest.mark.long
def test_what_was_aborted_is_no_record(stand: Stand) -> None:
    stand.send(WHOLE, WHOLE, transaction=True)
    stand.send(*[b"{"] * 5, transaction=False)
    stand.send(WHOLE)
    code, out, _ = stand.check("--json")
    [told] = orjson.loads(out)["topics"]
    assert (code, told["sampled"], told["counted"], told["findings"]) == (0, 3, 3, [])


def offsets(rows: Any) -> list[tuple[int, int]]:
    return sorted((r["_partition"], r["_offset"]) for r in rows.collect())


@pytest.mark.long
def test_the_newest_are_looked_at_over_all_partitions_and_beyond_holes(
    stand: Stand, log: Log, spark: SparkSession
) -> None:
    stand.send(*[WHOLE] * 9)
    stand.send(*[WHOLE] * 2, partition=1)
    stand.send(*[WHOLE] * 40, transaction=False)
    extent = log.extent(stand.topic)
    with newest(extent, 6, log, spark) as rows:
        assert offsets(rows) == [(0, 5), (0, 6), (0, 7), (0, 8), (1, 0), (1, 1)]
    with newest(extent, 100, log, spark) as rows:
        assert rows.count() == 11
    assert span_of_newest(extent, 1, log, spark).partitions() == [(0, 8, extent.end[0])]
    [told] = orjson.loads(stand.check("--json", "--sample", "5")[1])["topics"]
    assert told["sampled"] == 5


def test_nothing_is_written_and_no_group_is_left(stand: Stand, log: Log) -> None:
    stand.send(WHOLE)
    before, end = sorted(p.name for p in stand.folder.iterdir()), log.extent(stand.topic)
    assert stand.check()[0] == 0
    assert {p.name for p in stand.folder.iterdir()} - {*before} <= {"__pycache__"}
    assert log.extent(stand.topic) == end
    admin = AdminClient(
        {"bootstrap.servers": log.bootstrap}
    )  # what it is asked for is never given once it is let go of
    assert admin.list_consumer_groups().result(30).valid == []


def test_an_empty_topic_is_said_and_starts_no_engine(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "start_spark", lambda *_, **__: pytest.fail("an engine was started"))
    code, out, _ = stand.check()
    assert code == 0
    said = f"{stand.topic} holds no records yet: there is nothing to compare with"
    assert f"note  orders            {said}\n" in out
    assert out.endswith(" s, no Java started\n")


def test_a_topic_of_holes_alone_is_empty_too(stand: Stand) -> None:
    stand.send(WHOLE, transaction=False)
    code, [found] = stand.findings()
    assert (code, found["kind"]) == (0, "empty")


def test_a_topic_that_is_not_there_is_exit_3(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "start_spark", lambda *_, **__: pytest.fail("an engine was started"))
    stand.topic = "orders-of-nobody"
    stand.declare()
    code, out, err = stand.check()
    assert (code, out) == (3, "")
    assert err.startswith("error  topic orders-of-nobody is not there\n")
