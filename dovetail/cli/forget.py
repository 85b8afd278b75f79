"""`dovetail forget`: takes a person's records out of a source and of all that was made of them."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import load_project, start_spark, writable

if TYPE_CHECKING:
    from dovetail.batch.forget import Found

SUBJECTS = typer.Argument(None, help="Whom: the column that names subjects and the id.", metavar="COLUMN=ID…")
SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Care")(forget)


def forget(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose records they are."),
    subjects: list[str] = SUBJECTS,
    from_: str = typer.Option("", "--from", help="A file with an id a line, or - for stdin.", metavar="FILE"),
    readers: str = typer.Option("30s", help="How long readers are given before files that they may be in go."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Count the records and name the views; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Forget subjects for good: no record of theirs counts or is stored from now on, and none is left of before.

    Layers that run stand aside, and begin anew by themselves; dovetail serve goes on. Views are computed anew, and
    nothing can be gone back to: receipts from before answer 410. Killed, the same command goes on where it was. It ends
    with a search of every file under the storage root, and exit code 1 where something is left. Kafka keeps their
    records for its retention.
    """
    from dovetail.batch.forget import Forgetting, values_of
    from dovetail.shared import audit
    from dovetail.shared.duration import parse
    from dovetail.shared.errors import UsageError

    output, project = Output(as_json=as_json), load_project(context, logged=True)
    named = project.source(source)
    values = values_of(named, [*(subjects or ()), *(f"{named.subject}={line}" for line in _lines(from_))])
    if not values:
        raise UsageError("nobody is named", next=f"dovetail forget {source} {named.subject or 'COLUMN'}=…")
    wait = parse(readers).total_seconds()
    writable(project.settings)
    spark = start_spark(project.settings, "forget", heavy=True, on_progress=output.progress())
    round_ = Forgetting(project, named, values, spark, tell=output.progress())
    if dry_run:
        found = round_.look()
        output.line(f"{counted(found.records, 'record')} in the master, and {_views(found)} would be computed anew.")
        output.line("Nothing written.")
        output.result({"source": source, "records": found.records, "views": found.views, "forgotten": False})
        return
    who = f"{getpass.getuser()} on this machine"
    audit.write(project.layout, who, f"forget: {counted(len(values), 'subject')} of {source}")
    found = round_.run(readers=wait)
    audit.write(
        project.layout, who, f"forgotten: {counted(len(values), 'subject')} of {source}",
        seq=found.seq, records=found.records, files=found.files, left=len(found.left),
    )  # fmt: skip
    output.line(
        f"{counted(len(values), 'subject')} of {source} forgotten from seq {found.seq} on: "
        f"{counted(found.records, 'record')} blanked, {_views(found)}, {counted(found.files, 'file')} searched"
    )
    for name, where in [*found.left.items()][:SHOWN]:
        output.problem(f"still in {name}: {where}")
    if found.kafka:
        files = counted(len(found.kafka), "file")
        output.warn(f"Kafka still holds records of theirs, in {files}, until their retention ends")
    output.line("Nothing is left." if not found.left else f"Found in {counted(len(found.left), 'file')}.")
    output.result(
        {
            "source": source, "subjects": len(values), "forgotten": True, "seq": found.seq, "records": found.records,
            "views": found.views, "files": found.files, "left": found.left, "kafka": found.kafka,
        }
    )  # fmt: skip
    if found.left:
        raise typer.Exit(1)


def _lines(file: str) -> Sequence[str]:
    from dovetail.shared.errors import UsageError

    if not file:
        return ()
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read", why=str(error)) from None
    return [line for line in text.splitlines() if line.strip()]


def _views(found: Found) -> str:
    return f"{counted(len(found.views), 'view')}{': ' if found.views else ''}{', '.join(found.views)}"
