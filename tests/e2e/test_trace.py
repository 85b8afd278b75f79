"""`dovetail trace` and `dovetail why` on a real log: a record's path, and the records behind a number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import orjson
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from dovetail.batch import job
from dovetail.batch.master import DeltaMaster
from dovetail.batch.trace import trace
from dovetail.cli import explain, main
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.commit import open_epoch, open_source
from dovetail.shared.decode import decode, named
from dovetail.shared.judge import Judge
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.project import Project
from dovetail.shared.states import DeltaStates
from dovetail.speed.job import SpeedJob

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def tags(events: DataFrame) -> DataFrame:
    return events.select("at", F.explode("tags").alias("tag"))


events = dv.source(
    "traced", schema="id string, key string, n int, at timestamp, tags array<string>", event_time="at", event_id="id",
    rules=[dv.rule("n >= 0", otherwise="drop", name="no debts")],
)
totals = dv.view("totals", source=events, keys=["key", "n"], bucket="1h", measures={"rows": dv.count()})
tagged = dv.view("tagged", source=events, transform=tags, keys=["tag"], bucket="1d", measures={"rows": dv.count()})
"""
ORIGIN, CUT = Position({0: 1, 1: 0}), Position({0: 5, 1: 2})


def value(id_: str, key: str | None, n: int, *tags: str) -> str:
    return json.dumps({"id": id_, "key": key, "n": n, "at": "2026-10-01T09:20:00Z", "tags": tags})


def send(log: Log, *records: tuple[int, str], transaction: bool = False) -> None:
    own = {"transactional.id": "traced", "log_level": 2} if transaction else {}
    producer = Producer({"bootstrap.servers": log.bootstrap, **own})
    if transaction:
        producer.init_transactions(60)
        producer.begin_transaction()
    for partition, text in records:
        producer.produce("traced", value=text, partition=partition)
    if transaction:
        producer.commit_transaction(60)
    producer.flush()


