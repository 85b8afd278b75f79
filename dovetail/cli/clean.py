"""`dovetail clean`: deletes what nothing names any more, and says what it left."""

from __future__ import annotations

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import load_settings, writable

COLUMNS = ("what", "where", "n", "bytes")


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Care")(clean)


def clean(
    context: typer.Context,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be deleted, and how much; delete nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Delete what killed jobs left and what no answer, receipt or rollback needs any more. No answer changes.

    What a running layer writes is left: stop it first. Receipts of earlier versions that are out of force, and that
    nothing can go back to, are answered by 410 from then on.
    """
    from dovetail.batch.clean import Clean
    from dovetail.shared.tables import Layout

    output, settings = Output(as_json=as_json), load_settings(context)
    writable(settings)
    root = settings.storage.path
    done = Clean(Layout(root), dry_run).run()
    rows = [(w.kind, str(w.where.relative_to(root)), w.n, w.bytes) for w in done.waste]
    if rows:
        output.table(COLUMNS, rows, right=COLUMNS[2:])
        total = sum(w.bytes for w in done.waste)
        output.line(f"{'Would delete' if dry_run else 'Deleted'} about {counted(total, 'byte')}.")
    else:
        output.line("There is nothing to delete.")
    for left in done.left:
        output.line(f"left: {left.what}, for {left.why}")
        output.line(f"     next  {left.next}", style="dim")
    if dry_run and rows:
        output.line("Nothing written.")
    waste = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    output.result({"deleted": not dry_run, "waste": waste, "left": [vars(left) for left in done.left]})
