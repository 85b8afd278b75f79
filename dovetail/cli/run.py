"""The verbs that run the layers: dev, demo, archive, speed, batch, serve, kafka."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dovetail.cli.despite import BECAUSE, DESPITE_GATES, reason_for
from dovetail.cli.nightly import due
from dovetail.cli.output import Output
from dovetail.cli.session import find_log, load_project, load_settings, start_spark, writable
from dovetail.shared import duration
from dovetail.shared.aside import obeying, stood_in_for
from dovetail.shared.declare import Source, View
from dovetail.shared.errors import GateClosed, UsageError
from dovetail.shared.ledger import view_of
from dovetail.shared.locks import held, is_held
from dovetail.shared.project import Project, load

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dovetail.batch.recompute import Plan
    from dovetail.shared.log import Log

PANEL = "Run"
JSON = typer.Option(False, "--json", help="One JSON document a line.")


def register(app: typer.Typer) -> None:
    for verb in (dev, demo, archive, speed, batch, serve, kafka):
        app.command(rich_help_panel=PANEL)(verb)


def dev(context: typer.Context, as_json: bool = JSON) -> None:
    """Run every layer on this machine, with a broker and a generator, until Ctrl-C."""
    from dovetail.cli.dev import run

    run(load_project(context, logged=True), Output(as_json=as_json))


def demo(
    seconds: float = typer.Option(0, help="End after about this long; 0 keeps serving until Ctrl-C."),
    folder: str = typer.Option("dovetail-demo", help="Where the demo's project is made; emptied first."),
    as_json: bool = JSON,
) -> None:
    """Show the joint at work: a batch while events flow, a kill in mid write, a late record, and the proof."""
    from dovetail.cli.demo import run

    run(Path(folder), Output(as_json=as_json), seconds=seconds)


def archive(
    context: typer.Context,
    source: str = typer.Argument(None, help="Which source; needed where the project has several."),
    as_json: bool = JSON,
) -> None:
    """Copy the log into the master dataset, continuously."""
    from dovetail.batch.archive_job import CONF, run
    from dovetail.batch.dimensions import refresh_all, refreshing

    output, project = Output(as_json=as_json), load_project(context, logged=True)
    named = _one_source(project, source)
    writable(project.settings)
    _refuse_second(project, f"archive-{named.name}", f"the archive of {named.name}")
    log = find_log(project.settings)
    log.extent(named.topic)
    spark = start_spark(project.settings, "archive", conf=CONF, on_progress=output.progress())
    refresh_all(project, log, spark, tell=output.note)
    archiving = partial(
        run,
        project,
        named,
        log,
        spark,
        on_ready=lambda p: output.event(f"archive of {named.name} runs from {p}", ready=p.as_json()),
        on_claim=lambda p: output.result({"claim": p.as_json()}),
        on_pause=lambda said: output.event(said, paused=said),
    )
    with refreshing(project, log, spark, tell=output.note):
        obeying(archiving, project.layout, "archive", named.name, tell=lambda said: output.event(said, aside=said))


def speed(
    context: typer.Context,
    source: str = typer.Argument(None, help="Which source; needed where the project has several."),
    as_json: bool = JSON,
) -> None:
    """Fold the log into states, continuously."""
    from dovetail.speed.job import CONF, run

    output, project = Output(as_json=as_json), load_project(context, logged=True)
    named = _one_source(project, source)
    writable(project.settings)
    _refuse_second(project, f"speed-{named.name}", f"the speed job of {named.name}")
    log = find_log(project.settings)
    log.extent(named.topic)
    spark = start_spark(project.settings, "speed", conf=CONF, on_progress=output.progress())
    folding = partial(
        run,
        project,
        named,
        log,
        spark,
        on_ready=lambda r: output.event(f"speed of {named.name} runs from seq {r.seq}", ready=r.seq),
        on_commit=lambda r: output.result({"seq": r.seq, "to": r.to.as_json(), "consumed": r.books.consumed}),
        on_pause=lambda said: output.event(said, paused=said),
    )
    obeying(folding, project.layout, "speed", named.name, tell=lambda said: output.event(said, aside=said))


def batch(
    context: typer.Context,
    view: str = typer.Argument(None, help="Which view; all but those with batch=False where not given."),
    full: bool = typer.Option(False, "--full", help="Recompute from the first record on, into one run."),
    if_older_than: str = typer.Option(
        "", help="Only views whose newest run is at least this old, as in 20h, or that have none.", metavar="AGE"
    ),
    despite_gates: bool = DESPITE_GATES,
    because: str = BECAUSE,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be computed; write nothing."),
    as_json: bool = JSON,
) -> int:
    """Recompute views below a new cut and promote them, where their gates are open."""
    from dovetail.batch.dimensions import refresh_all
    from dovetail.shared.hooks import watched

    output, settings = Output(as_json=as_json), load_settings(context, logged=True)
    if because and not despite_gates:
        raise typer.BadParameter("goes with --despite-gates", param_hint="--because")
    despite = reason_for(because) if despite_gates else None
    with watched(settings, "batch", view) if not dry_run else nullcontext() as at:
        project = load(settings)
        views = _due(project, view, if_older_than, output)
        if not views:
            return 0
        writable(settings)
        if not dry_run:
            views = _not_paused(project, views, output)
        for each in () if dry_run else views:
            _refuse_second(project, f"batch-{each.name}", f"a batch of {each.name}")
        log = find_log(settings)
        spark = start_spark(settings, "batch", heavy=True, on_progress=output.progress())
        if at is None:
            return _foretold(project, views, log, spark, output, full=full)
        refresh_all(project, log, spark, tell=output.note)
        closed = 0
        for each in views:
            at.view = each.name
            try:
                _recomputed(project, each, log, spark, output, full=full, despite=despite)
            except GateClosed as error:  # of this view: the others have theirs
                closed = 1
                at.failed(error)
                output.problem(error.what, where=error.why, next=error.next)
                output.result({"view": each.name, "written": False, "closed": error.what, "next": error.next})
        return closed


def serve(
    context: typer.Context,
    workers: int | None = typer.Option(
        None, min=1, help="Processes that answer, each with all views in its memory; \\[serving] workers if not given."
    ),
    as_json: bool = JSON,
) -> None:
    """Answer questions over HTTP."""
    from dovetail.serving.app import serve as run

    output, settings = Output(as_json=as_json), load_settings(context, logged=True)
    serving = settings.serving.model_copy(update={"workers": workers} if workers else {})
    run(
        settings.model_copy(update={"serving": serving}),
        on_listening=lambda address: output.event(f"serving at {address}", ready=address),
    )


def kafka(context: typer.Context, as_json: bool = JSON) -> None:
    """Run the project's embedded Kafka broker."""
    from dovetail.shared.broker import Broker

    output, settings = Output(as_json=as_json), load_settings(context)
    with Broker.start(
        settings.storage.here / "kafka", port=settings.kafka.port or None, on_progress=output.progress()
    ) as broker:
        output.line(
            f"kafka runs at {broker.bootstrap}; Ctrl-C stops it, its data stay in {settings.storage.here / 'kafka'}"
        )
        output.result({"ready": broker.bootstrap})
        wait_for_stop()


