"""The verbs that care for data: send, load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project

PANEL = "Care"
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    for verb in (send, load):
        app.command(rich_help_panel=PANEL)(verb)


def send(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose topic it goes to."),
    record: str = typer.Argument(help="The record, a JSON object.", metavar="JSON"),
    key: str | None = typer.Option(None, help="Kafka's key, which decides the partition."),
    raw: bool = typer.Option(False, "--raw", help="Send the text as it is, whatever it is."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be sent; send nothing."),
    as_json: bool = JSON,
) -> None:
    """Send one record, and wait until Kafka has it."""
    from dovetail.shared import produce
    from dovetail.shared.formats import refuse_unless_json

    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    if not raw:
        if named.format.name != "csv":  # a line is written as easily as an object
            refuse_unless_json(named.format, "send", next="send such bytes by a producer of yours")
        for doubt in produce.doubts_of(named, record):
            output.warn(doubt)
    value, key_bytes = record.encode("utf-8", "surrogateescape"), key.encode() if key is not None else None
    if dry_run:
        output.line(f"Would send {counted(len(value), 'byte')} to {named.topic}. Nothing sent.")
        output.result({"source": source, "topic": named.topic, "bytes": len(value), "sent": False})
        return
    sent = produce.send(find_log(project.settings), named, value, key=key_bytes)
    views = project.views_of(named)
    see = produce.question(views[0], sent) if views and not raw else "dovetail status"
    late = f", {produce.lateness(sent.late)}" if sent.late is not None else ""
    output.line(f"{source} {sent.record}{late}. See it: {see}")
    output.result(
        {
            "source": source,
            "topic": named.topic,
            "record": str(sent.record),
            "late_seconds": sent.late.total_seconds() if sent.late is not None else None,
            "see": see,
            "sent": True,
        }
    )


def load(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose topic they go to."),
    file: str = typer.Argument(help="The file, or - for what comes in on stdin."),
    form: str | None = typer.Option(None, "--format", help="jsonl or csv; by the file's name where not given."),
    key: str | None = typer.Option(None, help="The field or column that becomes Kafka's key.", metavar="COLUMN"),
    keep_bad: bool = typer.Option(False, "--keep-bad", help="Send lines that cannot be decoded, as they are."),
    create: bool = typer.Option(False, "--create", help="Create the topic if it is not there."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Read and check every line; send nothing."),
    as_json: bool = JSON,
) -> None:
    """Send a file of JSON lines or CSV, as fast as Kafka takes it.

    By confluent-kafka, whose records were acknowledged at 133,000 a second where kafka-python's came to 11,700.
    """
    from dovetail.shared import lines, produce
    from dovetail.shared.formats import refuse_unless_json

    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    refuse_unless_json(named.format, "load", next="send its records by a producer of yours")
    with opened(file) as (stream, size):
        records = lines.records(stream, named, form=lines.form_of(file, form), key=key, on_doubt=output.warn)
        if dry_run:
            done = produce.counted(records, keep_bad=keep_bad)
            output.line(f"Would send {counted(done.sent, 'record')} to {named.topic}. Nothing sent.")
        else:
            log = find_log(project.settings)
            produce.ready(log, named.topic, partitions=project.settings.kafka.partitions if create else None)
            with output.meter("records", size) as meter:
                done = produce.load(
                    log, named.topic, records, keep_bad=keep_bad, on_progress=lambda p: meter(p.acknowledged, p.read)
                )
            rate = f"{done.sent / meter.seconds:,.0f} a second"
            output.line(f"{counted(done.sent, 'record')} sent to {named.topic}, all acknowledged, {rate}")
    if done.kept_bad:
        output.warn(
            f"{counted(done.kept_bad, 'line')} cannot be decoded; see them by dovetail quarantine list {source}"
        )
    output.result(
        {
            "source": source,
            "topic": named.topic,
            "records": done.sent,
            "acknowledged": done.acknowledged,
            "bad": done.kept_bad,
            "sent": not dry_run,
        }
    )


@contextmanager
def opened(file: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """The file to read, and its size where that is known."""
    from dovetail.shared.errors import UsageError

    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115  closed below; an error of reading is not one of opening
    except OSError as error:
        raise UsageError(f"{file} cannot be read", why=error.strerror or str(error)) from None
    with stream:
        yield stream, Path(file).stat().st_size or None
