"""What only the engine can say about a project: an empty frame is folded through each view."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.shared import versions
from dovetail.shared.check import Problem, Report, subject, unknown_columns
from dovetail.shared.declare import Source, View
from dovetail.shared.decode import RAW, decode, decoded
from dovetail.shared.engine import arrow, hush
from dovetail.shared.errors import DovetailError, engine_message
from dovetail.shared.fold import fold, misfits
from dovetail.shared.judge import unfit
from dovetail.shared.project import Project


def look_deeper(report: Report, spark: SparkSession) -> Report:
    """The report with what the engine finds in the views that reading found nothing in."""
    project = report.project
    if project is None:
        return report
    hush()
    rules = [p for source in project.sources.values() for p in _of_rules(source, spark)]
    report = replace(report, problems=(*report.problems, *rules))
    found = [p for view in report.sound for p in _of_view(project, view, spark)]
    return replace(report, problems=(*report.problems, *found))


def _of_rules(source: Source, spark: SparkSession) -> Iterator[Problem]:
    for rule, error in unfit(source, spark):
        message = error.what if isinstance(error, DovetailError) else engine_message(error, [*source.columns])
        yield Problem(subject(source), f"rule '{rule.name}': {message}", rule.where)


def _of_view(project: Project, view: View, spark: SparkSession) -> Iterator[Problem]:
    decoder = view.source.as_json()
    placed = any(m.placed for m in view.measures.values())
    rows = decoded(decode(spark.createDataFrame([], RAW), decoder), decoder, placed=placed)
    try:
        transformed = view(rows)
        columns = transformed.columns
    except DovetailError as error:
        yield Problem(view.name, error.what, error.where or view.where, error.next)
        return
    except Exception as error:  # noqa: BLE001  user code: anything may come out of it
        yield _raised(error, view, project.settings.folder, rows.columns)
        return
    problems = [*unknown_columns(view, columns), *_of_measures(view, transformed)]
    yield from problems
    if not problems:
        yield from _of_fold(project, view, rows)


def _of_measures(view: View, transformed: DataFrame) -> Iterator[Problem]:
    for name, measure in view.measures.items():
        try:
            message = misfits(transformed, {name: measure}).get(name, "")
            if not message:
                _ = transformed.agg(*(F.expr(s.prepared) for s in measure.states)).schema
        except Exception as error:  # noqa: BLE001  the user's expression: anything may come out of it
            message = engine_message(error, transformed.columns)
        # A column alone was already found to be missing, without the engine's words.
        if message and not any(s.expr and message.startswith(f"unknown column '{s.expr}'") for s in measure.states):
            yield Problem(view.name, f"measure {name}: {message}", view.where)


def _of_fold(project: Project, view: View, rows: DataFrame) -> Iterator[Problem]:
    """Folds as both layers would: with the stored code, in a place of its own."""
    declared, folder = project.declared[view.name], project.settings.folder
    try:
        with tempfile.TemporaryDirectory() as scratch:
            stored = Path(scratch) / "version"
            versions.store(view, folder, versions.python_files(folder), declared.module, declared.attribute, stored)
            arrow(fold(rows, versions.load(stored)))
    except DovetailError as error:
        yield Problem(view.name, error.what, error.where or view.where)
    except Exception as error:  # noqa: BLE001  user code, run by the engine
        yield _raised(error, view, folder, rows.columns)


def _raised(error: Exception, view: View, folder: Path, columns: list[str]) -> Problem:
    """What a transform raised, at the last line of the project that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
    where = f"{Path(frames[-1].filename).relative_to(folder)}:{frames[-1].lineno}" if frames else view.where
    function = f"{frames[-1].name}: " if frames else ""
    return Problem(view.name, function + engine_message(error, columns), where)
