"""What `dovetail diff` shows and keeps beside its figures: records behind the groups that differ most."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dovetail.batch.diff import Diff
    from dovetail.shared.declare import View
    from dovetail.shared.manifest import Run
    from dovetail.shared.project import Project

SAMPLES = typer.Option(
    None, min=0, help="Records shown behind each group that differs most; all are read for it. 3 where they are few."
)
FEW = 3


def keep(project: Project, view: str, found: Diff, *, within: float) -> None:
    """Keeps the figures of a diff, for the page and whoever looks next."""
    from dovetail.shared import last_diff
    from dovetail.shared.last_diff import LastDiff

    groups = found.found
    measures = {
        m.measure: {
            "differing": m.differing,
            **{side: None if (total := getattr(m, side)) is None else str(total) for side in ("before", "after")},
        }
        for m in groups.measures
    }
    told = LastDiff(
        found.before, found.after, found.seq, time.time(), within, groups.groups, groups.gone, groups.new, measures
    )
    last_diff.keep(project.layout, view, told)


def records_behind(
    output: Output,
    project: Project,
    view: View,
    found: Diff,
    runs: tuple[tuple[Run, ...], tuple[Run, ...]],
    spark: SparkSession,
    *,
    samples: int | None,
) -> list[dict[str, Any]]:
    """Shows records behind the groups that differ most, and gives them; says why where it shows none."""
    from dovetail.batch.samples import samples as find
    from dovetail.shared.errors import ServiceMissing, UserCodeError
    from dovetail.shared.ledger_table import DeltaLedger
    from dovetail.shared.position import Range
    from dovetail.shared.quarantine import inert
    from dovetail.shared.records import records_of

    if found.found.same or samples == 0:
        return []
    rows = DeltaLedger(project.layout.ledger(view.source.name)).rows()
    every = sum(row.books.consumed for row in rows)
    if samples is None and every > project.settings.batch.records_per_part:
        output.line(f"  dovetail diff {view.name} --samples {FEW} reads {counted(every, 'record')} for those behind it")
        return []
    try:
        span, log = Range(rows[0].to, rows[-1].to), find_log(project.settings)
        records = records_of(view.source, span, project.layout, log, spark)
        told = find(project, view, found, *runs, records, limit=FEW if samples is None else samples)
    except (ServiceMissing, UserCodeError) as error:
        if samples is not None:
            raise
        output.warn(f"no records are shown: {error.what}")
        return []
    document: list[dict[str, Any]] = [
        {"group": s.group, "records": [(str(r), inert(v.decode("utf-8", "replace"))) for r, v in s.records]}
        for s in told
    ]
    for sample in document:
        output.line("  " + (" ".join(f"{name}={value}" for name, value in sample["group"].items()) or "all") + ":")
        for place, value in sample["records"]:
            output.line(f"    {place}  {value}")
    return document
