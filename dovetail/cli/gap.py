"""`dovetail accept-gap`: goes on past records that nobody holds any more, by a decision that stays on record."""

from __future__ import annotations

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project

RANGES = typer.Argument(help="What is gone, as dovetail status says it.", metavar="P@A..B…")


def register(app: typer.Typer) -> None:
    app.command("accept-gap", rich_help_panel="Care")(accept_gap)


def accept_gap(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose topic has lost them."),
    ranges: list[str] = RANGES,
    because: str = typer.Option(help="Why they may be missing; every receipt says it.", metavar="TEXT"),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be passed; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Go on past records that neither Kafka nor the archive holds any more; every later receipt says so.

    Speed and the archive of the source must be stopped. What speed had counted of them stays counted.
    """
    from dovetail.shared.gaps import accept
    from dovetail.shared.position import Range

    output, project = Output(as_json=as_json), load_project(context)
    named, given = project.source(source), Range.parse(ranges)
    gap = accept(project.layout, named, find_log(project.settings), given, because=because, dry_run=dry_run)
    would = "would be" if dry_run else "are"
    if not gap.lost.empty:
        output.line(f"{gap.lost}: at most {counted(gap.lost.offsets, 'record')} {would} passed as lost")
    if gap.counted:
        output.line(f"{gap.gone}: what speed had read of it stays counted; the archive {would} told to go on without")
        output.line("Loaded again that counts twice: of a copy load what is lost, and no more.")
    if dry_run:
        output.line("Nothing written.")
    else:
        output.line(f"Next: dovetail archive {source}, dovetail speed {source}")
    document = {"source": source, "gone": str(gap.gone), "lost": str(gap.lost), "counted": gap.counted}
    output.result({**document, "because": because, "accepted": not dry_run})
