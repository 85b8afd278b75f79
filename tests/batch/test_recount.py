"""Truth by DuckDB is what the layers' fold gives, to the type and the digit; where it could not be, Spark folds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame

from dovetail.batch.recount import truth
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.decode import RAW, decode, decoded
from dovetail.shared.fold import fold
from dovetail.shared.project import Project

pytestmark = pytest.mark.java
VIEWS = """
import dovetail as dv
from pyspark.sql import functions as F

events = dv.source(
    "events", schema="key string, at timestamp, i int, l bigint, price decimal(12,3), d double", event_time="at"
)


def wider(rows):
    return rows.withColumn("day", F.to_date("at")).withColumn("cost", F.col("price") * F.col("i"))


exact = dv.view(
    "exact", source=events, transform=[wider], keys=["key", "day"], bucket="1h",
    measures={
        "rows": dv.count(), "some": dv.count(where="i > 1"), "ints": dv.sum("i"), "longs": dv.sum("l", where="l > 0"),
        "cost": dv.sum("cost"), "mean": dv.avg("price"), "doubles": dv.sum("d"), "first": dv.min("at"),
        "last": dv.max("at"), "least": dv.min("key"), "most": dv.max("d"), "dearest": dv.max("price"),
    },
)
whole = dv.view("whole", source=events, measures={"rows": dv.count(), "cost": dv.sum("price")})
by_double = dv.view("by_double", source=events, keys=["d"], measures={"rows": dv.count()})
sketched = dv.view("sketched", source=events, keys=["key"], measures={"ids": dv.approx_distinct("l")})
"""
AT = ("1969-12-31T23:59:59.999999Z", "2026-11-01T12:00:00.000001Z", "2026-11-01T12:59:59Z", "9999-12-31T23:59:59Z")
LARGE = 2**62
ROWS = [
    {"key": key, "at": AT[n % 4], "i": n % 3 - 1, "l": LARGE // (n + 1), "price": f"{n - 4}.125", "d": d}
    for n, (key, d) in enumerate(
        [("a", 0.5), ("a", -0.0), ("\u00e9", 1e300), (None, 0.0), ("", 2.5), ("a'", None), ("a", 1.25), ("Z", 7.0)] * 5
    )
] + [{"key": "none", "at": AT[1]}]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("recount")
    (folder / "dovetail.toml").write_text('views = ["recount_views.py"]\n')
    (folder / "recount_views.py").write_text(VIEWS)
    path = list(sys.path)
    yield projects.load(settings.load(folder))
    sys.path[:] = path
    sys.modules.pop("recount_views", None)


def good(spark, bundle) -> DataFrame:
    rows = [(0, o, datetime(2026, 11, 1), None, bytearray(json.dumps(r), "utf-8"), None) for o, r in enumerate(ROWS)]
    return decoded(decode(spark.createDataFrame(rows, RAW), bundle.decoder), bundle.decoder)


def ordered(rows: DataFrame) -> list[str]:
    return sorted(map(repr, rows.collect()))


@pytest.mark.parametrize(
    ("view", "engine"), [("exact", "DuckDB"), ("whole", "DuckDB"), ("by_double", "Spark"), ("sketched", "Spark")]
)
def test_another_engine_gives_the_same_states_wherever_both_fold_alike(
    project: Project, spark, tmp_path: Path, view: str, engine: str
) -> None:
    bundle = project.store(project.view(view))
    rows = good(spark, bundle)
    with truth(rows, bundle, tmp_path / "scratch", chosen="true") as (found, by):
        folded = fold(rows, bundle)
        assert (by, found.schema.simpleString()) == (engine, folded.schema.simpleString())
        assert ordered(found) == ordered(folded)
    assert not (tmp_path / "scratch").exists()


def test_only_the_chosen_groups_are_folded(project: Project, spark, tmp_path: Path) -> None:
    bundle = project.store(project.view("exact"))
    with truth(good(spark, bundle), bundle, tmp_path / "scratch", chosen="key = 'a'") as (found, _):
        assert {row["key"] for row in found.collect()} == {"a"}
