"""`dovetail unlock`: says who holds a lock and how to end that; clears the note of an owner that is gone."""

from __future__ import annotations

import typer

from dovetail.cli.output import Output
from dovetail.cli.session import load_settings


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Care")(unlock)


def unlock(
    context: typer.Context,
    name: str = typer.Argument(help="The lock, as dovetail status names it: speed-SOURCE, batch-VIEW…"),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be cleared; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Say who holds a lock, whether that process lives, and how to end it; clear what a dead one left.

    A lock that is held is never broken: it ends with its process, however that ends, so none is ever stale.
    """
    from dovetail.shared import locks
    from dovetail.shared.errors import UsageError, unknown
    from dovetail.shared.tables import Layout

    output, layout = Output(as_json=as_json), Layout.of(load_settings(context))
    path = layout.lock(name)
    if not path.exists():
        raise UsageError(unknown("lock", name, (p.stem for p in path.parent.glob("*.lock"))), where=str(path.parent))
    before = locks.unlock(path, dry_run=dry_run)
    cleared = "would be cleared" if dry_run else "is cleared"
    output.line(f"nobody holds {name}" + (f"; the note of {before} {cleared}" if before else ""))
    note = {"pid": before.pid, "host": before.host, "what": before.what} if before else None
    output.result({"lock": name, "held": False, "note": note, "cleared": before is not None and not dry_run})