def wait_for_stop(check: Callable[[], object] = lambda: None) -> None:
    """Returns at SIGINT or SIGTERM; calls `check` now and then, whose error ends the wait."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    while not stop.wait(0.5):
        check()


def _refuse_second(project: Project, lock: str, what: str) -> None:
    """Raises Busy now rather than after Spark has started; the job itself holds the lock. One that would stand aside,
    or in whose place a batch commits, may start: it waits.
    """
    path = project.layout.lock(lock)
    if is_held(project.layout.lock(f"aside-{lock}")) or stood_in_for(path):
        return
    with held(path, what):
        pass


def _due(project: Project, view: str | None, if_older_than: str, output: Output) -> list[View]:
    """The views that a batch is to compute: the one named, or all that have batches; those that are old enough."""
    views = [project.view(view)] if view else [each for each in project.views.values() if each.batch]
    if not views:
        raise UsageError(
            "every view of this project has batch=False", next="dovetail batch VIEW computes one all the same"
        )
    return due(project, views, duration.parse(if_older_than).total_seconds(), output) if if_older_than else views


def _foretold(
    project: Project, views: Sequence[View], log: Log, spark: SparkSession, output: Output, *, full: bool
) -> int:
    """Says what a batch would compute, and writes nothing."""
    from dovetail.batch import job

    for each in views:
        planned = job.plan(project, each, log, spark, full=full)
        if planned is None:
            output.line(f"{each.name}: nothing new")
        else:
            _tell(project, planned, output, full=full)
        output.result({"view": each.name, "records": planned.records if planned else 0, "written": False})
    return 0


def _recomputed(
    project: Project, view: View, log: Log, spark: SparkSession, output: Output, *, full: bool, despite: str | None
) -> None:
    """Runs the batch of one view, and says what came of it."""
    from dovetail.batch import job

    before = job.live(project, view)
    manifest = job.run(
        project, view, log, spark, full=full, despite=despite,
        on_plan=lambda plan: _tell(project, plan, output, full=full),
    )  # fmt: skip
    if manifest is None:
        output.line(f"{view.name}: nothing new since seq {before.seq if before else -1}")
        output.result({"view": view.name, "written": False})
        return
    run = manifest.runs[-1]
    output.line(
        f"{view.name}: run {run.id[:8]} of {run.records:,} records, {run.state_rows:,} state rows, "
        f"cut {manifest.cut} at seq {manifest.seq}"
    )
    output.result({"view": view.name, "written": True, "run": run.id, "seq": manifest.seq, "records": run.records})


def _tell(project: Project, plan: Plan, output: Output, *, full: bool) -> None:
    kind, name = "incremental" if plan.joins else "full", view_of(plan.version)
    output.note(f"{plan.version}: {kind}, {plan.records:,} records, seq {plan.from_seq + 1} to {plan.cut_seq}")
    if full and (declared := project.version(project.view(name))) != plan.version:
        output.warn(f"{name} is declared as {declared}, which a rollback has left: dovetail history {name}")


def _not_paused(project: Project, views: Sequence[View], output: Output) -> list[View]:
    """The views whose batch nobody has paused, and says which are left out; raises Paused where none is left."""
    from dovetail.shared.pauses import paused, refuse

    notes = {view.name: paused(project.layout, "batch", view.name) for view in views}
    left = [view for view in views if notes[view.name] is None]
    if not left:
        refuse(project.layout, "batch", views[0].name)
    for note in filter(None, notes.values()):
        output.warn(f"{note}. Left out; {note.command}")
        output.result({"view": note.name, "written": False, "paused": str(note)})
    return left


def _one_source(project: Project, name: str | None) -> Source:
    if name is None and len(project.sources) > 1:
        raise UsageError(
            f"this project has {len(project.sources)} sources: {', '.join(project.sources)}", next="name one"
        )
    return project.source(name or next(iter(project.sources)))
