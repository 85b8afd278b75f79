"""What rows to be imported come to: which can be read, which the log or an earlier import holds, when they happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from dovetail.batch import imported
from dovetail.batch.import_overlap import events, examples_of, overlapping
from dovetail.batch.imported import AGAIN
from dovetail.shared.declare import Source
from dovetail.shared.decode import FORGOTTEN, META, POSITION, REASON, decode, judged, parsed
from dovetail.shared.engine import arrow
from dovetail.shared.errors import RuleBroken, UsageError, engine_message
from dovetail.shared.failing import said
from dovetail.shared.fold import without
from dovetail.shared.forgotten import ForgetList
from dovetail.shared.imports import Import
from dovetail.shared.judge import broken_by
from dovetail.shared.log import Log
from dovetail.shared.position import RecordId
from dovetail.shared.rules import Rule
from dovetail.shared.tables import Layout

Overlap = Literal["refuse", "skip", "unchecked"]
NONE = "cast(array() as array<int>)"


@dataclass(frozen=True)
class Wanted:
    """What is to be imported.

    `where` is SQL on the schema's columns: rows for which it is not true are left out, but for those that cannot be
    read, of which nobody knows. `timestamp` is the column that stands for Kafka's timestamp, the event time where it is
    empty. `overlap` is what becomes of rows whose event id is in the log: `unchecked` says that somebody knows there
    are none.
    """

    files: tuple[str, ...]
    form: str | None = None
    where: str = ""
    timestamp: str = ""
    overlap: Overlap = "refuse"
    note: str = ""


@dataclass(frozen=True)
class Found:
    """What rows come to: `rows` were read, `records` are to be held; `forgotten` rows, about whom the source has
    forgotten, are left out.

    `bad` are, by reason, those that go to quarantine, with the first; `dropped` those that a rule drops. `overlapping`
    rows have an event id that is in the log, `examples` say of some where; `left_out` are not imported for that.
    `repeats` have the event id of an earlier row. `oldest` and `newest` are timestamps, in seconds since 1970.
    """

    rows: int
    forgotten: int
    records: int
    bad: Mapping[str, tuple[int, RecordId]]
    dropped: int
    overlapping: int
    left_out: int
    examples: Sequence[tuple[RecordId, RecordId]]
    repeats: int
    oldest: float | None
    newest: float | None


@contextmanager
def looked(
    raw: Path, number: int, source: Source, wanted: Wanted, *,
    layout: Layout, earlier: Sequence[Import], log: Callable[[], Log], spark: SparkSession,
) -> Iterator[tuple[Found, DataFrame]]:  # fmt: skip
    """What the rows in the file `raw`, columns `_offset` and `_value`, come to as import `number`; and the records to
    be held, columns of META and AGAIN, to be read while the block runs.

    Raises:
        UsageError: `where` or `timestamp` does not fit the rows, or none of them would count.
        RuleBroken: a rule of the source says `fail` of a row.
    """
    read = spark.read.parquet(str(raw))
    every = _timed(parsed(_placed(read, number), source.as_json()), source, wanted.timestamp)
    every, forgotten = _without_forgotten(every, source, layout)
    kept = judged(every.where(_chosen(every, source, wanted.where)), source.as_json()).persist()
    persisted = [kept]
    try:
        bad = _bad(kept, source, wanted.where)
        _refuse_failing(kept, source)
        twice, rest, found = 0, kept, list[tuple[RecordId, RecordId]]()
        if source.event_id and wanted.overlap != "unchecked":
            persisted.append(again := overlapping(kept, source, wanted.where, layout, log(), spark).persist())
            twice, found = again.count(), examples_of(again)
            rest = without(again.select(*POSITION), kept) if twice and wanted.overlap == "skip" else kept
        persisted.append(marked := _marked(rest, number, source, layout, earlier).persist())
        figures = _figures(marked, wanted)
        dropping = {r.reason for r in source.rules if isinstance(r, Rule) and r.otherwise == "drop"}
        yield (
            Found(
                rows=read.count(),
                forgotten=forgotten,
                bad={reason: each for reason, each in bad.items() if reason not in dropping},
                dropped=sum(n for reason, (n, _) in bad.items() if reason in dropping),
                overlapping=twice,
                left_out=twice if wanted.overlap == "skip" else 0,
                examples=found,
                **figures,
            ),
            marked.select(*META, AGAIN),
        )
    finally:
        for frame in persisted:
            frame.unpersist()


def _placed(read: DataFrame, number: int) -> DataFrame:
    """The rows as records without a key, headers or a timestamp yet."""
    none = {"_timestamp": "timestamp", "_key": "binary", "_headers": "array<struct<key: string, value: binary>>"}
    columns = {"_partition": f"cast({-number} as int)", "_offset": "_offset", "_value": "_value"}
    columns |= {name: f"cast(null as {kind})" for name, kind in none.items()}
    return read.selectExpr(*(f"{columns[name]} as {name}" for name in META))


def _without_forgotten(rows: DataFrame, source: Source, layout: Layout) -> tuple[DataFrame, int]:
    """Without those about somebody whom the source has forgotten, and how many these are."""
    known = ForgetList.of(layout, source.name)
    if known is None:
        return rows, 0
    blanked, theirs = known.blanked(rows), f"{REASON} is not distinct from '{FORGOTTEN}'"
    return blanked.where(f"not ({theirs})"), blanked.where(theirs).count()


def _timed(rows: DataFrame, source: Source, timestamp: str) -> DataFrame:
    """With what stands for Kafka's timestamp; of a column that the schema does not have it is read from the bytes."""
    column = timestamp or (source.event_time if source.event_time in source.columns else None)
    if column is None:
        return rows
    if column in source.columns:
        return rows.withColumn("_timestamp", F.expr(f"try_cast(`{column}` as timestamp)"))
    read = F.from_json(F.expr("cast(_value as string)"), f"`{column}` timestamp", {"timeZone": "UTC"})
    return rows.withColumn("_timestamp", read[column])


