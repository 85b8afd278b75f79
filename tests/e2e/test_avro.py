"""Avro of a registry on real Kafka: speed, archive, batch and a recount agree with what was sent; an id comes late."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import pytest
from e2e_system import _stopped_at
from pyspark.sql import DataFrame, SparkSession
from registry_double import RegistryDouble

from dovetail.batch import archive_job, job
from dovetail.batch.prove import prove
from dovetail.shared import project as projects
from dovetail.shared import registry, settings
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.project import Project
from dovetail.shared.quarantine import Quarantine
from dovetail.shared.registry import ROOT
from dovetail.shared.versions import load
from dovetail.speed import job as speed

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(900)]
TOPIC = "avro_orders"
VIEWS = """
import dovetail as dv

orders = dv.source(
    "avro_orders", format=dv.avro(registry="{address}", attempt={attempt}),
    schema="id bigint, country string, gifts int", event_id="id",
)
totals = dv.view("totals", source=orders, keys=["country"], measures={{"rows": dv.count(), "gifts": dv.sum("gifts")}})
"""
FIRST: dict[str, Any] = {
    "type": "record", "name": "Order",
    "fields": [{"name": "id", "type": "long"}, {"name": "country", "type": "string"}],
}  # fmt: skip
SECOND = {**FIRST, "fields": [*FIRST["fields"], {"name": "gifts", "type": "int"}]}
Counted = dict[str, tuple[int, int | None]]


def written(number: int, schema: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(dict(schema)), record)
    return b"\0" + number.to_bytes(4, "big") + stream.getvalue()


RECORDS = [written(1, FIRST, {"id": n, "country": "FR" if n % 3 else "DE"}) for n in range(30)]
RECORDS += [written(2, SECOND, {"id": n, "country": "FR", "gifts": n % 4}) for n in range(30, 60)]
RECORDS += [written(1, FIRST, {"id": 3, "country": "DE"})]  # sent again
LATE = [written(9, SECOND, {"id": n, "country": "IT", "gifts": 1}) for n in (60, 61)]
TORN = written(2, SECOND, {"id": 62, "country": "FR", "gifts": 500})[:-1]
TRUTH: Counted = {"DE": (10, None), "FR": (50, sum(n % 4 for n in range(30, 60)))}
UNKNOWN = "schema 9 is unknown to the registry"


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryDouble]:
    monkeypatch.setattr(registry, "WAITS", (0.0,))
    with RegistryDouble().served() as served:
        served.register(1, FIRST)
        served.register(2, SECOND)
        yield served


def declared(folder: Path, log: Log, double: RegistryDouble, *, attempt: int = 1) -> Project:
    (folder / "dovetail.toml").write_text(f'views = ["avro_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n')
    (folder / "avro_views.py").write_text(VIEWS.format(address=double.address, attempt=attempt))
    projects.sys.modules.pop("avro_views", None)
    projects.importlib.invalidate_caches()
    return projects.load(settings.load(folder))


def send(log: Log, *values: bytes) -> None:
    producer = log.producer()
    for n, value in enumerate(values):
        producer.produce(TOPIC, value=value, partition=n % 2)
    producer.flush()


def counted(states: DataFrame, project: Project, version: VersionId) -> Counted:
    """By country the rows and the sum of gifts."""
    (gifts,) = [s.column for s in load(project.layout.version(version)).measures["gifts"].states][:1]
    found = states.groupBy("country").agg({"_rows": "sum", gifts: "sum"}).collect()
    return {row["country"]: (row["sum(_rows)"], row[f"sum({gifts})"]) for row in found}


def by_batch(project: Project, spark: SparkSession) -> Counted:
    manifest = DeltaManifest(project.layout.manifest("totals")).read()
    assert manifest is not None
    (run,) = manifest.runs
    return counted(spark.read.format("delta").load(str(project.layout.run(run.version, run.id))), project, run.version)


def reasons(project: Project) -> dict[str, int]:
    found: dict[str, int] = {}
    for held in Quarantine(project.layout, TOPIC).waiting():
        found[held.reason] = found.get(held.reason, 0) + 1
    return found


def test_both_layers_and_a_recount_agree_and_an_id_that_comes_late_is_counted_by_a_new_version(
    log: Log, spark: SparkSession, tmp_path: Path, double: RegistryDouble
) -> None:
    project = declared(tmp_path, log, double)
    layout, source = project.layout, project.source(TOPIC)
    before = spark.conf.get(ROOT)
    spark.conf.set(ROOT, str(layout.root))
    try:
        log.create(TOPIC, partitions=2)
        send(log, *RECORDS, *LATE, TORN)
        end = log.extent(TOPIC).end
        with _stopped_at(end) as reached:
            speed.run(project, source, log, spark, on_commit=lambda row: reached(row.to))
        assert reasons(project) == {UNKNOWN: 2, "not Avro of schema 2": 1}
        (version,) = DeltaLedger(layout.ledger(TOPIC)).rows()[-1].versions
        assert counted(spark.read.format("delta").load(str(layout.states(version))), project, version) == TRUTH

        double.down = True  # all that the log holds is known by now
        with _stopped_at(end) as reached:
            archive_job.run(project, source, log, spark, on_claim=reached)
        job.run(project, project.view("totals"), log, spark, full=True)
        assert by_batch(project, spark) == TRUTH
        proof = prove(project, source, log, spark)
        assert proof is not None
        assert proof.holds, proof
        assert (proof.books.consumed, proof.books.quarantined, proof.books.repeats) == (64, 3, 1)

        send(log, b"", written(10, FIRST, {"id": 70, "country": "PT"}))
        with _stopped_at(log.extent(TOPIC).end) as reached:  # the archive goes on, with bytes alone
            archive_job.run(project, source, log, spark, on_claim=reached)
        double.down = False
        double.register(10, FIRST)
        double.register(9, SECOND)
        job.run(project, project.view("totals"), log, spark, full=True)
        truth = TRUTH | {"PT": (1, None)}
        assert by_batch(project, spark) == truth, "the same version counts what it counted"
        project = declared(tmp_path, log, double, attempt=2)
        job.run(project, project.view("totals"), log, spark, full=True)
        assert by_batch(project, spark) == truth | {"IT": (2, 2)}
        proof = prove(project, project.source(TOPIC), log, spark)
        assert proof is not None
        assert proof.holds, proof
    finally:
        spark.conf.set(ROOT, before)
