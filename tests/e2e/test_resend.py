"""Records put right, on real Kafka: counted once, by a version that would take the original too."""

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from dovetail.batch import job
from dovetail.batch.master import DeltaMaster
from dovetail.batch.prove import Proof, prove
from dovetail.batch.trace import trace
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.corrections import Correction
from dovetail.shared.decode import named
from dovetail.shared.errors import RuleBroken, UsageError
from dovetail.shared.inforce import open_ledger
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.project import Project
from dovetail.shared.quarantine import Held, Quarantine
from dovetail.shared.resend import HEADER, readable, resend
from dovetail.speed import job as speed

pytestmark = [pytest.mark.java, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("{topic}", schema="id int, key string, n {kind}", event_id="id")
totals = dv.view(
    "totals", source=events, keys=["key"], measures={{"rows": dv.count(), "fives": dv.count(where="n = '5'")}}
)
"""


def declared(folder: Path, log: Log, topic: str, *, kind: str, more: str = "") -> Project:
    """The project, its file written anew, as another process would load it."""
    (folder / "dovetail.toml").write_text(f'views = ["{topic}.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n{more}')
    (folder / f"{topic}.py").write_text(VIEWS.format(topic=topic, kind=kind))
    projects.sys.modules.pop(topic, None)
    projects.importlib.invalidate_caches()
    return projects.load(settings.load(folder))


def send(log: Log, topic: str, *values: str) -> None:
    producer = log.producer()
    for n, value in enumerate(values):
        producer.produce(topic, value=value, key=f"k{n % 2}", partition=n % 2)
    producer.flush()


def archive(project: Project, topic: str, log: Log, spark: SparkSession) -> None:
    source = project.source(topic)
    ledger, master, extent = (
        open_ledger(project, source, log),
        DeltaMaster(project.layout, source, spark),
        log.extent(topic),
    )
    begin = (master.last_claim() or ledger.rows()[0].to).with_partitions(extent.end)
    options = log.spark_span_options(topic, begin, extent.end)
    master.append(named(spark.read.format("kafka").options(**options).load()), topic_id=extent.topic_id)
    master.write_claim(extent.end)


def held(project: Project, topic: str, value: bytes) -> Held:
    (found,) = (h for h in Quarantine(project.layout, topic).waiting() if h.value == value)
    return found


def counted(project: Project) -> dict[str, tuple[int, int]]:
    """By key the rows, and those of them that are 5, in the tables below the cut."""
    found: dict[str, tuple[int, int]] = {}
    manifest = DeltaManifest(project.layout.manifest("totals")).read()
    for run in (run for run in manifest.runs if run.id != ORIGIN):
        for row in DeltaTable(str(project.layout.run(run.version, run.id))).to_pyarrow_table().to_pylist():
            fives = sum(v for name, v in row.items() if name.startswith("count_")) - row["_rows"]
            before = found.get(row["key"], (0, 0))
            found[row["key"]] = (before[0] + row["_rows"], before[1] + fives)
    return found


@pytest.mark.long
def test_a_record_put_right_counts_once_for_a_version_that_would_take_the_original(
    log: Log, spark: SparkSession, tmp_path: Path
) -> None:
    topic = "mended"
    project = declared(tmp_path, log, topic, kind="bigint")
    log.create(topic, partitions=2)
    wrong, other = '{"id": 90, "key": "a", "n": "5!"}', '{"id": 91, "key": "b", "n": "6!"}'
    send(log, topic, *(json.dumps({"id": n, "key": "ab"[n % 2], "n": n}) for n in range(10)), wrong, other)
    archive(project, topic, log, spark)
    job.run(project, project.view("totals"), log, spark)
    assert counted(project) == {"a": (5, 0), "b": (5, 1)}

    def asked(decoder, records):
        return readable(decoder, records, spark)

    broken = held(project, topic, wrong.encode())
    corrected = Correction(broken, b'{"id": 90, "key": "a", "n": 5}')
    done = resend(project.layout, project.source(topic), log, [corrected], again=False, reader=asked)
    assert done.sent[broken.place].partition == broken.place.partition

    # Before the corrected record is read the declaration changes to one that takes the original too.
    project = declared(tmp_path, log, topic, kind="string")
    archive(project, topic, log, spark)
    job.run(project, project.view("totals"), log, spark, full=True)
    assert counted(project) == {"a": (6, 1), "b": (6, 1)}
    proof: Proof = prove(project, project.source(topic), log, spark)
    assert proof.holds, proof
    assert (proof.lost, proof.doubled) == (0, 0)
    assert (proof.books.consumed, proof.books.quarantined, proof.books.repeats) == (13, 2, 0)
    found = trace(project, project.source(topic), broken.place, lambda: log, lambda: spark)
    (view,) = found.views
    assert (view.groups, view.problem, view.reason) == ((), "", found.put_right)
    assert found.put_right == f"put right in seq {done.seq}, sent as {done.sent[broken.place]}"

    mended = Correction(held(project, topic, other.encode()), b'{"id": 91, "key": "b", "n": 6}')
    with pytest.raises(UsageError, match="counts it as it is"):
        resend(project.layout, project.source(topic), log, [mended], again=False, reader=asked)
    extent = log.extent(topic)
    sent = spark.read.format("kafka").options(**log.spark_span_options(topic, extent.begin, extent.end)).load()
    told = [h for row in sent.where("headers is not null").collect() for h in row["headers"]]
    assert [(h["key"], bytes(h["value"])) for h in told] == [(HEADER, str(broken.place).encode())]


@pytest.mark.long
def test_the_speed_job_stops_before_it_commits_too_much_of_it(log: Log, spark: SparkSession, tmp_path: Path) -> None:
    topic = "spoilt"
    project = declared(tmp_path, log, topic, kind="bigint", more='[speed]\nstop_if_quarantined = "20%"\n')
    log.create(topic, partitions=2)
    good = [json.dumps({"id": n, "key": "a", "n": n}) for n in range(800)]
    send(log, topic, *good, *["broken"] * 201)
    with pytest.raises(RuleBroken, match=r"201 of 1,001 records \(20.1%\) of the last commit go to quarantine"):
        speed.run(project, project.source(topic), log, spark)
    assert [row.kind for row in DeltaLedger(project.layout.ledger(topic)).rows() if row.kind == "commit"] == []
    assert Quarantine(project.layout, topic).groups() == []
