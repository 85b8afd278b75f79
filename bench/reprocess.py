"""Reprocessing: seconds of a changed view's history, against the Spark job that one would write by hand for it.

Both read the same master in the same engine, by turns, and end with a Delta table: the job by hand once as the manuals
set Spark up, and once with Dovetail's own settings; ours counts the records of every ledger row, leaves out repeats,
and names its run in the manifest. Then how long readers wait for a promote or rollback.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from bench.batch import send
from bench.layers import Bed, bed
from bench.tables import wait
from dovetail.batch import change, job, reprocessing
from dovetail.cli.output import Output
from dovetail.shared import engine, settings
from dovetail.shared import project as projects
from dovetail.shared.manifest import Manifest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RECORDS, COMMITS, ROUNDS, PARTS, SWITCHES = 10_000_000, 50, 4, 10, 10
POLL_S = 0.002
DELTA = ("spark.sql.extensions", "spark.sql.catalog.")
"""What Delta's manual says to set."""
VIEWS = """
import dovetail as dv
from amounts import with_amount

events = dv.source(
    "events", schema="shop string, product string, at timestamp, quantity int, price decimal(10,2)", event_time="at"
)
sales = dv.view(
    "sales", source=events, transform=[with_amount], keys=["shop", "product"], bucket="1d",
    measures={"rows": dv.count(), "pieces": dv.sum("quantity"), "revenue": dv.sum("amount"), "mean": dv.avg("price")},
)
"""
AMOUNTS = """
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def with_amount(lines: DataFrame) -> DataFrame:
    return lines.withColumn("amount", F.col("quantity") * F.col("price") * F.lit({factor}))
"""