def _chosen(rows: DataFrame, source: Source, where: str) -> Column:
    if not where:
        return F.lit(True)
    try:
        (found,) = rows.selectExpr(f"({where}\n) as chosen").schema
    except Exception as error:  # the user's SQL: anything may come out of it
        raise UsageError(f"--where: {engine_message(error, source.columns)}") from error
    kind = found.dataType.simpleString()
    if kind != "boolean":
        raise UsageError(f"--where gives {kind}, not true or false", where=where)
    return F.col(REASON).isNotNull() | F.coalesce(F.expr(f"({where}\n)"), F.lit(False))


def _bad(kept: DataFrame, source: Source, where: str) -> dict[str, tuple[int, RecordId]]:
    """By reason how many rows no view sees, and the first of them; most first.

    Raises:
        UsageError: all of them, or there is no row.
    """
    counts = kept.groupBy(REASON).agg(F.count(F.lit(1)).alias("n"), F.min(F.struct(*POSITION)).alias("first"))
    try:
        found = arrow(counts.orderBy(F.desc("n"))).to_pylist()
    except Exception as error:
        if where and said(error):
            raise UsageError(f"--where: {engine_message(error, source.columns)}") from error
        raise
    bad = {r[REASON]: (r["n"], RecordId(*r["first"].values())) for r in found if r[REASON] is not None}
    if not found:
        raise UsageError("no row is left to import", where=f"--where {where}" if where else "")
    if len(bad) == len(found):
        reason, (n, first) = next(iter(bad.items()))
        raise UsageError(f"no view would count any of these rows: {reason}", where=f"{first} and {n - 1:,} more")
    return bad


def _refuse_failing(kept: DataFrame, source: Source) -> None:
    rules = [r for r in source.rules if isinstance(r, Rule) and r.otherwise == "fail"]
    for rule in rules:
        broken = kept.where(broken_by(rule)).orderBy(*POSITION).select(*POSITION).limit(1).collect()
        if broken:
            raise RuleBroken(
                f"row {RecordId(*broken[0])} breaks the rule '{rule.name}', which says fail",
                where=rule.where,
                why="nothing is imported",
                next="narrow what is imported by --where, or change the rule",
            )


def _figures(marked: DataFrame, wanted: Wanted) -> dict[str, Any]:
    (found,) = arrow(
        marked.agg(
            F.count(F.lit(1)).alias("records"),
            F.count_if(F.size(AGAIN) > 0).alias("repeats"),
            *(F.expr(f"{f}(unix_micros(_timestamp)) / 1e6 as {name}") for f, name in _TIMES),
        )
    ).to_pylist()
    if not found["records"]:
        raise UsageError("each row has an event id that is in the log: nothing is left to import")
    if wanted.timestamp and found["oldest"] is None:
        raise UsageError(f"--timestamp {wanted.timestamp}: no row has a time there")
    return dict(found)


_TIMES = (("min", "oldest"), ("max", "newest"))


def _marked(rows: DataFrame, number: int, source: Source, layout: Layout, earlier: Sequence[Import]) -> DataFrame:
    """With AGAIN: an event that comes again within the source's horizon, in these rows or in an earlier import."""
    if not source.event_id:
        return rows.withColumn(AGAIN, F.expr(NONE))
    good, bad = rows.where(f"{REASON} is null"), rows.where(f"{REASON} is not null").withColumn(AGAIN, F.expr(NONE))
    in_time = Window.partitionBy(*source.event_id).orderBy("_timestamp", "_offset")
    before = good.withColumn("_before", F.lag(F.struct("_timestamp")).over(in_time))
    own = F.when(F.col("_before").isNotNull() & _near("_before._timestamp", source), F.array(F.lit(number)))
    marked = before.withColumn(AGAIN, F.coalesce(own, F.expr(NONE))).drop("_before")
    if earlier:
        marked = _with_earlier(marked, source, layout, earlier)
    return marked.unionByName(bad)


def _with_earlier(good: DataFrame, source: Source, layout: Layout, earlier: Sequence[Import]) -> DataFrame:
    """With the earlier imports that hold the same event added to AGAIN."""
    held = imported.held(layout, source.name, earlier, good.sparkSession).select(*META)
    theirs, same = events(decode(held, source.as_json()), source, "_timestamp as _then", "-_partition as _of")
    found = good.join(theirs, same & _near("_then", source)).groupBy(*POSITION)
    others = found.agg(F.sort_array(F.collect_set("_of")).alias("_others"))
    both = F.concat(F.col(AGAIN), F.coalesce("_others", F.expr(NONE)))
    return good.join(others, [*POSITION], "left").withColumn(AGAIN, both).drop("_others")


def _near(other: str, source: Source) -> Column:
    """Within the horizon in which a repeat counts once; also where there is no timestamp to tell."""
    apart = F.abs(F.unix_micros("_timestamp") - F.unix_micros(other))
    return F.coalesce(apart <= source.horizon.total_seconds() * 1e6, F.lit(True))
