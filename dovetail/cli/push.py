"""`dovetail push`: sends changed answers on, as the project's `dv.push` declarations say."""

from __future__ import annotations

from contextlib import ExitStack

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project, writable
from dovetail.shared.aside import obeying
from dovetail.shared.errors import UsageError
from dovetail.shared.locks import held


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Run")(push)


def push(
    context: typer.Context,
    name: str = typer.Argument(None, help="Which push; all of them where not given."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Say what would be delivered now; deliver and write nothing."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON document a line."),
) -> None:
    """Deliver the changes of answers to webhooks and topics, continuously.

    Asks the running server, as dv.push declares in the project's files. What is delivered is kept under the storage
    root: a delivery that a crash may have parted from its note is repeated as it was, under the same key.
    """
    from dovetail.pushing import run

    output, project = Output(as_json=as_json), load_project(context)
    names = [name] if name else [*project.pushes]
    for each in names:
        project.push(each)
    if not names:
        raise UsageError(
            "this project declares no push", where="views in dovetail.toml",
            next='low = dv.push(sales, by=["country"], to=dv.webhook("https://…", secret="env:NAME"))',
        )  # fmt: skip
    if dry_run:
        for each in names:
            due = run.due(project, each)
            output.line(f"{each}: {counted(len(due), 'change')} would be delivered to {project.push(each).to}")
            output.result({"push": each, "changes": [change.as_json() for change in due], "delivered": False})
        return
    writable(project.settings)
    told = run.Told(
        delivered=lambda d: output.event(
            f"{d.push}: {counted(len(d.changes), 'change')} delivered, receipt {d.receipt}",
            push=d.push, receipt=d.receipt, changes=len(d.changes), delivered=True,
        ),
        waiting=output.warn,
    )  # fmt: skip

    def deliver() -> None:
        with ExitStack() as locks:
            for each in names:
                locks.enter_context(held(project.layout.lock(f"push-{each}"), f"push {each}"))
            run.run(project, names, lambda: find_log(project.settings), told)

    obeying(deliver, project.layout, "push", *names, tell=lambda said: output.event(said, aside=said))
