"""`dovetail feed`: brings into the log what is not in Kafka, as the project's `dv.feed` declarations say."""

from __future__ import annotations

import signal
from contextlib import closing
from threading import Event

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Run")(feed)


def feed(
    context: typer.Context,
    name: str = typer.Argument(help="Which feed."),
    once: bool = typer.Option(False, "--once", help="Feed what there is now, and end."),
    new_shape: bool = typer.Option(
        False, "--new-shape", help="Go on although what is fed has lost a column, or has one of another type."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Read and check what would be fed now; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document a line."),
) -> None:
    """Feed files, a table or a REST API into a source's topic, each row exactly once, continuously.

    How far it has come is kept in Kafka, in the transaction of the records themselves: after a crash it goes on where
    the log ends. A second feeder of the same name takes over, and the first one can write no more.
    """
    from dovetail.feeding import run
    from dovetail.feeding.write import Writer

    output, project, stop = Output(as_json=as_json), load_project(context), Event()
    named = project.feed(name)
    log = find_log(project.settings)
    told = run.Told(
        fed=lambda part: output.event(
            f"{name}: {counted(len(part.rows), 'record')} of {part.of}", feed=name, of=part.of, records=len(part.rows)
        ),
        ready=lambda: output.event(f"{name} feeds {named.source.topic}", ready=name),
        doubt=output.warn,
    )
    with closing(run.reader_of(project, name, stop, output.warn)) as reader:
        if dry_run:
            done = run.Feeding(named, reader, new_shape, run.Told(doubt=output.warn), stop).due(
                run.marks_of(log, named)
            )
            output.line(f"{counted(done.records, 'record')} would be fed into {named.source.topic}. Nothing sent.")
        else:
            for end in (signal.SIGINT, signal.SIGTERM):
                signal.signal(end, lambda *_: stop.set())
            done = run.Feeding(named, reader, new_shape, told, stop).run(Writer(log, named), once=once)
            output.line(f"{counted(done.records, 'record')} fed into {named.source.topic}")
    if done.bad:
        source = named.source.name
        output.warn(f"{counted(done.bad, 'row')} cannot be decoded; see them by dovetail quarantine list {source}")
    output.result({"feed": name, "source": named.source.name, "topic": named.source.topic, "records": done.records,
                   "bad": done.bad, "sent": not dry_run})  # fmt: skip
