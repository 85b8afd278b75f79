"""`dovetail trino`: the views as SQL views of a Trino server."""

from __future__ import annotations

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import load_project, writable
from dovetail.shared.errors import UsageError

app = typer.Typer(help="The views as SQL views of a Trino server, for BI tools.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    app.command("sync")(sync)
    app.callback()(lambda: None)  # or typer makes its only verb the group itself
    parent.add_typer(app, name="trino", rich_help_panel="Change")


def sync(
    context: typer.Context,
    view: str = typer.Argument(None, help="Which view; all of them where not given."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be offered; ask no Trino, write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Bring Trino's views up to date with what answers; every batch, promote and rollback does that by itself.

    A view there is exact and fresh without it: it reads what is committed when it is asked. What SQL cannot merge, and
    what a grant hides, is left out and said.
    """
    from dovetail.shared.trino import sync as trino

    output, project = Output(as_json=as_json), load_project(context)
    settings = project.settings
    views = [project.view(view).name] if view else [*project.views]
    if dry_run:
        found = trino.preview(settings, views)
    elif not settings.trino.url:
        raise UsageError("no Trino is named", where="dovetail.toml: trino.url", next='[trino] url = "http://host:8080"')
    else:
        writable(settings)
        found = trino.sync(settings, views)
    for each in found:
        said = each.problem or f"{counted(len(each.columns), 'column')}, generation {each.generation}"
        output.line(f"{each.view}: {'not shown, ' if each.problem else ''}{said}")
        for name, why in each.left_out.items():
            output.line(f"      without {name}: {why}")
    for name in views:
        if name not in {each.view for each in found}:
            output.line(f"{name}: nothing answers for it yet")
    if dry_run:
        output.line("Nothing written.")
    output.result({"views": [vars(each) for each in found], "written": not dry_run})
