"""Reads dimensions from where they are kept, and keeps a new version of each that changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.shared.dimensions import Dimension, Joins, Version, Versions
from dovetail.shared.engine import arrow
from dovetail.shared.errors import Busy, DovetailError, Mend, ServiceMissing, unknown
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.options import resolved
from dovetail.shared.project import Project

MOST_ROWS = 5_000_000
"""Serving holds dimensions in memory."""
LOOK_EVERY = 1.0
DRIVER = "org.postgresql.Driver"
SHOWN = 3

Told = Callable[[str], None]


def link(project: Project) -> None:
    """Tells serving which dimensions each view's questions may use."""
    for view in project.views.values():
        with held(project.layout.lock(f"joins-{view.name}"), f"the dimensions of {view.name}"):
            Joins(project.layout, view.name).set([d.name for d in view.dimensions])


def refresh_all(project: Project, log: Log, spark: SparkSession, *, tell: Told = lambda _: None) -> None:
    """Looks at every dimension of the project once. One that cannot be read keeps its last version, and is told."""
    link(project)
    for dimension in project.dimensions.values():
        tell(_refreshed(project, dimension, log, spark))


def refresh(project: Project, dimension: Dimension, log: Log, spark: SparkSession) -> Version | None:
    """Keeps what the dimension holds now as a new version; None where it is what the last one holds.

    Raises:
        ServiceMissing: it cannot be reached. What was kept before stays.
        Mend: what it holds cannot be joined: a key is missing, null or repeated.
    """
    versions = Versions(project.layout, dimension.name)
    with held(project.layout.lock(f"dimension-{dimension.name}"), f"a refresh of dimension {dimension.name}"):
        try:
            rows = _checked(dimension, _read(project, dimension, log, spark))
        except DovetailError as error:
            versions.checked(problem=f"{error.what}{f' ({error.why})' if error.why else ''}")
            raise
        version = versions.add(rows, key=dimension.key)
        versions.checked()
        return version


@contextmanager
def refreshing(project: Project, log: Log, spark: SparkSession, *, tell: Told) -> Iterator[None]:
    """Looks at each dimension every so often, in a thread beside the block."""
    stop = threading.Event()
    due = {name: time.monotonic() + d.refresh_seconds for name, d in project.dimensions.items()}

    def look() -> None:
        while not stop.wait(LOOK_EVERY):
            for name, dimension in project.dimensions.items():
                if time.monotonic() >= due[name]:
                    tell(_refreshed(project, dimension, log, spark))
                    due[name] = time.monotonic() + dimension.refresh_seconds

    thread = threading.Thread(target=look, name="dovetail-dimensions", daemon=True)
    if project.dimensions:
        thread.start()
    try:
        yield
    finally:
        stop.set()


def _refreshed(project: Project, dimension: Dimension, log: Log, spark: SparkSession) -> str:
    try:
        version = refresh(project, dimension, log, spark)
    except Busy:
        return f"dimension {dimension.name}: another process is looking at it"
    except DovetailError as error:
        last = Versions(project.layout, dimension.name).last()
        kept = f"version {last.n} goes on serving" if last else "it has never been read"
        return f"dimension {dimension.name}: {error.what}; {kept}"
    return f"dimension {dimension.name}: " + (f"version {version.n}, {version.rows:,} rows" if version else "unchanged")


def _read(project: Project, dimension: Dimension, log: Log, spark: SparkSession) -> pa.Table:
    try:
        rows = _frame(project, dimension, log, spark)
        taken = rows.selectExpr(*_columns(dimension, rows)).limit(MOST_ROWS + 1)
        return arrow(taken)
    except DovetailError:
        raise
    except Exception as error:  # the engine's and the drivers': anything may come out of them
        raise ServiceMissing(
            f"dimension {dimension.name} cannot be read from {_place(dimension)}",
            where=dimension.where,
            why=_said(error),
            next="dovetail batch, once it can be",
        ) from error


def _said(error: Exception) -> str:
    """The first line that says something: the engine's bridge puts one of its own before a driver's."""
    while getattr(error, "_cause", None) is not None:  # Spark's own error says "failed", its cause says why
        error = error._cause  # type: ignore[attr-defined]
    lines = [line.lstrip(": ") for line in str(error).splitlines() if "An error occurred while calling" not in line]
    return next((line.partition(" SQLSTATE")[0] for line in lines if line), type(error).__name__)


def _frame(project: Project, dimension: Dimension, log: Log, spark: SparkSession) -> DataFrame:
    if dimension.topic is not None:
        return _last_of_topic(dimension, log, spark)
    if dimension.jdbc is not None:
        secrets = {"user": dimension.user, "password": dimension.password}
        given = {name: value for name, value in secrets.items() if value}
        options = resolved(given, folder=project.settings.folder, where=f"dimension {dimension.name}")
        options |= {"url": dimension.jdbc, "dbtable": str(dimension.table), "driver": DRIVER}
        return spark.read.format("jdbc").options(**options).load()
    path = project.settings.folder / str(dimension.path)
    if not path.exists():
        raise ServiceMissing(f"dimension {dimension.name}: {dimension.path} is not there", where=dimension.where)
    if (path / "_delta_log").is_dir():
        return spark.read.format("delta").load(str(path))
    if path.suffix == ".csv":
        return spark.read.csv(str(path), header=True, multiLine=True, escape='"')
    return spark.read.parquet(str(path))


def _last_of_topic(dimension: Dimension, log: Log, spark: SparkSession) -> DataFrame:
    topic = str(dimension.topic)
    extent = log.extent(topic)
    options = log.spark_span_options(topic, extent.begin, extent.end)
    records = spark.read.format("kafka").options(**options).load()
    last = records.groupBy("key").agg(F.max_by("value", F.struct("partition", "offset")).alias("value"))
    parsed = F.from_json(F.col("value").cast("string"), str(dimension.schema), {"mode": "FAILFAST"})
    return last.where("value IS NOT NULL").select(parsed.alias("row")).select("row.*")


def _columns(dimension: Dimension, rows: DataFrame) -> list[str]:
    wanted = dimension.columns or dict.fromkeys(rows.columns, "")
    for name in (dimension.key, *wanted):
        if name not in rows.columns:
            raise Mend(f"dimension {dimension.name}: {unknown('column', name, rows.columns)}", where=_place(dimension))
    return [f"CAST(`{name}` AS {kind}) AS `{name}`" if kind else f"`{name}`" for name, kind in wanted.items()]


def _checked(dimension: Dimension, rows: pa.Table) -> pa.Table:
    keys = rows[dimension.key]
    where = _place(dimension)
    if rows.num_rows > MOST_ROWS:
        raise Mend(f"dimension {dimension.name} has more than {MOST_ROWS:,} rows", where=where)
    if keys.null_count:
        raise Mend(f"dimension {dimension.name}: {keys.null_count} rows have no {dimension.key}", where=where)
    counts = pc.value_counts(keys.combine_chunks())
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(repeated):
        some = ", ".join(str(v) for v in repeated[:SHOWN].to_pylist())
        raise Mend(
            f"dimension {dimension.name}: {len(repeated)} keys are repeated, such as {some}",
            where=where,
            next=f"make {dimension.key} unique",
        )
    return rows


def _place(dimension: Dimension) -> str:
    return dimension.path or dimension.topic or f"{dimension.jdbc} {dimension.table}"