def run(folder: Path) -> list[dict[str, Any]]:
    (folder / "amounts.py").write_text(AMOUNTS.format(factor=1))
    os.environ["DOVETAIL__SPEED__MAX_RECORDS_PER_COMMIT"] = str(RECORDS // COMMITS)
    with bed(folder, VIEWS) as it:
        spark = engine.start(it.project.settings, "bench", heavy=True)
        it.processes.start("archive", "archive", "events", "--json")
        send(it, 0, RECORDS)
        it.processes.children.pop("archive").stop()
        job.run(it.project, it.project.view("sales"), it.log, spark)
        rows = [*_computed(it, spark), *_switched(it, spark)]
        spark.stop()
    return rows


def _computed(it: Bed, spark: SparkSession) -> list[dict[str, Any]]:
    """Each way once a round, after one round that warms the engine and counts nowhere."""
    parts, tell = RECORDS // PARTS, Output(as_json=True)

    def told(so_far: reprocessing.Progress) -> None:
        tell.event("a part", done=so_far.done, records=so_far.records, rate=so_far.rate)

    plain = _plain(spark)
    ways: dict[str, Callable[[int], float]] = {
        "by hand": lambda factor: _by_hand(it, plain, factor),
        "by hand, with our settings": lambda factor: _by_hand(it, spark, factor),
        "reprocess": lambda factor: _reprocessed(it, spark, factor, RECORDS),
        f"reprocess in {PARTS} parts": lambda factor: _reprocessed(it, spark, factor, parts),
        f"reprocess in {PARTS} parts, told": lambda factor: _reprocessed(it, spark, factor, parts, told),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for n in range(ROUNDS + 1):
        for k, (way, seconds) in enumerate(ways.items()):
            taken[way].append(seconds(2 + n * len(ways) + k))
    counted = {way: of[1:] for way, of in taken.items()}
    by_hand, *_, untold, told_of = counted
    control = dict.fromkeys(counted, by_hand) | {told_of: untold}
    return [_row(way, of, control=(control[way], counted[control[way]])) for way, of in counted.items()]


def _plain(spark: SparkSession) -> SparkSession:
    """A session of the same engine as the manuals of Spark and Delta set it up: without what Dovetail sets beyond."""
    plain = spark.newSession()
    for key in engine.CONF:
        if plain.conf.isModifiable(key) and not key.startswith(DELTA):
            plain.conf.unset(key)
    return plain


def _by_hand(it: Bed, spark: SparkSession, factor: int) -> float:
    """The job that one would write: read, transform, group, write."""
    from pyspark.sql import functions as F

    out = it.folder / f"by-hand-{factor}"
    began = time.monotonic()
    rows: DataFrame = spark.read.format("delta").load(str(it.project.layout.master("events")))
    rows = rows.withColumn("amount", F.col("quantity") * F.col("price") * F.lit(factor))
    states = rows.groupBy("shop", "product", F.date_trunc("day", "at").alias("day")).agg(
        F.count(F.lit(1)).alias("rows"), F.sum("quantity").alias("pieces"), F.sum("amount").alias("revenue"),
        F.sum("price").alias("sum_price"), F.count("price").alias("n_price"),
    )  # fmt: skip
    states.write.format("delta").save(str(out))
    seconds = time.monotonic() - began
    shutil.rmtree(out)
    return seconds


def _reprocessed(
    it: Bed,
    spark: SparkSession,
    factor: int,
    part: int,
    on_part: Callable[[reprocessing.Progress], None] = lambda _: None,
) -> float:
    """From the changed file to the manifest that names all of its history; given up afterwards."""
    project = _changed(it, factor, part)
    view = project.view("sales")
    began = time.monotonic()
    manifest, version = reprocessing.run(project, view, it.log, spark, on_part=on_part)
    seconds = time.monotonic() - began
    runs = manifest.staged_of(version)
    if sum(r.records for r in runs) != RECORDS:
        raise RuntimeError(f"{runs} are not all records: the figure would be of something else")
    reprocessing.give_up(project, view)
    for each in runs:
        shutil.rmtree(project.layout.run(version, each.id))
    return seconds


def _changed(it: Bed, factor: int, part: int = RECORDS) -> projects.Project:
    """The project with another amount, as a new process would read it."""
    (it.folder / "amounts.py").write_text(AMOUNTS.format(factor=factor))
    for name in ("views", "amounts"):
        sys.modules.pop(name, None)
    os.environ["DOVETAIL__BATCH__RECORDS_PER_PART"] = str(part)
    return projects.load(settings.load(it.folder))


def _switched(it: Bed, spark: SparkSession) -> list[dict[str, Any]]:
    """From before the command replaces the manifest to the first answer that names the other version."""
    project = _changed(it, 1_000)
    view = project.view("sales")
    _, new = reprocessing.run(project, view, it.log, spark)
    it.processes.start("serve", "serve")
    url = f"http://127.0.0.1:{it.port}/v1/views/sales/query?measures=rows"
    wait(url)
    waited: dict[str, list[float]] = {"promote": [], "rollback": []}

    def now() -> Manifest:
        found = job.live(project, view)
        if found is None:
            raise RuntimeError("there is no manifest")
        return found

    for _ in range(SWITCHES):
        for verb, to in (("promote", partial(change.to_promote, declared=new)), ("rollback", change.to_go_back)):
            manifest = now()
            runs = to(manifest)
            with _Reader(url, runs[-1].version) as reader:
                began = time.monotonic()
                change.switch(project, view, manifest, runs, note="bench", back=verb == "rollback")
                waited[verb].append(reader.first() - began)
    return [_row(f"{verb} until it is answered", of) for verb, of in waited.items()]


class _Reader:
    """One client that asks on and on, until an answer names `version`."""

    def __init__(self, url: str, version: str) -> None:
        self._url, self._version = url, version
        self._at: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def first(self) -> float:
        """When the first such answer came; waits for it."""
        self._thread.join(30)
        if self._at is None:
            raise RuntimeError(f"{self._version} is not answered from within 30 s")
        return self._at

    def _ask(self) -> None:
        with httpx.Client() as http:
            while not self._stopped.wait(POLL_S):
                if http.get(self._url).raise_for_status().json()["receipt"]["version"] == self._version:
                    self._at = time.monotonic()
                    return


def _row(what: str, seconds: list[float], *, control: tuple[str, list[float]] | None = None) -> dict[str, Any]:
    """`control` is whose rate stands beside, and its seconds; None where no records are counted."""
    median = statistics.median(seconds)
    return {
        "what": what,
        "n": len(seconds),
        "median s": median,
        "worst s": max(seconds),
        "records/s": f"{RECORDS / median:,.0f}" if control else "",
        "rate": f"{statistics.median(control[1]) / median:.3f} of {control[0]}" if control else "",
    }