@pytest.fixture(scope="module")
def traced(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Below the cut what was archived, above it a commit of speed, and one record that nothing has read."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "dovetail.toml").write_text(f'views = ["traced_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n')
    (folder / "traced_views.py").write_text(VIEWS)
    project = projects.load(settings.load(folder))
    source, layout = project.source("traced"), project.layout
    log.create("traced", partitions=2)
    send(log, (0, "of an earlier time"), (0, value("a", "k1", 1, "x", "y")), (0, "broken"), (0, value("a", "k1", 1)))
    send(log, (0, value("debt", "k1", -1)), (1, value("b", "k2", 2)), (1, value("c", None, 3, "x", "x")))
    extent, ledger = log.extent("traced"), DeltaLedger(layout.ledger("traced"))
    assert extent.end == CUT
    open_source(ledger, topic_id=extent.topic_id, origin=ORIGIN)
    master = DeltaMaster(layout, source, spark)

    def records(begin: Position, end: Position):
        return named(spark.read.format("kafka").options(**log.spark_span_options("traced", begin, end)).load())

    master.append(records(ORIGIN, CUT), topic_id=extent.topic_id)
    master.write_claim(CUT)
    for view in project.views_of(source):
        job.run(project, view, log, spark)
    send(log, (0, value("d", "k1", 4, "y")), (1, value("b", "k2", 2)), transaction=True)
    end, judge = log.extent("traced").end, Judge.of_commits(source, ledger, layout, log, spark)
    states, epoch = DeltaStates(layout, "traced"), open_epoch(ledger)
    speed = SpeedJob(project, source, ledger, states, epoch, lambda _: None, judge, lambda: None)
    speed.step(decode(records(CUT, end), source.as_json()), Range(CUT, end))
    send(log, (1, value("e", "k1", 5)))
    return project


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(
    traced: Project, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Runs a command in the project, on the session at hand: its exit code and what it wrote."""
    monkeypatch.setattr(explain, "start_spark", lambda *_, **__: spark)
    monkeypatch.chdir(traced.settings.folder)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.setenv(name, "dumb")

    def say(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        return (code, *capsys.readouterr())

    return say


def run_of(project: Project, view: str) -> Path:
    run = DeltaManifest(project.layout.manifest(view)).read().runs[-1]
    return project.layout.run(run.version, run.id)


def test_a_kept_record_is_followed_into_every_view_that_batch_answers_for(say: Said, traced: Project) -> None:
    code, out, _ = say("trace", "traced", "0@1")
    first, *views = out.splitlines()
    assert code == 0
    assert first.startswith("read in seq ")
    assert first.endswith(" → decoded → not a repeat → kept")
    served = {v: f"→ served by batch run {run_of(traced, v).name[:8]} (below cut 0@5)" for v in traced.views}
    assert views == [
        f"totals[k1, 1, 2026-10-01 09:00] {served['totals']}",
        f"tagged[x, 2026-10-01 00:00], tagged[y, 2026-10-01 00:00] {served['tagged']}",
    ]


@pytest.mark.long
def test_what_is_archived_is_followed_without_kafka(traced: Project, spark: SparkSession) -> None:
    def away() -> NoReturn:
        pytest.fail("Kafka was asked")

    found = trace(traced, traced.source("traced"), RecordId(0, 1), away, lambda: spark)
    assert [len(v.groups) for v in found.views] == [1, 2]


def test_a_record_above_the_cut_is_read_from_kafka_and_served_by_speed(say: Said, traced: Project) -> None:
    code, out, _ = say("trace", "traced", "0@5", "--json")
    found, last = orjson.loads(out), DeltaLedger(traced.layout.ledger("traced")).last()
    assert code == 0
    assert (found["source"], found["record"], found["decoded"], found["repeat"]) == ("traced", "0@5", True, False)
    assert found["read"] == {"seq": last.seq, "at": last.at}
    live = DeltaManifest(traced.layout.manifest("totals")).read().live
    assert found["views"][0] == {
        "view": "totals", "version": live, "served_by": "speed", "run": None, "cut": "0@5", "reason": None,
        "groups": [{"keys": {"key": "k1", "n": 4}, "bucket": "2026-10-01T09:00:00+00:00", "rows": 1}], "problem": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "of"),
    [pytest.param("0@3", "0@1", marks=pytest.mark.long), ("1@2", "1@0")],
    ids=["in one commit", "across the cut"],
)
def test_a_repeat_is_told_with_what_it_repeats(say: Said, record: str, of: str) -> None:
    code, out, _ = say("trace", "traced", record)
    assert code == 0
    assert out.splitlines()[0].endswith(f" → decoded → a repeat of {of}")
    assert "served" not in out


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("0@2", " → in quarantine: not a JSON object"),
        pytest.param("0@4", " → decoded → dropped: breaks the rule 'no debts'", marks=pytest.mark.long),
    ],
)
def test_what_no_view_sees_is_told_with_the_reason(say: Said, record: str, says: str) -> None:
    code, out, _ = say("trace", "traced", record)
    assert (code, out.splitlines()[0].endswith(says), "served" in out) == (0, True, False)


@pytest.mark.long
def test_a_record_without_rows_for_a_view_says_so(say: Said) -> None:
    _, out, _ = say("trace", "traced", "1@0")
    assert "\ntagged: the transform gives no row\n" in out


@pytest.mark.long
def test_a_record_that_nothing_has_read_yet_is_there(say: Said) -> None:
    code, out, _ = say("trace", "traced", "1@4")
    assert code == 0
    assert out == "traced 1@4: not yet read: speed is stopped, at 1@4\nnext  dovetail speed traced\n"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("0@6", "a hole, of a transaction or of compaction, in what seq "),
        ("1@5", "past the end of the log, which is 1@5"),
    ],
)
def test_what_is_not_there_is_exit_1(say: Said, record: str, says: str) -> None:
    code, out, _ = say("trace", "traced", record)
    assert code == 1
    assert out.startswith(f"traced {record}: {says}")


@pytest.fixture
def emptied(traced: Project) -> Iterator[Callable[[Path], None]]:
    """Empties a table; it is as before after the test."""
    kept = dict[Path, Path]()

    def empty(table: Path) -> None:
        kept[table] = table.with_name(f"{table.name}-kept")
        shutil.copytree(table, kept[table])
        rows: pa.Table = DeltaTable(str(table)).to_pyarrow_table()
        write_deltalake(str(table), rows.slice(rows.num_rows), mode="overwrite")

    yield empty
    for table, copy in kept.items():
        shutil.rmtree(table)
        copy.rename(table)


@pytest.mark.long
def test_a_table_that_lacks_the_group_is_told_by_both(say: Said, traced: Project, emptied) -> None:
    emptied(run_of(traced, "totals"))
    code, out, _ = say("trace", "traced", "0@1")
    assert code == 1
    assert f"totals: batch run {run_of(traced, 'totals').name} lacks 1 of its groups" in out
    assert "dovetail prove" in out
    code, out, _ = say("why", "totals", "key=k1", "n=1")
    assert code == 1
    assert "1 row from these records, 0 in the tables of totals: THEY DO NOT AGREE" in out


def places(said: tuple[int, str, str]) -> list[tuple[str, str, int]]:
    code, out, _ = said
    found = orjson.loads(out)
    assert (code, found["agree"], found["rows"]) == (0, True, found["held"])
    assert found["records"] == found["batch"] + found["speed"]
    return [(line["record"], line["layer"], line["rows"]) for line in found["lines"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("totals key=k1", [("0@1", "batch", 1), ("0@5", "speed", 1)]),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in [
                ("tagged tag=x", [("0@1", "batch", 1), ("1@1", "batch", 2)]),
                ("totals key=k1 n=4", [("0@5", "speed", 1)]),
                ("totals key=k2,k1 n=1,2", [("0@1", "batch", 1), ("1@0", "batch", 1)]),
                ("totals key.null=true", [("1@1", "batch", 1)]),
                ("totals key=k1 end=2026-10-01T09:00:00Z", []),
                ("totals n=4 --start 2026-10-01 --bucket 1d", [("0@5", "speed", 1)]),
            ]
        ),
    ],
)  # fmt: skip
def test_the_records_behind_a_number_are_listed(say: Said, asked: str, found: list[tuple[str, str, int]]) -> None:
    assert places(say("why", *asked.split(), "--json")) == found


@pytest.mark.long
def test_a_list_shows_each_record_and_how_many_there_are(say: Said) -> None:
    code, out, _ = say("why", "totals", "key=k1", "--limit", "1")
    header, line, more, total, rows = out.splitlines()
    assert code == 0
    assert header.split() == ["record", "kafka", "timestamp", "event", "time", "layer", "rows", "value"]
    assert line.startswith("0@1  ")
    assert "  2026-10-01 09:20:00  batch  " in line
    assert '{"id": "a", "key": "k1", "n": 1, ' in line
    assert line.endswith("…")
    assert more == "and 1 more record: --limit shows them"
    assert total.endswith(": 1 from batch, 1 from speed, cut 5·2")
    assert rows == "2 rows from these records, 2 in the tables of totals: they agree"


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ("totals kye=k1", 2, "where.kye: unknown key 'kye': did you mean 'key'? Known: key, n"),
        ("totals start=2026-10-01T09:20:00Z", 2, "start 2026-10-01T09:20:00Z lies inside a stored bucket of 1h"),
        ("totals --bucket 1d", 2, "Invalid value for --bucket: goes with start and without end"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(say: Said, asked: str, code: int, says: str) -> None:
    said = say("why", *asked.split())
    assert (said[0], said[1]) == (code, "")
    assert f"error  {says}" in said[2]
    assert "Traceback" not in said[2]


@pytest.mark.long
def test_nothing_is_left_of_what_was_put_on_disk(say: Said, traced: Project) -> None:
    say("why", "totals", "key=k1")
    assert not [*traced.layout.scratch("").glob("why-*")]
