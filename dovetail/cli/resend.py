"""`dovetail quarantine resend`: corrected records, sent in place of those in quarantine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.care import opened
from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project, start_spark

if TYPE_CHECKING:
    from dovetail.shared.corrections import Correction
    from dovetail.shared.declare import Source
    from dovetail.shared.position import RecordId
    from dovetail.shared.project import Project
    from dovetail.shared.quarantine import Held, Quarantine

SHOWN = 20
"""Records that are named one by one."""
SHORT = 500
"""Characters of each that --dry-run shows."""
JSON = typer.Option(False, "--json", help="One JSON document.")
SET = typer.Option(None, "--set", help="Set a column; may be given again.", metavar="COLUMN=JSON")


def resend(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose topic they go to."),
    record: str = typer.Argument(None, help="One record's place, as in 2@3141.", metavar="P@O"),
    reason: str = typer.Option(None, help="Every record with this reason; with --set."),
    file: str = typer.Option(None, help="What export wrote, with values corrected; - for stdin.", metavar="FILE"),
    edit: bool = typer.Option(False, "--edit", help="Correct the record in $EDITOR."),
    columns: list[str] | None = SET,
    again: bool = typer.Option(False, "--again", help="Also what an earlier resend put right."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be sent; send nothing."),
    as_json: bool = JSON,
) -> None:
    """Send corrected records in place of those in quarantine, which no version counts from then on.

    Each goes to the partition and with the key of the one it stands for, under the header dovetail-supersedes. Headers
    of the record itself are not kept in quarantine, and not sent.
    """
    from dovetail.shared import corrections as correct
    from dovetail.shared import produce
    from dovetail.shared import resend as sending
    from dovetail.shared.position import RecordId
    from dovetail.shared.quarantine import Quarantine, printable

    _one_way(record=record, reason=reason, file=file, edit=edit, columns=columns)
    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    found = Quarantine(project.layout, named.name)
    chosen = [found.record(RecordId.parse(record))] if record is not None else []
    chosen += found.waiting(reason=reason, put_right=again) if reason is not None else []
    corrections = _corrected(found, named, chosen, file, columns or ())
    for each in corrections:
        correct.refuse_unfit(each, named)
    reader = _Reader(project, output)
    if dry_run or not corrections:
        sending.refuse(project.layout, named.name, [c.held for c in corrections], again=again, reader=reader)
        for each in corrections[:SHOWN]:
            output.line(f"{each.held.place}  {printable(each.value, most=SHORT)}")
        output.line(f"Would send {counted(len(corrections), 'record')} to {named.topic}. Nothing sent.")
        told = [{"supersedes": str(c.held.place), "record": None} for c in corrections]
        output.result({"source": named.name, "topic": named.topic, "seq": None, "records": told, "sent": False})
        return
    for doubt in produce.doubts_of(named, corrections[0].value):
        output.warn(doubt)
    log = find_log(project.settings)
    done = sending.resend(project.layout, named, log, corrections, again=again, reader=reader)
    for old, new in [*done.sent.items()][:SHOWN]:
        output.line(f"{old} is put right: sent as {new}")
    output.line(f"{counted(len(done.sent), 'record')} sent to {named.topic}, all acknowledged")
    told = [{"supersedes": str(old), "record": str(new)} for old, new in done.sent.items()]
    output.result({"source": named.name, "topic": named.topic, "seq": done.seq, "records": told, "sent": True})


class _Reader:
    """Asks Spark, started when first asked, which records a decoder takes."""

    def __init__(self, project: Project, output: Output) -> None:
        self._project, self._output = project, output
        self._spark: Any = None

    def __call__(self, decoder: Mapping[str, Any], records: Sequence[Held]) -> list[RecordId]:
        from dovetail.shared.resend import readable

        self._spark = self._spark or start_spark(self._project.settings, "resend", on_progress=self._output.progress())
        return readable(decoder, records, self._spark)


def _corrected(
    found: Quarantine, source: Source, held: Sequence[Held], file: str | None, columns: Sequence[str]
) -> list[Correction]:
    from dovetail.shared import corrections as correct

    if file is not None:
        with opened(file) as (stream, _):
            return correct.from_file(stream, found)
    if not columns:
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        return [correct.edited(each, editor) for each in held]
    values = correct.settings(columns, source)
    return [correct.with_columns(each, values) for each in held]


def _one_way(
    *, record: str | None, reason: str | None, file: str | None, edit: bool, columns: Sequence[str] | None
) -> None:
    """Refuses a command line that does not say which records, or not how they are corrected."""
    from dovetail.shared.errors import UsageError

    if sum(given is not None for given in (record, reason, file)) != 1:
        raise UsageError(
            "say which records: P@O, --reason TEXT or --file FILE, one of them",
            next="dovetail quarantine resend --help",
        )
    if file is not None and (edit or columns):
        raise UsageError("--file holds the corrections: it takes neither --edit nor --set")
    if edit and (columns or record is None):
        raise UsageError("--edit corrects one record, P@O, and takes no --set")
    if file is None and not edit and not columns:
        raise UsageError(
            "say how they are corrected: the same bytes would go to quarantine again",
            next="--set COLUMN=JSON, --edit for one record, or --file with what dovetail quarantine export wrote",
        )
