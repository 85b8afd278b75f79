"""The verbs to start with: init, check, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.output import Output, counted, waited
from dovetail.cli.session import find_log, load_settings, start_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dovetail.shared.check import Report
    from dovetail.shared.declare import Source, View
    from dovetail.shared.fit import Fit
    from dovetail.shared.settings import Settings

PANEL = "Start"
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    for verb in (init, check, doctor):
        app.command(rich_help_panel=PANEL)(verb)


def init(
    name: str = typer.Argument(help="The new project, and the folder it is put in."),
    template: str | None = typer.Option(
        None, help="delivery, shop or traffic; NAME where it is one of them, else shop."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be created; write nothing."),
    as_json: bool = JSON,
) -> None:
    """Create a project from a template."""
    from dovetail.shared.template import chosen, create

    output = Output(as_json=as_json)
    made = create(Path(name), chosen(Path(name).name, template), dry_run=dry_run)
    contents = ", ".join([counted(made.sources, "source"), counted(made.views, "view"), counted(made.tests, "test")])
    if dry_run:
        output.line(f"Would create {name}/: {contents}")
        for file in made.files:
            output.line(f"  {file}")
        output.line("Nothing written.")
    else:
        output.line(f"Created {name}/: {contents}. Next: cd {name} && dovetail dev")
    output.result(
        {
            "folder": str(made.folder.resolve()),
            "template": made.template,
            "files": made.files,
            "sources": made.sources,
            "views": made.views,
            "tests": made.tests,
            "written": not dry_run,
        }
    )


def check(
    context: typer.Context,
    deep: bool = typer.Option(False, "--deep", help="Start the engine too, and fold an empty frame through each view."),
    against_topic: bool = typer.Option(
        False, "--against-topic", help="Start the engine too, and decode the newest records of each source's topic."
    ),
    sample: int = typer.Option(
        None, min=1, max=10_000, help="How many records of each topic; 1,000 where not given.", metavar="N"
    ),
    as_json: bool = JSON,
) -> None:
    """Check settings and declarations; without Java, unless --deep or --against-topic.

    Against its topic a source is held to records as they come now, committed ones, read without a group: which would
    go to quarantine and why, which fields the schema does not know, which columns have no field, what was probably
    renamed, and what the version that answers now counts otherwise. Too many for speed.warn_if_quarantined, or every
    value of a column, is a problem; nothing is written and no position moves.
    """
    from dovetail.shared.check import look
    from dovetail.shared.errors import UsageError

    if sample is not None and not against_topic:
        raise UsageError("--sample says how much of a topic is looked at", next="dovetail check --against-topic")
    output, settings = Output(as_json=as_json), load_settings(context)
    report, engine = look(settings), _Engine(settings, output)
    fits: list[Fit] = []
    if deep and report.sound:
        from dovetail.shared.deep import look_deeper

        report = look_deeper(report, engine())
    if against_topic and report.sound_sources:
        from dovetail.shared.fit import SAMPLE, look_at_topics

        report, fits = look_at_topics(report, find_log(settings), engine, most=sample or SAMPLE)
    for source in report.sound_sources:
        output.checked("ok", source.name, _source(source))
    for view in report.sound:
        output.checked("ok", view.name, _view(view))
    for fit in fits:
        _tell_fit(output, fit)
    for problem in report.problems:
        output.problem(f"{problem.subject}  {problem.message}", where=problem.where, next=problem.next)
    by = "by the engine too" if engine.started else "no Java started"
    output.line(f"{counted(len(report.problems), 'problem')} in {waited():.1f} s, {by}")
    output.result(_document(report) | ({"topics": [_fit(f) for f in fits]} if against_topic else {}))
    if report.problems:
        raise typer.Exit(1)


def doctor(context: typer.Context, as_json: bool = JSON) -> None:
    """Check this machine: Java, memory, disk, ports, jars, versions."""
    from dovetail.shared.doctor import Check, checks, of_hooks, of_kafka
    from dovetail.shared.errors import SettingsError

    output = Output(as_json=as_json)
    folder, kafka_port, serving_port, of_project = Path("data").resolve(), 9092, 8000, list[Check]()
    try:
        settings = load_settings(context)
        of_project = [*of_kafka(settings), *of_hooks(settings)]
        folder, serving_port = settings.storage.here, settings.serving.port
        kafka_port = settings.kafka.port or kafka_port
    except SettingsError as error:  # a machine can be looked at anywhere
        output.note(f"{error.what}: looking at this machine alone")
    found = [*checks(folder=folder, kafka_port=kafka_port, serving_port=serving_port), *of_project]
    for each in found:
        output.checked(each.level, each.name, each.found, each.mend)
    output.result([{"name": c.name, "level": c.level, "found": c.found, "mend": c.mend} for c in found])
    if any(c.level == "fail" for c in found):
        raise typer.Exit(3)


class _Engine:
    """Gives a session, started when first asked."""

    def __init__(self, settings: Settings, output: Output) -> None:
        self._settings, self._output = settings, output
        self._spark: SparkSession | None = None

    @property
    def started(self) -> bool:
        return self._spark is not None

    def __call__(self) -> SparkSession:
        self._spark = self._spark or start_spark(self._settings, "check", on_progress=self._output.progress())
        return self._spark


def _tell_fit(output: Output, fit: Fit) -> None:
    """The problems among the findings are told with the others."""
    if fit.sampled:
        said = f"{fit.seen:,} of the {fit.sampled:,} newest records of {fit.source.topic} would be counted"
        output.checked("ok" if fit.seen == fit.sampled else "warn", fit.source.name, said)
    for found in fit.findings:
        if found.level != "fail":
            output.checked(found.level, fit.source.name, found.message, found.next)


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "source": fit.source.name,
        "topic": fit.source.topic,
        "sampled": fit.sampled,
        "counted": fit.seen,
        "findings": [
            {
                "level": f.level,
                "kind": f.kind,
                "column": f.column,
                "message": f.message,
                "records": f.records,
                "first": str(f.first) if f.first else None,
                "next": f.next,
            }
            for f in fit.findings
        ],
    }


def _source(source: Source) -> str:
    """`json, 15 columns, event time ordered_at`"""
    time = f", event time {source.event_time}" if source.event_time else ""
    rules = f", {counted(len(source.rules), 'rule')}" if source.rules else ""
    return f"{source.format.name}, {counted(len(source.columns), 'column')}{time}{rules}"


def _view(view: View) -> str:
    """`by postal_code, product_code per 1h: lines revenue biggest`"""
    keys = f"by {', '.join(view.keys)}" if view.keys else "over all"
    return f"{keys}{f' per {view.bucket}' if view.bucket else ''}: {' '.join(view.measures)}"


def _document(report: Report) -> dict[str, Any]:
    project = report.project
    return {
        "sources": list(project.sources) if project else [],
        "views": [v.name for v in report.sound],
        "problems": [
            {"subject": p.subject, "message": p.message, "where": p.where, "next": p.next} for p in report.problems
        ],
    }
