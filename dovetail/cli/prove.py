"""`dovetail prove`: 0 lost, 0 doubled, or the records by name."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project, start_spark
from dovetail.shared import percentage

if TYPE_CHECKING:
    from dovetail.batch.prove import Proof
    from dovetail.shared.project import Project


KILLS = 3


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Ask")(prove)


def prove(
    context: typer.Context,
    source: str = typer.Argument(None, help="Which source; all of them where not given."),
    kill: bool = typer.Option(
        False, "--kill", help="Kill the running speed jobs in mid write first, three times each."
    ),
    sample: str = typer.Option("100%", help="The share of each view's groups to recount, as in 1%; the books whole."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document a source."),
) -> int:
    """Recount every record from the log and compare with what the views hold.

    What came of it is kept: dovetail status and /metrics tell it until the next recount.
    """
    from dovetail.batch.prove import prove as recount
    from dovetail.shared import proofs
    from dovetail.shared.proofs import Proved

    output, project, part = Output(as_json=as_json), load_project(context), share(sample)
    sources = [project.source(source)] if source else list(project.sources.values())
    log = find_log(project.settings)
    for each in sources if kill else ():
        _kill(output, project, each.name)
    spark = start_spark(project.settings, "prove", on_progress=output.progress())
    held = True
    for each in sources:
        proof = recount(project, each, log, spark, sample=part)
        if proof is None:
            output.line(f"{each.name}: nothing was read yet")
            continue
        found = Proved(proof.seq, time.time(), part, proof.lost, proof.doubled, proof.holds)
        proofs.keep(project.layout, each.name, found)
        held = tell_proof(output, proof) and held
    return 0 if held else 1


def share(text: str) -> float:
    """A share from its percentage.

    >>> share("1%")
    0.01
    """
    found = percentage.share(text)
    if not found or found > 1:
        raise typer.BadParameter(f"'{text}' is not a percentage: write 1% or 12.5%", param_hint="--sample")
    return found


def _kill(output: Output, project: Project, source: str) -> None:
    from dovetail.cli.kill import kill_and_wait

    for _ in range(KILLS):
        killed = kill_and_wait(project.layout, source)
        output.event(
            f"killed   the speed job of {source}, pid {killed.pid}: {killed.orphans:,} state rows are left that no "
            f"ledger row names; another runs after {killed.seconds:.1f} s",
            source=source,
            killed=killed.pid,
            orphans=killed.orphans,
            seconds=round(killed.seconds, 1),
        )


def tell_proof(output: Output, proof: Proof) -> bool:
    """Prints the books and the verdict; whether it holds."""
    b, of_all = proof.books, "" if proof.sample == 1 else f" ({proof.sample:.4g} of all)"
    output.line(
        f"{proof.source} at seq {proof.seq}: consumed {b.consumed:,} = decoded {b.decoded:,} + "
        f"quarantined {b.quarantined:,};  "
        f"decoded = {b.repeats:,} repeats + {b.failed:,} failed + {b.dropped:,} dropped + {b.offered:,} offered;  "
        f"{proof.groups:,} groups{of_all}: {proof.equal:,} equal{_by(proof.engines)}"
    )
    for each in proof.imported:
        output.line(f"imported: {counted(each.records, 'record')} of import {each.id}, in {_in(each.views)}")
    for gap in proof.gaps:
        output.line(f"gap: {gap}")
    for problem in proof.problems:
        output.error(f"! {problem}")
    output.line(f"{proof.lost:,} lost, {proof.doubled:,} doubled", style="bold green" if proof.holds else "bold red")
    output.result(
        {
            "source": proof.source, "seq": proof.seq, "position": proof.position.as_json(), "books": vars(b),
            "groups": proof.groups, "equal": proof.equal, "sample": proof.sample,
            "lost": proof.lost, "doubled": proof.doubled, "engines": proof.engines,
            "imported": [vars(each) for each in proof.imported],
            "gaps": proof.gaps, "problems": proof.problems, "holds": proof.holds,
        }
    )  # fmt: skip
    return proof.holds


def _in(views: Sequence[str]) -> str:
    return ", ".join(views) or "no view yet: dovetail batch --full"


def _by(engines: Mapping[str, str]) -> str:
    """Which engine recounted which views."""
    views = {engine: ", ".join(v for v, by in engines.items() if by == engine) for engine in engines.values()}
    return f" (recounted by {'; by '.join(f'{engine}: {names}' for engine, names in views.items())})" if views else ""
