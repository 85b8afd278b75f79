"""`dovetail pause` and `dovetail resume`: a layer stands still, by a note that says who wants it and why."""

from __future__ import annotations

from typing import Any

import typer

from dovetail.cli.output import Output
from dovetail.cli.session import load_project, writable

LAYER = typer.Argument(help="speed, archive or batch.", metavar="LAYER")
NAME = typer.Argument(None, help="Of which source, or view for batch; of all of them where not given.")
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    for verb in (pause, resume):
        app.command(rich_help_panel="Care")(verb)


def pause(
    context: typer.Context,
    layer: str = LAYER,
    name: str = NAME,
    because: str = typer.Option(help="Why; dovetail status shows it.", metavar="TEXT"),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be paused; write nothing."),
    as_json: bool = JSON,
) -> None:
    """Make a layer stand still: it reads nothing and commits nothing until it is resumed, also over a restart.

    A running job stays up and waits after the micro-batch it is at; a batch under way ends, and no other begins.
    """
    from dovetail.shared import pauses

    output, project = Output(as_json=as_json), load_project(context)
    writable(project.settings)
    done = list[dict[str, Any]]()
    for of_layer, of in pauses.targets(project, layer, name):
        before = pauses.paused(project.layout, of_layer, of)
        said = f"{of_layer} of {of} would be paused" if dry_run else f"{of_layer} of {of} is paused"
        if before is None and not dry_run:
            pauses.pause(project.layout, of_layer, of, because=because)
        output.line(f"{before}, and stays so" if before else f"{said}; it goes on by dovetail resume {of_layer} {of}")
        done.append({"layer": of_layer, "name": of, "paused": bool(before) or not dry_run, "was": before is not None})
    if dry_run:
        output.line("Nothing written.")
    output.result(done)


def resume(
    context: typer.Context,
    layer: str = LAYER,
    name: str = NAME,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be resumed; write nothing."),
    as_json: bool = JSON,
) -> None:
    """Let a paused layer go on, exactly where it stood."""
    from dovetail.shared import pauses

    output, project = Output(as_json=as_json), load_project(context)
    writable(project.settings)
    done = list[dict[str, Any]]()
    for of_layer, of in pauses.targets(project, layer, name):
        find = pauses.paused if dry_run else pauses.resume
        before = find(project.layout, of_layer, of)
        went = "would go on" if dry_run else "goes on"
        output.line(f"{before}; it {went}" if before else f"{of_layer} of {of} is not paused")
        done.append(
            {"layer": of_layer, "name": of, "paused": dry_run and before is not None, "was": before is not None}
        )
    if dry_run:
        output.line("Nothing written.")
    output.result(done)
