"""`dovetail import`: old history that was never in Kafka, taken in as a whole, listed, and dropped again."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project, start_spark, writable
from dovetail.shared.errors import UsageError

if TYPE_CHECKING:
    from dovetail.batch.imports import Imported
    from dovetail.shared.declare import Source, View
    from dovetail.shared.imports import Import
    from dovetail.shared.project import Project

FILES = typer.Argument(
    None, help="Files of JSON lines, CSV or Parquet, folders of them, Delta tables; all of one format."
)
COLUMNS = ("id", "when", "files", "records", "quarantined", "repeats", "from", "to", "where", "in", "note")


def register(app: typer.Typer) -> None:
    app.command("import", rich_help_panel="Change")(import_)


def import_(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose records they are."),
    files: list[str] | None = FILES,
    form: str | None = typer.Option(
        None, "--format", help="jsonl, csv, parquet or delta; by the files' names where not given."
    ),
    where: str = typer.Option("", help="SQL on the source's columns: only rows for which it is true.", metavar="SQL"),
    timestamp: str = typer.Option(
        "", help="The column that stands for Kafka's timestamp; the event time where not given.", metavar="COLUMN"
    ),
    skip_overlap: bool = typer.Option(
        False, "--skip-overlap", help="Leave out rows whose event id is in the log; else they are refused."
    ),
    unchecked: bool = typer.Option(
        False, "--unchecked", help="Do not look whether the log holds some of these events: you know that it does not."
    ),
    because: str = typer.Option("", help="Why, or what it is; --list shows it.", metavar="TEXT"),
    listed: bool = typer.Option(False, "--list", help="List what was imported; import nothing."),
    drop: int | None = typer.Option(None, "--drop", help="Drop the import of this id.", metavar="ID"),
    dry_run: bool = typer.Option(False, "--dry-run", help="Read and check every row; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Take in years of files that were never in Kafka, as one named import that lies below every cut.

    A view answers with it from its next full run on (batch --full, reprocess), and without it from the next full run
    after it is dropped; receipts name it. An import that was killed has changed nothing: the same command again does.
    """
    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    if listed + (drop is not None) + bool(files) != 1:
        raise UsageError("one of FILES, --list and --drop ID is needed", next="dovetail import --help")
    if listed:
        _list(output, project, named)
    elif drop is not None:
        _drop(output, project, named, drop, because=because, dry_run=dry_run)
    else:
        from dovetail.batch.import_look import Wanted

        if skip_overlap and unchecked:
            raise UsageError("--skip-overlap looks into the log, --unchecked does not: give one of them")
        overlap = "skip" if skip_overlap else "unchecked" if unchecked else "refuse"
        wanted = Wanted(tuple(files or ()), form, where, timestamp, overlap, because)  # type: ignore[arg-type]
        _import(output, project, named, wanted, dry_run=dry_run)


def _import(output: Output, project: Project, source: Source, wanted: Any, *, dry_run: bool) -> None:
    from dovetail.batch.imports import run

    if not dry_run:
        writable(project.settings)
    spark = partial(start_spark, project.settings, "import", heavy=True, on_progress=output.progress())
    log = partial(find_log, project.settings)
    done = run(project, source, wanted, log, spark, dry_run=dry_run, tell=output.note)
    _told(output, source, done)
    if dry_run:
        output.line(f"{done.made} would hold {counted(done.found.records, 'record')}. Nothing written.")
    else:
        output.line(f"{done.made} holds {counted(done.found.records, 'record')}.")
        output.line(f"Views answer with it after: {_next(project, source)}")
    output.result({**_document(done), "written": not dry_run})


