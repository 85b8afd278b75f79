"""`dovetail quarantine`: what is in it, by reason, one by one, as a file and as a share; `resend` is in resend.py."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.resend import resend
from dovetail.cli.session import load_project

if TYPE_CHECKING:
    from dovetail.shared.declare import Source
    from dovetail.shared.project import Project
    from dovetail.shared.quarantine import Group

PANEL = "Care"
JSON = typer.Option(False, "--json", help="One JSON document.")
SOURCE = typer.Argument(None, help="Which source; all of them where not given.")
SENT_SHOWN = 10
SHORT = 2_000
"""Characters of a record that `show` shows without --full."""

app = typer.Typer(help="See what is in quarantine, and send it again corrected.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    for verb, name in ((list_, "list"), (show, "show"), (export, "export"), (stats, "stats"), (resend, "resend")):
        app.command(name)(verb)
    parent.add_typer(app, name="quarantine", rich_help_panel=PANEL)


def list_(context: typer.Context, source: str = SOURCE, as_json: bool = JSON) -> None:
    """List what is in quarantine by reason, most records first; what a resend put right stands apart."""
    from dovetail.shared.position import named
    from dovetail.shared.quarantine import Quarantine

    output, project = Output(as_json=as_json), load_project(context)
    held = [Quarantine(project.layout, s.name) for s in _sources(project, source)]
    groups, raising = ([g for each in held for g in of(each)] for of in (Quarantine.groups, Quarantine.raising))
    waiting = sorted((g for g in groups if not g.put_right), key=lambda g: -g.records)
    right = [g for g in groups if g.put_right]
    if waiting:
        _table(output, waiting)
    else:
        output.line("nothing is in quarantine")
    if right:
        output.line("")
        output.line("put right by a resend:")
        _table(output, right)
    for each in held:
        if unsent := each.unsent():
            what = f"{each.source}: put right and not known to be sent: {named(unsent, most=SENT_SHOWN)}"
            next_ = f"dovetail quarantine resend {each.source} {unsent[0]} --edit --again"
            output.problem(what, next=f"{next_}, unless the topic holds it, under the header dovetail-supersedes")
    if raising:
        output.line("")
        output.line("a view raised for, and the others count:")
        _table(output, raising)
    output.result([_document(g) | {"raised": g in raising} for g in [*waiting, *right, *raising]])


def show(
    context: typer.Context,
    source: str = typer.Argument(help="The source it came to."),
    record: str = typer.Argument(help="Its place, as in 2@3141.", metavar="P@O"),
    full: bool = typer.Option(False, "--full", help="All of its bytes, however many they are."),
    as_json: bool = JSON,
) -> None:
    """Show one record: why it is in quarantine, its bytes, and what to do about it."""
    from dovetail.shared.position import RecordId
    from dovetail.shared.quarantine import Quarantine, encoded, inert, printable, text

    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    held = Quarantine(project.layout, named.name).record(RecordId.parse(record))
    most = None if full else SHORT
    right = f"put right in seq {held.put_right}" if held.put_right is not None else ""
    next_ = "" if right else f"dovetail quarantine resend {named.name} {held.place} --edit"
    rows = {
        "record": f"{named.name} {held.place}",
        "reason": inert(held.reason),
        "timestamp": held.timestamp.isoformat(),
        "committed": f"in seq {held.seq}, {held.found.isoformat(timespec='seconds')}",
        "key": printable(held.key, most=most),
        "value": printable(held.value, most=most),
        "state": right,
        "next": next_,
    }
    for name, value in rows.items():
        if value:
            output.line(f"{name:>9}  {value}")
    output.result(
        {
            "source": named.name, "record": str(held.place), "reason": held.reason, "timestamp": held.timestamp,
            "seq": held.seq, "committed": held.found, "key_base64": encoded(held.key),
            "value_base64": encoded(held.value), "value": text(held.value), "put_right": held.put_right, "next": next_,
        }
    )  # fmt: skip


def export(
    context: typer.Context,
    source: str = typer.Argument(help="The source they came to."),
    file: str = typer.Argument(help="The file to write, or - for stdout."),
    reason: str = typer.Option(None, help="Those with this reason only."),
    since: str = typer.Option(None, help="Those that Kafka took from this time on, as in 2026-03-01, or 2h."),
    force: bool = typer.Option(False, "--force", help="Replace the file if it is there."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Count the records; write nothing."),
    as_json: bool = JSON,
) -> None:
    """Write what is in quarantine, and was not put right, as JSON lines: byte for byte, to be corrected and resent."""
    from dovetail.shared import quarantine as held

    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    found = held.Quarantine(project.layout, named.name)
    records = found.waiting(reason=reason, since=held.since(since) if since else None)
    if dry_run:
        n = sum(1 for _ in records)
        output.line(f"Would write {counted(n, 'record')} to {file}. Nothing written.")
    else:
        with _written(file, force=force) as stream:
            n = sum(bool(stream.write(held.line(record).encode() + b"\n")) for record in records)
    if file == "-" and not dry_run:
        return  # stdout is the file
    if not dry_run:
        output.line(f"{counted(n, 'record')} written to {file}. Corrected, they go back by:")
        output.line(f"dovetail quarantine resend {named.name} --file {file}")
    output.result({"source": named.name, "file": file, "records": n, "written": not dry_run})


def stats(context: typer.Context, source: str = SOURCE, as_json: bool = JSON) -> None:
    """Show by reason which share of what was consumed came to quarantine, ever and in the newest 100 commits."""
    from dovetail.shared.quarantine import RECENT, Quarantine, inert

    output, project = Output(as_json=as_json), load_project(context)
    shares = [s for each in _sources(project, source) for s in Quarantine(project.layout, each.name).shares()]
    late = f"newest {RECENT} commits"
    columns = ["source", "reason", "records", "of all", late, "of those"]
    if shares:
        rows = [
            [s.source, inert(s.reason), s.records, f"{s.of_all:.2%}", s.recent, f"{s.of_recent:.2%}"] for s in shares
        ]
        output.table(columns, rows, right=columns[2:])
    else:
        output.line("nothing ever came to quarantine")
    output.result([vars(s) for s in shares])


def _sources(project: Project, name: str | None) -> list[Source]:
    return [project.source(name)] if name else list(project.sources.values())


def _table(output: Output, groups: Sequence[Group]) -> None:
    from dovetail.shared.duration import ago
    from dovetail.shared.quarantine import inert

    def age(of: datetime) -> str:
        return ago((datetime.now(UTC) - of).total_seconds())

    rows = [
        [g.source, inert(g.reason), g.records, g.first, g.last, age(g.oldest), age(g.newest), age(g.found)]
        for g in groups
    ]
    columns = ["source", "reason", "records", "first", "last", "oldest", "newest", "found"]
    output.table(columns, rows, right=("records", "oldest", "newest", "found"))


def _document(group: Group) -> dict[str, Any]:
    return vars(group) | {"first": str(group.first), "last": str(group.last)}


@contextmanager
def _written(file: str, *, force: bool) -> Iterator[IO[bytes]]:
    """The file to write, which is there whole or not at all."""
    from dovetail.shared.errors import UsageError

    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if path.exists() and not force:
        raise UsageError(f"{file} is there already", next="--force replaces it")
    try:
        stream = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{file} cannot be written", why=error.strerror or str(error)) from None
    try:
        with stream:
            yield stream
        Path(stream.name).replace(path)
    except BaseException:
        Path(stream.name).unlink(missing_ok=True)
        raise
