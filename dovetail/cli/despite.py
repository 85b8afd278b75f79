"""What a person says who lets something answer: why, and that a closed gate is not to hold it back."""

from __future__ import annotations

import typer

BECAUSE = typer.Option("", help="Why; dovetail history shows it.", metavar="TEXT")
DESPITE_GATES = typer.Option(
    False, "--despite-gates", help="Also where a gate of the view is closed; with --because, for the history."
)


def reason_for(because: str) -> str:
    """Why a closed gate is passed; refused where nothing is said."""
    if not because.strip():
        raise typer.BadParameter("say why, as in --because 'the shop closed on Sunday'", param_hint="--despite-gates")
    return because