def _told(output: Output, source: Source, done: Imported) -> None:
    columns, found = done.columns, done.found
    output.line(f"{counted(found.rows, 'row')} read; columns: {', '.join(columns.matched)}")
    for name in columns.unmatched:
        output.warn(f"column {name} is none of {source.name}: it is kept in the bytes, and ignored")
    for name in columns.lacking:
        output.warn(f"no file has {name}: it is null")
    for reason, (n, first) in found.bad.items():
        output.warn(f"{counted(n, 'row')} in quarantine: {reason}, the first {first}")
    if found.forgotten:
        output.line(f"{counted(found.forgotten, 'row')} left out: about somebody who is forgotten")
    if found.dropped:
        output.line(f"{counted(found.dropped, 'row')} dropped by rules")
    if found.repeats:
        output.line(f"{counted(found.repeats, 'row')} with the event id of an earlier one: an event counts once")
    for each, other in found.examples:
        output.line(f"  {each} has the event id of {other}, which is in the log")
    if found.overlapping:
        fate = "left out" if found.left_out else "refused unless --skip-overlap leaves them out, or --where"
        output.line(f"{counted(found.overlapping, 'row')} in the log already, by event id: {fate}")
    output.line(f"timestamps from {_when(found.oldest)} to {_when(found.newest)}")


def _list(output: Output, project: Project, source: Source) -> None:
    from dovetail.shared.imports import Imports

    found = Imports(project.layout, source.name).all()
    holding = _holding(project, source)
    rows = [
        (
            each.id, _when(each.at), len(each.files), each.records, each.quarantined, each.repeats,
            _when(each.oldest), _when(each.newest), each.where,
            ", ".join(holding.get(each.id, ())) + (" (dropped)" if each.dropped else ""), each.note,
        )
        for each in found
    ]  # fmt: skip
    if rows:
        output.table(COLUMNS, rows, right=("id", "files", "records", "quarantined", "repeats"))
    else:
        output.line(f"Nothing was imported into {source.name}.")
    for each in found:
        for n, file in enumerate(each.files, start=1):
            output.line(f"import:{each.id}/{n}  {file.name}, {counted(file.rows, 'row')}")
    output.result([{**_stored(each), "views": holding.get(each.id, [])} for each in found])


def _drop(output: Output, project: Project, source: Source, wanted: int, *, because: str, dry_run: bool) -> None:
    from dovetail.shared.imports import Imports

    if dry_run:
        found = Imports(project.layout, source.name).get(wanted)
        output.line(f"{found}, {counted(found.records, 'record')}, would be dropped. Nothing written.")
        output.result({"source": source.name, "id": wanted, "dropped": False})
        return
    writable(project.settings)
    from dovetail.batch.import_drop import drop

    found = drop(project, source, wanted, note=because)
    output.line(f"{found} is dropped. Views answer without it after: {_next(project, source)}")
    output.result({"source": source.name, "id": wanted, "dropped": True})


def _holding(project: Project, source: Source) -> dict[int, list[str]]:
    """By import the views whose answers hold it."""
    from dovetail.shared.manifest_table import DeltaManifest

    found: dict[int, list[str]] = {}
    for view in project.views_of(source):
        manifest = DeltaManifest(project.layout.manifest(view.name)).read()
        for each in manifest.imports if manifest else ():
            found.setdefault(each.id, []).append(view.name)
    return found


def _next(project: Project, source: Source) -> str:
    return "; ".join(
        f"dovetail batch {view.name} --full{_adopting(project, view)}" for view in project.views_of(source)
    )


def _adopting(project: Project, view: View) -> str:
    """What a full batch of a changed view does besides."""
    from dovetail.shared.manifest_table import DeltaManifest

    manifest, declared = DeltaManifest(project.layout.manifest(view.name)).read(), project.version(view)
    adopts = manifest is not None and manifest.in_full(declared) != manifest.live
    return f" (which also lets {declared} answer, as it is declared)" if adopts else ""


def _document(done: Imported) -> dict[str, Any]:
    found = done.found
    return {
        **_stored(done.made), "rows": found.rows, **vars(done.columns), "dropped_by_rules": found.dropped,
        "forgotten": found.forgotten, "overlap": found.overlapping, "left_out": found.left_out,
        "examples": [{"row": str(a), "record": str(b)} for a, b in found.examples],
        "bad": [{"reason": reason, "rows": n, "first": str(first)} for reason, (n, first) in found.bad.items()],
    }  # fmt: skip


def _stored(each: Import) -> dict[str, Any]:
    hidden = ("folder", "digest", "overlapping")
    return {k: v for k, v in vars(each).items() if k not in hidden} | {"files": [vars(file) for file in each.files]}


def _when(at: float | None) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" if at is not None else "unknown"
