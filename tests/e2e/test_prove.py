"""The proof goes red: on states lost, doubled or altered, on a master that lost or doubled records, on cooked books."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from dovetail.batch import job
from dovetail.batch.master import DeltaMaster
from dovetail.batch.prove import Proof, prove
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.decode import named
from dovetail.shared.inforce import open_ledger
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.project import Project

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("proved", schema="key string, n bigint")
totals = dv.view("totals", source=events, keys=["key"], measures={"rows": dv.count(), "total": dv.sum("n")})
"""


@pytest.fixture(scope="module")
def sound(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a batch run, then two commits above its cut; archived and folded in this process."""
    folder = tmp_path_factory.mktemp("proved")
    (folder / "dovetail.toml").write_text(f'views = ["proved_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n')
    (folder / "proved_views.py").write_text(VIEWS)
    project = projects.load(settings.load(folder))
    source, view = project.source("proved"), project.view("totals")
    log.create("proved", partitions=2)
    for turn in range(3):
        producer = log.producer()
        for n in range(10):
            value = "broken" if n == 9 else json.dumps({"key": f"k{n % 3}", "n": n})
            producer.produce("proved", value=value, partition=n % 2)
        producer.flush()
        ledger = open_ledger(project, source, log)
        master = DeltaMaster(project.layout, source, spark)
        extent = log.extent("proved")
        begin = master.last_claim() or ledger.rows()[0].to
        options = log.spark_span_options("proved", begin.with_partitions(extent.end), extent.end)
        master.append(named(spark.read.format("kafka").options(**options).load()), topic_id=extent.topic_id)
        master.write_claim(extent.end)
        if turn == 0:
            job.run(project, view, log, spark)
        else:
            job.catch_up_if_stopped(project, source, ledger, master)
    return project


@pytest.fixture
def proved(sound: Project, log: Log, spark: SparkSession) -> Iterator[tuple[Project, "callable"]]:
    """The sound project, and a way to prove it; what a test did to its tables is undone after."""
    root = sound.layout.root
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    yield sound, lambda: prove(sound, sound.source("proved"), log, spark)
    shutil.rmtree(root)
    kept.rename(root)


def rewrite(path: Path, change) -> None:
    rows = DeltaTable(str(path)).to_pyarrow_table()
    write_deltalake(str(path), change(rows), mode="overwrite")


def states_of(project: Project) -> Path:
    return project.layout.states(DeltaManifest(project.layout.manifest("totals")).read().live)


def run_of(project: Project) -> Path:
    run = DeltaManifest(project.layout.manifest("totals")).read().runs[-1]
    return project.layout.run(run.version, run.id)


def without_first(rows: pa.Table) -> pa.Table:
    return rows.slice(1)


def twice(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows])


def test_a_sound_project_is_proved(proved) -> None:
    _, proof = proved
    found: Proof = proof()
    assert found.holds, found
    assert (found.books.consumed, found.books.quarantined, found.groups, found.equal) == (30, 3, 3, 3)
    assert found.engines == {"totals": "DuckDB"}


@pytest.mark.parametrize("table", [states_of, run_of], ids=["speed", "batch"])
def test_a_lost_state_row_is_counted_and_its_records_named(proved, table) -> None:
    project, proof = proved
    rewrite(table(project), without_first)
    found = proof()
    assert found.lost > 0
    assert found.doubled == 0
    told = r"(the commit|run \w+) of records .* holds \d+ of \d+ state rows"
    assert any(re.search(told, problem) for problem in found.problems), found.problems


@pytest.mark.parametrize("table", [states_of, run_of], ids=["speed", "batch"])
def test_doubled_state_rows_are_counted(proved, table) -> None:
    project, proof = proved
    rewrite(table(project), twice)
    found = proof()
    assert found.doubled > 0
    assert found.lost == 0


def test_an_altered_sum_is_found_though_every_row_is_there(proved) -> None:
    project, proof = proved

    def one_more(rows: pa.Table) -> pa.Table:
        column = next(c for c in rows.column_names if c.startswith("sum_"))
        return rows.set_column(rows.column_names.index(column), column, pc.add(rows[column], 1))

    rewrite(run_of(project), one_more)
    found = proof()
    assert (found.lost, found.doubled) == (0, 0)
    assert found.equal < found.groups
    assert not found.holds


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_first, "lacks"),
        (twice, "doubles"),
    ],
)
def test_a_master_that_lost_or_doubled_a_record_is_told_by_its_place(proved, change, says) -> None:
    project, proof = proved
    rewrite(project.layout.master("proved"), change)
    assert any(f"the master {says} " in problem and "@" in problem for problem in proof().problems)


def test_books_that_differ_from_the_log_are_told(proved) -> None:
    project, proof = proved

    def cooked(rows: pa.Table) -> pa.Table:
        for name in ("consumed", "decoded", "offered"):
            rows = rows.set_column(rows.column_names.index(name), name, pc.add(rows[name], 1))
        return rows

    rewrite(project.layout.ledger("proved"), cooked)
    assert any("the ledger says consumed" in problem for problem in proof().problems)
    assert DeltaLedger(project.layout.ledger("proved")).last() is not None
