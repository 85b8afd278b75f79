"""`dovetail torture`: seeded random harm to a whole stack; whatever happens, no record may be lost or counted twice."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.output import Output, counted

if TYPE_CHECKING:
    from dovetail.torture.actions import Action
    from dovetail.torture.run import Outcome
    from dovetail.torture.soak import Figures

LIST = "actions.txt"
MINIMAL = "minimal.txt"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Care")(torture)


def torture(
    seed: int | None = typer.Option(None, help="Gives the same actions again; a new one where not given."),
    actions: int = typer.Option(50, min=1, help="How many."),
    actions_file: str | None = typer.Option(None, help="Play the actions of this file, one a line.", metavar="FILE"),
    folder: str = typer.Option("dovetail-torture", help="Where its project is made; emptied first."),
    shrink: float = typer.Option(600, help="Seconds to look for a shorter list that fails too; 0 does not look."),
    soak: float = typer.Option(0, help="Instead: this many minutes of load, kills and batches.", metavar="MINUTES"),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the actions; do nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> int:
    """Harm a whole stack of its own at random, and hold every answer against what was acknowledged."""
    output = Output(as_json=as_json)
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    if soak:
        from dovetail.torture.soak import run

        emptied(Path(folder))
        return told_soak(output, run(Path(folder) / "soak", minutes=soak, seed=chosen, tell=output.note))
    planned = _planned(chosen, actions, actions_file)
    if dry_run:
        for action in planned:
            output.line(str(action))
        output.result({"seed": chosen, "actions": [str(a) for a in planned]})
        return 0
    return _play(output, planned, Path(folder), seed=None if actions_file else chosen, shrink=shrink)


def emptied(folder: Path) -> None:
    """Makes the folder, or takes one that an earlier torture made.

    Raises:
        UsageError: it holds what no torture wrote.
    """
    from dovetail.shared.errors import UsageError

    if folder.exists() and any(folder.iterdir()) and not (folder / LIST).is_file():
        raise UsageError(f"{folder} holds what no torture wrote", next="name another by --folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST).touch()


def told_soak(output: Output, figures: Figures) -> int:
    """Prints what a soak measured; its exit code."""
    for name, value in figures.lines():
        output.line(f"{name:<28}  {value}")
    if figures.failure:
        output.error(f"! {figures.failure}")
    output.result(figures.document())
    return 1 if figures.failure else 0


def _planned(seed: int, count: int, file: str | None) -> list[Action]:
    from dovetail.shared.errors import UsageError
    from dovetail.torture.actions import planned, read

    if file is None:
        return planned(seed, count)
    try:
        return read(Path(file).read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read", why=error.strerror or str(error)) from None


def _play(output: Output, planned: Sequence[Action], folder: Path, *, seed: int | None, shrink: float) -> int:
    from dovetail.torture import processes
    from dovetail.torture.actions import Clock, written
    from dovetail.torture.run import play

    if any(isinstance(action, Clock) for action in planned):
        processes.skewed(1)  # refused now, and not after minutes
    emptied(folder)
    (folder / LIST).write_text(written(planned), "utf-8")
    named = f"seed {seed}, " if seed is not None else ""
    output.line(f"{named}{counted(len(planned), 'action')}")
    outcome = play(planned, folder / "run", tell=output.note)
    minimal = list[Any]()
    if outcome.failure:
        _tell_failure(output, outcome)
        minimal = _shrunk(output, outcome.done, folder, shrink) if shrink else []
    _tell(output, outcome)
    output.result(_document(outcome, seed, minimal))
    return 1 if outcome.failure else 0


def _shrunk(output: Output, done: Sequence[Action], folder: Path, seconds: float) -> list[Action]:
    """A shorter list that fails; kept in a file that can be played."""
    from dovetail.torture.actions import written
    from dovetail.torture.run import play
    from dovetail.torture.shrink import shrunk

    until = time.monotonic() + seconds
    output.note(f"looking for a shorter list that fails, for {seconds:.0f} s")

    def fails(some: Sequence[Action]) -> bool:
        failure = play(some, folder / "shrink").failure
        output.note(f"{counted(len(some), 'action')}: {failure.splitlines()[0] if failure else 'all is well'}")
        return bool(failure)

    minimal = shrunk(done, fails, in_time=lambda: time.monotonic() < until)
    (folder / MINIMAL).write_text(written(minimal), "utf-8")
    output.line(f"a failing list of {counted(len(minimal), 'action')}:")
    for action in minimal:
        output.line(f"  {action}")
    output.line(f"play it again: dovetail torture --actions-file {folder / MINIMAL}")
    return minimal


def _tell_failure(output: Output, outcome: Outcome) -> None:
    output.error(f"! failed after {counted(len(outcome.done), 'action')}: {outcome.failure}")
    output.line("done so far:")
    for action in outcome.done:
        output.line(f"  {action}")


def _tell(output: Output, outcome: Outcome) -> None:
    for recovery in outcome.recoveries:
        output.line(str(recovery))
    slowest = max((r.answered for r in outcome.recoveries), default=0)
    output.line(
        f"{counted(outcome.acknowledged, 'record')} acknowledged, {counted(outcome.answers, 'answer')} checked, "
        f"{'some' if outcome.failure else 'none'} wrong, {outcome.refused:,} times 503 where it was due, "
        f"slowest recovery {slowest:.1f} s, {outcome.seconds:,.0f} s in all"
    )
    if outcome.proof:
        output.line(outcome.proof, style="bold green")


def _document(outcome: Outcome, seed: int | None, minimal: Sequence[Action]) -> dict[str, Any]:
    return {
        "seed": seed,
        "actions": [str(action) for action in outcome.done],
        "failure": outcome.failure,
        "minimal": [str(action) for action in minimal],
        "acknowledged": outcome.acknowledged,
        "answers": outcome.answers,
        "refused": outcome.refused,
        "recoveries": [vars(recovery) for recovery in outcome.recoveries],
        "ends": outcome.ends,
        "proof": outcome.proof,
        "seconds": outcome.seconds,
    }
