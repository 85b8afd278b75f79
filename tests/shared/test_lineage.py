"""Lineage: what a receiver is told of batches and of speed jobs, and that no job hangs on it."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from receiver import Receiver, receiver

from dovetail.shared import lineage, manifest, settings
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.manifest import Manifest, Run, RunId
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project, load
from dovetail.shared.states import DeltaStates

VIEWS = """
import dovetail as dv


def cleaned(lines):
    return lines


lines = dv.source(
    "lines", topic="shop.lines", event_time="at", owner="sales-data",
    schema="country string, quantity int, price decimal(10,2), at timestamp",
)
sales = dv.view(
    "sales", source=lines, keys=["country"], bucket="1h",
    measures={
        "rows": dv.count(), "pieces": dv.sum("quantity"), "mean": dv.avg("price"), "twice": dv.sum("quantity * 2"),
        "cheap": dv.sum("quantity", where="price < 1"),
    },
)
other = dv.view("other", source=lines, transform=[cleaned], keys=["country"], measures={"rows": dv.count()})
"""
LOG: Any = SimpleNamespace(bootstrap="broker1:9092, broker2:9092")
SPARK: Any = None
SPAN = Range(Position({0: 0}), Position({0: 3}))
TOPIC = {"namespace": "kafka://broker1:9092", "name": "shop.lines"}


@pytest.fixture
def kept() -> Iterator[Receiver]:
    with receiver() as kept:
        yield kept


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Project]]:
    """Makes a project with the tables of a source and two views, whose lineage goes to the address given."""
    folder, path = tmp_path / "shop", list(sys.path)
    folder.mkdir()
    (folder / "views.py").write_text(VIEWS)

    def made(address: str) -> Project:
        (folder / "dovetail.toml").write_text(f'[telemetry]\nlineage = "{address}"\n')
        project = load(settings.load(folder))
        write_deltalake(
            str(project.layout.master("lines")), pa.table({"_offset": [1], "country": ["FR"]}), mode="ignore"
        )
        for name, groups in {"sales": ["country", "_bucket"], "other": ["country"]}.items():
            version = project.store(project.view(name)).version
            states = pa.schema([*((g, pa.string()) for g in groups), ("_rows", pa.int64())])
            DeltaStates(project.layout, "lines").create(version, states)
            write_deltalake(str(project.layout.run(version, RunId("r1"))), states.empty_table(), mode="ignore")
        return project

    yield made
    sys.path[:] = path
    sys.modules.pop("views", None)


@lineage.of_batch
def batch(project, view, log, spark, *, full=False, despite=None, on_plan=lambda _: None) -> Manifest | None:
    """Plans and writes one run; `full` stands for one that fails after it was planned."""
    version = project.version(view)
    on_plan(SimpleNamespace(version=version))
    if full:
        raise ZeroDivisionError("customer-4711")
    return manifest.first(view.name, (Run(RunId("r1"), version, -1, 3, SPAN, state_rows=7, records=9),), "test")


def stored_again(shop: Project, name: str) -> VersionId:
    """A version of a view that is still there, and not what is declared now."""
    version, earlier = shop.version(shop.view(name)), VersionId(f"{name}@0123456789abcdef")
    here, there = shop.layout.version(version), shop.layout.version(earlier)
    there.mkdir(parents=True)
    (there / "bundle.json").write_text((here / "bundle.json").read_text().replace(version, earlier))
    DeltaStates(shop.layout, "lines").create(earlier, pa.schema([("country", pa.string())]))
    return earlier


def told(kept: Receiver) -> list[dict[str, Any]]:
    assert {path for path, _ in kept.posted} <= {"/api/v1/lineage"}
    return [json.loads(body) for _, body in kept.posted]


def test_a_batch_tells_what_it_reads_and_makes_when_it_starts_and_when_it_is_done(
    project: Callable[[str], Project], kept: Receiver
) -> None:
    shop, planned = project(kept.address), list[str]()
    done = batch(shop, shop.view("sales"), LOG, SPARK, on_plan=lambda plan: planned.append(plan.version))
    version = shop.version(shop.view("sales"))
    assert done is not None
    assert planned == [version]
    start, complete = told(kept)
    assert [e["eventType"] for e in (start, complete)] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["eventTime"] <= complete["eventTime"]
    for event in (start, complete):
        assert {k: event["job"][k] for k in ("namespace", "name")} == {"namespace": "shop", "name": "batch.sales"}
        assert event["job"]["facets"]["jobType"]["processingType"] == "BATCH"
        assert event["job"]["facets"]["ownership"]["owners"] == [{"name": "sales-data"}]
        assert event["producer"] == event["job"]["facets"]["jobType"]["_producer"] == "urn:dovetail"
        topic, master = event["inputs"]
        assert {k: topic[k] for k in TOPIC} == TOPIC
        assert [f["name"] for f in topic["facets"]["schema"]["fields"]] == ["country", "quantity", "price", "at"]
        assert topic["facets"]["schema"]["fields"][2]["type"] == "decimal(10,2)"
        assert (master["namespace"], master["name"]) == ("file", str(shop.layout.master("lines")))
        assert [f["name"] for f in master["facets"]["schema"]["fields"]] == ["_offset", "country"]
    assert [d["name"] for d in start["outputs"]] == ["sales"]
    view, table = complete["outputs"]
    assert (view["namespace"], view["name"]) == ("shop", "sales")
    columns = ["country", "bucket", "rows", "pieces", "mean", "twice", "cheap"]
    assert [f["name"] for f in view["facets"]["schema"]["fields"]] == columns
    assert (table["namespace"], table["name"]) == ("file", str(shop.layout.run(version, RunId("r1"))))
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 7
    assert [f["name"] for f in table["facets"]["schema"]["fields"]] == ["country", "_bucket", "_rows"]


def test_columns_are_traced_only_where_nothing_lies_between(project: Callable[[str], Project], kept: Receiver) -> None:
    shop = project(kept.address)
    for name in ("sales", "other"):
        batch(shop, shop.view(name), LOG, SPARK)
    _, sales, _, other = told(kept)
    fields = sales["outputs"][0]["facets"]["columnLineage"]["fields"]
    found = {
        name: [(i["namespace"], i["name"], i["field"], i["transformations"][0]["subtype"]) for i in f["inputFields"]]
        for name, f in fields.items()
    }
    assert found == {
        "country": [(*TOPIC.values(), "country", "IDENTITY")],
        "bucket": [(*TOPIC.values(), "at", "TRANSFORMATION")],
        "pieces": [(*TOPIC.values(), "quantity", "AGGREGATION")],
        "mean": [(*TOPIC.values(), "price", "AGGREGATION")],
    }
    assert "columnLineage" not in other["outputs"][0]["facets"]


def test_what_an_earlier_version_did_is_not_known(project: Callable[[str], Project], kept: Receiver) -> None:
    shop = project(kept.address)
    earlier = stored_again(shop, "sales")

    @lineage.of_batch
    def of_earlier(*_, on_plan=lambda _: None, **__) -> None:
        on_plan(SimpleNamespace(version=earlier))

    of_earlier(shop, shop.view("sales"), LOG, SPARK)
    (start,) = told(kept)
    assert start["outputs"][0]["facets"].keys() == {"schema", "datasetType"}


def test_a_batch_that_fails_tells_that_and_the_kind_of_error_alone(
    project: Callable[[str], Project], kept: Receiver
) -> None:
    shop = project(kept.address)
    with pytest.raises(ZeroDivisionError, match="customer-4711"):
        batch(shop, shop.view("sales"), LOG, SPARK, full=True)
    start, failed = told(kept)
    assert [start["eventType"], failed["eventType"]] == ["START", "FAIL"]
    assert start["run"]["runId"] == failed["run"]["runId"]
    assert failed["run"]["facets"]["errorMessage"]["message"] == "ZeroDivisionError"
    assert b"4711" not in b"".join(body for _, body in kept.posted)


def test_a_batch_with_nothing_new_and_a_project_without_a_receiver_tell_nothing(
    project: Callable[[str], Project], kept: Receiver
) -> None:
    shop = project(kept.address)
    idle = lineage.of_batch(lambda *_, **__: None)
    assert idle(shop, shop.view("sales"), LOG, SPARK) is None
    assert kept.posted == []
    silent = project("")
    assert batch(silent, silent.view("sales"), LOG, SPARK) is not None
    assert kept.posted == []


def test_a_speed_job_tells_of_each_version_that_it_folds_for(project: Callable[[str], Project], kept: Receiver) -> None:
    shop = project(kept.address)
    versions = {name: shop.version(view) for name, view in shop.views.items()}
    earlier = stored_again(shop, "sales")
    row = LedgerRow(2, 1, "open", Range(SPAN.to, SPAN.to), dict.fromkeys([*versions.values(), earlier], 0), "t")
    lineage.of_speed(shop, shop.source("lines"), LOG, row)
    found = told(kept)
    assert {(e["eventType"], e["job"]["facets"]["jobType"]["processingType"]) for e in found} == {
        ("START", "STREAMING")
    }
    assert [e["job"]["name"] for e in found] == ["speed.sales", "speed.other", "speed.sales"]
    assert len({e["run"]["runId"] for e in found}) == 3
    assert [{k: i[k] for k in TOPIC} for e in found for i in e["inputs"]] == [TOPIC] * 3
    tables = [e["outputs"][1]["name"] for e in found]
    assert tables == [str(shop.layout.states(v)) for v in (*versions.values(), earlier)]
    assert ["columnLineage" in e["outputs"][0]["facets"] for e in found] == [True, False, False]


@pytest.mark.parametrize("trouble", ["away", "silent", "endless", "refuses", "not installed", "no such table"])
def test_no_job_hangs_on_its_receiver(
    project: Callable[[str], Project],
    trouble: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says = {
        "away": "ConnectionError", "silent": "does not answer within|ReadTimeout",
        "endless": "does not answer within", "refuses": "500",
        "not installed": "pip install 'dovetail[lineage]'", "no such table": "a table is missing",
    }  # fmt: skip
    if trouble in ("silent", "endless"):
        monkeypatch.setattr(lineage, "GIVE_UP", 0.5)
    status = 500 if trouble == "refuses" else 200
    with receiver(status=status, silent=trouble == "silent", endless=trouble == "endless") as kept:
        shop = project("http://127.0.0.1:1" if trouble == "away" else kept.address)
        if trouble == "not installed":
            monkeypatch.setitem(sys.modules, "openlineage.client.transport.http", None)
        if trouble == "no such table":
            shop.layout.master("lines").rename(shop.layout.master("lines").with_name("gone"))
        began = time.monotonic()
        with caplog.at_level(logging.WARNING):
            assert batch(shop, shop.view("sales"), LOG, SPARK) is not None
    assert time.monotonic() - began < 30  # it would be a minute and more, were a silent one waited for
    warned = [r.getMessage() for r in caplog.records if r.name == "dovetail.shared.lineage"]
    assert len(warned) == 2
    assert all(any(said in w for said in says[trouble].split("|")) for w in warned), warned


def test_an_address_with_a_path_is_used_as_it_is_and_a_key_of_the_environment_is_sent(
    project: Callable[[str], Project], kept: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "canary-key")
    shop = project(f"{kept.address}/in/here")
    batch(shop, shop.view("sales"), LOG, SPARK)
    assert [path for path, _ in kept.posted] == ["/in/here"] * 2
    assert kept.headers[0]["authorization"] == "Bearer canary-key"
