"""The records behind a number, whatever a transform does with columns and rows; refused where it loses its records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from dovetail.batch.behind import by_record, on_disk, placed, seen
from dovetail.batch.why import Asked, _matching, why
from dovetail.shared import manifest as manifests
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.commit import open_source
from dovetail.shared.decode import RAW
from dovetail.shared.errors import IntegrityError, NotYet, UserCodeError
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project

VIEWS = """
import dovetail as dv
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def selected(events: DataFrame) -> DataFrame:
    return events.select("at", F.upper("key").alias("key")).where("key <> 'C'")


def exploded(events: DataFrame) -> DataFrame:
    return events.select("at", F.explode("tags").alias("key"))


def united(events: DataFrame) -> DataFrame:
    return events.select("at", "key").unionByName(events.select("at", "key"))


def mapped(events: DataFrame) -> DataFrame:
    return events.mapInPandas(lambda parts: (p[["at", "key"]] for p in parts), "at timestamp, key string")


names = dv.transforms.lookup("names.csv", on={"key": "code"})
events = dv.source(
    "events", schema="key string, at timestamp, tags array<string>, n int", event_time="at"
)
rows = {"rows": dv.count()}
none = dv.view("none", source=events, keys=["key"], bucket="1h", measures=rows)
select = dv.view("select", source=events, transform=selected, keys=["key"], bucket="1h", measures=rows)
explode = dv.view("explode", source=events, transform=exploded, keys=["key"], bucket="1h", measures=rows)
lookup = dv.view("lookup", source=events, transform=names, keys=["name"], measures={**rows, "last": dv.last("n")})
whole = dv.view("whole", source=events, measures=rows)
union = dv.view("union", source=events, transform=united, keys=["key"], measures=rows)
map = dv.view("map", source=events, transform=mapped, keys=["key"], measures=rows)
"""
NOON = datetime(2026, 11, 1, 12)
RECORDS = [("a", "12:10", ["x", "x"]), ("b", "12:50", []), ("c", "13:00", ["x"]), ("a", "13:59", ["y", "a"]), None]
HOUR = 3600 * 1_000_000


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "dovetail.toml").write_text('views = ["why_views.py"]\n')
    (tmp_path / "why_views.py").write_text(VIEWS)
    (tmp_path / "names.csv").write_text("code,name\na,Ann\n")
    path = list(sys.path)
    yield projects.load(settings.load(tmp_path))
    sys.path[:] = path
    sys.modules.pop("why_views", None)


def value(record: tuple[str, str, list[str]] | None) -> bytes:
    if record is None:
        return b"{broken"
    key, at, tags = record
    return json.dumps({"key": key, "at": f"2026-11-01T{at}:00Z", "tags": tags, "n": 1}).encode()


def found(project: Project, spark, view: str, asked: Asked) -> dict[int, int]:
    """The rows that each record counts with, by its offset."""
    bundle = project.store(project.view(view))
    rows = [(0, o, NOON, None, bytearray(value(r)), None) for o, r in enumerate(RECORDS)]
    with on_disk(seen(spark.createDataFrame(rows, RAW), bundle), project.layout.scratch("why")) as kept:
        made = placed(kept, bundle)
        return {r["_offset"]: r["_rows"] for r in by_record(made.where(_matching(asked, made)), kept).collect()}


@pytest.mark.java
@pytest.mark.parametrize(
    ("view", "asked", "counts"),
    [
        pytest.param("none", Asked({"key": ["a"]}), {0: 1, 3: 1}, marks=pytest.mark.long),
        ("select", Asked({"key": ["A", "C"]}), {0: 1, 3: 1}),
        ("explode", Asked({"key": ["x"]}), {0: 2, 2: 1}),
        pytest.param("lookup", Asked({"name": ["Ann"]}), {0: 1, 3: 1}, marks=pytest.mark.long),
        ("lookup", Asked({"name": [None]}), {1: 1, 2: 1}),
        pytest.param("whole", Asked(), {0: 1, 1: 1, 2: 1, 3: 1}, marks=pytest.mark.long),
    ],
)
def test_each_record_is_found_with_its_rows(project: Project, spark, view, asked, counts) -> None:
    assert found(project, spark, view, asked) == counts


@pytest.mark.java
def test_buckets_are_bounded_and_the_end_is_excluded(project: Project, spark) -> None:
    one = int(datetime.fromisoformat("2026-11-01T13:00:00Z").timestamp() * 1_000_000)
    assert found(project, spark, "none", Asked(start=one, end=one + HOUR)) == {2: 1, 3: 1}
    assert found(project, spark, "none", Asked(end=one)) == {0: 1, 1: 1}


@pytest.mark.java
@pytest.mark.parametrize("view", ["union", "map"])
def test_a_transform_that_loses_its_records_is_refused(project: Project, spark, capfd, view) -> None:
    with pytest.raises(UserCodeError, match=f"the transform of {view} loses which record a row comes from") as caught:
        found(project, spark, view, Asked())
    assert caught.value.where.startswith("why_views.py:")
    assert capfd.readouterr().err == ""
    assert not project.layout.scratch("why").exists()


def asked_of(project: Project, version: str | None) -> None:
    """Asks why of a view whose live version, if any, has missed the ledger's last row."""
    at = Position({0: 0})
    open_source(DeltaLedger(project.layout.ledger("events")), topic_id="t", origin=at)
    if version:
        run = Run(ORIGIN, VersionId(version), -1, 0, Range(at, at))
        DeltaManifest(project.layout.manifest("none")).swap(manifests.first("none", (run,), ""))
    why(project, project.view("none"), Asked(), None, None)


def test_a_view_that_cannot_be_answered_has_no_records_behind_it(project: Project) -> None:
    with pytest.raises(NotYet, match="none has never answered"):
        asked_of(project, None)
    with pytest.raises(IntegrityError, match="none cannot be answered: none@0123 is not in force for new records"):
        asked_of(project, "none@0123456789abcdef")
