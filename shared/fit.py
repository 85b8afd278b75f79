"""How a declaration fits its topic: the newest records, decoded as both layers would, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dovetail.shared.changes import image
from dovetail.shared.check import Problem, Report, subject
from dovetail.shared.declare import Source
from dovetail.shared.decode import POSITION
from dovetail.shared.drift import Finding, drift
from dovetail.shared.engine import arrow_slices, hush, is_gone
from dovetail.shared.errors import DovetailError, engine_message
from dovetail.shared.fields import Fields
from dovetail.shared.judge import unfit
from dovetail.shared.log import Extent, Log
from dovetail.shared.project import Project
from dovetail.shared.sample import newest
from dovetail.shared.verdicts import Sample, Verdicts, live, placed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SAMPLE = 1_000


@dataclass(frozen=True)
class Fit:
    """What a sample of a topic says of its source: of `sampled` records views would see `seen`."""

    source: Source
    sampled: int
    seen: int
    findings: tuple[Finding, ...]


def look_at_topics(
    report: Report, log: Log, engine: Callable[[], SparkSession], *, most: int
) -> tuple[Report, list[Fit]]:
    """The report with what the newest records of each topic have against it, and what they say of each source.

    Args:
        engine: gives a session; asked once a topic holds records, after every topic was found.
        most: the records that are looked at of each topic.

    Raises:
        ServiceMissing: no broker answers, or a topic is not there.
    """
    project = report.project
    if project is None:
        return report, []
    extents = [(source, log.extent(source.topic)) for source in report.sound_sources]
    fits = [_fit(project, source, extent, log, engine, most) for source, extent in extents]
    problems = [
        Problem(subject(fit.source), f.message, f.where or fit.source.where, f.next)
        for fit in fits
        for f in fit.findings
        if f.level == "fail"
    ]
    return replace(report, problems=(*report.problems, *problems)), fits


def _fit(
    project: Project, source: Source, extent: Extent, log: Log, engine: Callable[[], SparkSession], most: int
) -> Fit:
    if extent.begin.reaches(extent.end):
        return _empty(source)
    spark = engine()
    hush()
    if wrong := [*_unfit(source, spark)]:
        return Fit(source, 0, 0, tuple(wrong))
    with newest(extent, most, log, spark) as rows:
        sample = Sample(source, rows, _fields(rows, image if source.sign else None))
        try:
            verdicts = Verdicts.of(sample, project.settings.speed.warn_if_quarantined)
        except Exception as error:
            if is_gone(error) or not source.rules:
                raise
            return Fit(source, 0, 0, (_raises(source, error),))
        if not verdicts.records:
            return _empty(source)
        found = [*verdicts.quarantine(), *verdicts.broken()]
        for names, decoder in live(project, source):
            found += verdicts.against(names, decoder)
        return Fit(source, len(verdicts.records), verdicts.seen, (*found, *drift(source.columns, sample.fields)))


def _empty(source: Source) -> Fit:
    message = f"{source.topic} holds no records yet: there is nothing to compare with"
    return Fit(source, 0, 0, (Finding("note", "empty", message),))


def _fields(rows: DataFrame, of: Callable[[bytes | None], bytes | None] | None) -> Fields:
    fields = Fields()
    for table in arrow_slices(rows.select(*POSITION, "_value"), POSITION):
        for place, value in placed(table.to_pylist(), "_value"):
            fields.take(place, of(value) if of else value)
    return fields


def _unfit(source: Source, spark: SparkSession) -> Iterator[Finding]:
    for rule, error in unfit(source, spark):
        said = error.what if isinstance(error, DovetailError) else engine_message(error, [*source.columns])
        yield Finding("fail", "rule", f"rule '{rule.name}': {said}", where=rule.where)


def _raises(source: Source, error: Exception) -> Finding:
    said = engine_message(error, [*source.columns])
    return Finding(
        "fail", "rule", f"a rule raises at a record of {source.topic}, which would stop the job: {said}",
        next="try_divide, try_cast and their like give null instead",
    )  # fmt: skip
