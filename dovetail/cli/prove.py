"""`dovetail prove`: 0 lost, 0 doubled, or the records by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dovetail.cli.output import Output
from dovetail.cli.session import find_log, load_project, start_spark

if TYPE_CHECKING:
    from dovetail.batch.prove import Proof


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Ask")(prove)


def prove(
    context: typer.Context,
    source: str = typer.Argument(None, help="Which source; all of them where not given."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document a source."),
) -> int:
    """Recount every record from the log and compare with what the views hold."""
    from dovetail.batch.prove import prove as recount

    output, project = Output(as_json=as_json), load_project(context)
    sources = [project.source(source)] if source else list(project.sources.values())
    log = find_log(project.settings)
    spark = start_spark(project.settings, "prove", on_progress=output.progress())
    held = True
    for each in sources:
        proof = recount(project, each, log, spark)
        if proof is None:
            output.line(f"{each.name}: nothing was read yet")
            continue
        held = tell_proof(output, proof) and held
    return 0 if held else 1


def tell_proof(output: Output, proof: Proof) -> bool:
    """Prints the books and the verdict; whether it holds."""
    b = proof.books
    output.line(
        f"{proof.source} at seq {proof.seq}: consumed {b.consumed:,} = decoded {b.decoded:,} + "
        f"quarantined {b.quarantined:,};  "
        f"decoded = {b.repeats:,} repeats + {b.failed:,} failed + {b.dropped:,} dropped + {b.offered:,} offered;  "
        f"{proof.groups:,} groups: {proof.equal:,} equal"
    )
    for gap in proof.gaps:
        output.line(f"gap: {gap}")
    for problem in proof.problems:
        output.error(f"! {problem}")
    output.line(f"{proof.lost:,} lost, {proof.doubled:,} doubled", style="bold green" if proof.holds else "bold red")
    output.result(
        {
            "source": proof.source, "seq": proof.seq, "position": proof.position.as_json(), "books": vars(b),
            "groups": proof.groups, "equal": proof.equal, "lost": proof.lost, "doubled": proof.doubled,
            "gaps": proof.gaps, "problems": proof.problems, "holds": proof.holds,
        }
    )  # fmt: skip
    return proof.holds
