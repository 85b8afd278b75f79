"""From decoded rows to states: transform, group by keys and bucket, prepare. Both layers fold with this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType, IntegralType, NullType, NumericType

from dovetail.shared.commit import Folded
from dovetail.shared.decode import KEPT_APART, META, POSITION, REASON, decode, decoded
from dovetail.shared.engine import arrow, arrow_slices
from dovetail.shared.errors import UserCodeError
from dovetail.shared.failing import sparing
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import Books, VersionId
from dovetail.shared.measures import Measure
from dovetail.shared.position import Range
from dovetail.shared.repeats import DIGEST
from dovetail.shared.versions import Bundle

BUCKET, ROWS = "_bucket", "_rows"


def fold(rows: DataFrame, bundle: Bundle) -> DataFrame:
    """The states of `rows`: keys, `_bucket` (if any), a column per state, and `_rows`, the rows in each group.

    Decimals get all 38 digits, so that merging states never overflows before the answer would.

    Raises:
        UserCodeError: the transform raised, or made columns that keys, measures or the bucket do not fit.
    """
    transformed = _transformed(rows, bundle)
    with user_code(bundle):
        found = misfits(transformed, bundle.measures)
    for name, reason in found.items():
        raise UserCodeError(f"measure {name} of {bundle.name}: {reason}", where=bundle.where)
    grouped = _grouped(transformed, bundle)
    states = {s.column for m in bundle.measures.values() for s in m.states}
    widths = {f.name: f.dataType for f in grouped.schema if f.name in states and isinstance(f.dataType, DecimalType)}
    return grouped.withColumns({c: F.col(f"`{c}`").cast(DecimalType(38, t.scale)) for c, t in widths.items()})


def misfits(transformed: DataFrame, measures: Mapping[str, Measure]) -> dict[str, str]:
    """Why measures cannot be had from these columns although SQL would accept it, by name: a sum of text, say."""
    numeric = (s.expr for m in measures.values() for s in m.states if s.kind.numeric)
    asked = [*dict.fromkeys((*(sign for m in measures.values() for sign in m.signs), *numeric))]
    types = dict(zip(asked, (f.dataType for f in transformed.selectExpr(*asked).schema), strict=True))
    found = {name: _misfit(measure, types, transformed.columns) for name, measure in measures.items()}
    return {name: reason for name, reason in found.items() if reason}


def _misfit(measure: Measure, types: Mapping[str, DataType], columns: Sequence[str]) -> str:
    for sign in measure.signs:
        if not isinstance(types[sign], IntegralType):
            return f"{measure.name}: sign '{sign}' is {types[sign].simpleString()}: make it a whole number, as an int"
    for state in measure.states:
        if state.kind.placed and not {*POSITION} <= {*columns}:
            kept = " and ".join(POSITION)
            return f"{measure.name} needs each row's position: keep {kept} where the transform selects columns"
        if state.kind.numeric and not isinstance(types[state.expr], NumericType | NullType):
            return f"{measure.name} of '{state.expr}': {types[state.expr].simpleString()} is not a number"
    return ""


def grouping(bundle: Bundle) -> list[str]:
    """SQL of what transformed rows are grouped by: the keys, and `_bucket` if there is one."""
    keys = [f"`{key}`" for key in bundle.keys]
    if bundle.bucket_seconds is None or bundle.view.source.event_time is None:
        return keys
    return [*keys, _bucket(bundle.view.source.event_time, bundle.bucket_seconds)]


@contextmanager
def user_code(bundle: Bundle) -> Iterator[None]:
    """Raises UserCodeError, with the view and its line, for whatever the transform of `bundle` raises in it."""
    try:
        yield
    except Exception as error:  # user code: anything may come out of it
        raise UserCodeError(
            f"the transform of {bundle.name} does not fit its keys and measures, or raised: {_first_line(error)}",
            where=bundle.where,
            next="dovetail check --deep",
        ) from error


def _transformed(rows: DataFrame, bundle: Bundle) -> DataFrame:
    with user_code(bundle):
        return bundle.view(rows)


def _grouped(transformed: DataFrame, bundle: Bundle) -> DataFrame:
    # SQL text: a micro-batch is planned anew, and every Column object costs it calls to the engine.
    with user_code(bundle):
        states = {s.column: s.prepared for m in bundle.measures.values() for s in m.states}  # a state may serve several
        aggregates = [F.expr(f"{sql} as `{column}`") for column, sql in {**states, ROWS: "count(1)"}.items()]
        return transformed.groupBy(*map(F.expr, grouping(bundle))).agg(*aggregates)


def _bucket(event_time: str, seconds: int) -> str:
    at = f"unix_micros(cast(`{event_time}` as timestamp))"
    return f"timestamp_micros({at} - pmod({at}, {seconds * 1_000_000})) as `{BUCKET}`"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def folded(rows: DataFrame, judge: Judge, bundles: Iterable[Bundle], span: Range, *, keep: bool = False) -> Folded:
    """What decoded records come to, for each of `bundles`.

    One job a version: the first also counts the records and what the rules want to know of them. Decimals are as wide
    as sums make them: the states' table widens them, as `fold` does.

    Args:
        rows: the result of `decode` with the judge's decoder.
        span: which records they are, for messages.
        keep: hold them in memory meanwhile, as is done where the judge looks first: for rows that are costly to read.

    Raises:
        RuleBroken: a rule of the source says `fail` of a record, or of all of them; or too many go to quarantine.
        VersionFails: one of `bundles` cannot be had of these records, and not for the sake of a few of them.
    """
    bundles, rows = [*bundles], judge.without_forgotten(rows)
    if not (keep or judge.looks_first):
        return _folded(rows, rows, judge, bundles, span)
    kept = rows.selectExpr(*_kept(judge, bundles)).persist()
    try:
        return _folded(kept, rows, judge, bundles, span)
    finally:
        kept.unpersist()


def _kept(judge: Judge, bundles: Sequence[Bundle]) -> list[str]:
    """The columns that are needed; the bytes only of records in quarantine, where every version decodes alike."""
    schema = [f"`{name}`" for name in judge.decoder["schema"]]
    if any(b.decoder != judge.decoder for b in bundles):
        return [*META, *schema, REASON, DIGEST]
    there = [f"if({REASON} is null, null, {c}) as {c}" for c in ("_key", "_value")]
    return [*POSITION, "_timestamp", *there, *schema, REASON, DIGEST]


def _folded(rows: DataFrame, whole: DataFrame, judge: Judge, bundles: Sequence[Bundle], span: Range) -> Folded:
    """`whole` are the same rows with all their bytes."""
    repeats = judge.repeats(rows)
    rows = without(rows.sparkSession.createDataFrame(repeats.places) if len(repeats) else None, rows)
    apart = judge.repeats_apart(rows, whole, bundles)
    counted, counts = _counted(rows, judge)
    states: dict[VersionId, Iterable[pa.Table]] = {}
    failing: dict[VersionId, pa.Table] = {}
    for bundle in bundles:
        fold_it = partial(_states, decoder=judge.decoder, bundle=bundle)
        again = apart.get(bundle.version)
        its = rows if again is None else without(rows.sparkSession.createDataFrame(places(again)), rows)
        first = its if states or again is not None else counted
        states[bundle.version], failed = sparing(its, bundle.version, fold_it, first=first, whole=whole)
        if parts := [table for table in (again, failed) if table is not None]:
            failing[bundle.version] = pa.concat_tables(parts)
    if not states or next(iter(states)) in failing:  # nothing has run that counts
        counted, counts = _counted(rows, judge)
        arrow(counted.select(REASON).groupBy().count())
    figures, failed_for_some = counts.get, _failed(rows, failing.values())
    books = _books(figures, dropped=judge.dropped(figures), repeats=len(repeats), failed=failed_for_some)
    judgement = judge.judged(rows, figures, books, span)
    found = Folded(
        states=states,
        books=books,
        quarantined=_quarantined(rows, judge.dropping) if books.quarantined else None,
        repeats=repeats.places if len(repeats) else None,
        newest=max((n for n in (figures["newest"], repeats.newest) if n is not None), default=None),
        decoder=judge.decoder_id,
        broken={**judgement.broken, **repeats.broken},
        stats=judgement.stats,
        failing=failing,
        horizon=judge.horizon,
        published=judge.learn,
    )
    if judge.alarm:
        judge.alarm.check(found, span)
    return found


def without(places: DataFrame | None, rows: DataFrame) -> DataFrame:
    """The rows that lie at none of these places, columns of POSITION; all of them where there are none."""
    return rows if places is None else rows.join(places, [*POSITION], "left_anti")


def _counted(rows: DataFrame, judge: Judge) -> tuple[DataFrame, Observation]:
    counts = Observation()
    counted = rows.observe(
        counts,
        F.expr("count(1) as consumed"),
        F.expr(f"count({REASON}) as unseen"),
        F.expr("unix_millis(max(_timestamp)) as newest"),
        *(F.expr(f"{sql} as `{name}`") for name, sql in judge.figures.items()),
    )
    return counted, counts


def _states(rows: DataFrame, decoder: Mapping[str, Any], bundle: Bundle) -> list[pa.Table]:
    return [*arrow_slices(_grouped(_transformed(_rows_for(rows, decoder, bundle), bundle), bundle), bundle.keys)]


def _failed(rows: DataFrame, failing: Iterable[pa.Table]) -> int:
    """How many of the records that views see failed for one of them or more."""
    found = [places(records) for records in failing]
    if not found:
        return 0
    every = rows.sparkSession.createDataFrame(pa.concat_tables(found))
    return rows.where(f"{REASON} is null").join(every, [*POSITION], "left_semi").count()


def places(records: pa.Table) -> pa.Table:
    """Where records set apart lie, columns of POSITION."""
    return records.select(["partition", "offset"]).rename_columns([*POSITION])


def _books(figures: Mapping[str, Any], *, dropped: int, repeats: int, failed: int) -> Books:
    consumed, unseen = figures["consumed"] + repeats, figures["unseen"]
    quarantined = unseen - dropped
    return Books(
        consumed=consumed,
        decoded=consumed - quarantined,
        quarantined=quarantined,
        repeats=repeats,
        failed=failed,
        offered=consumed - repeats - unseen - failed,
        dropped=dropped,
    )


def _rows_for(rows: DataFrame, decoder: Mapping[str, Any], bundle: Bundle) -> DataFrame:
    if bundle.decoder == decoder:
        return decoded(rows, decoder, placed=bundle.placed)
    return decoded(decode(rows.select(*META), bundle.decoder), bundle.decoder, placed=bundle.placed)


def _quarantined(rows: DataFrame, dropping: Sequence[str]) -> pa.Table:
    kept = rows.where(
        F.col(REASON).isNotNull() & ~F.col(REASON).isin(*dropping) if dropping else F.col(REASON).isNotNull()
    )
    return arrow(kept.selectExpr(*KEPT_APART, f"{REASON} as reason"))
