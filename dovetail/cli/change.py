"""The verbs of a change: plan, reprocess, diff, promote, rollback, history."""

from __future__ import annotations

import getpass
import socket
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.despite import BECAUSE, DESPITE_GATES, reason_for
from dovetail.cli.output import Output, counted
from dovetail.cli.prove import share
from dovetail.cli.samples import SAMPLES, keep, records_behind
from dovetail.cli.session import find_log, load_project, start_spark, writable

if TYPE_CHECKING:
    from dovetail.batch.plan import Planned
    from dovetail.shared.declare import View
    from dovetail.shared.manifest import Manifest, Run
    from dovetail.shared.project import Project

PANEL = "Change"
VIEW = typer.Argument(help="Which view.")
DRY_RUN = typer.Option(False, "--dry-run", help="Say what would answer; change nothing.")
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    for verb in (plan, reprocess, diff, promote, rollback, history):
        app.command(rich_help_panel=PANEL)(verb)


def plan(
    context: typer.Context,
    view: str = typer.Argument(None, help="Which view; all of them where not given."),
    verify: bool = typer.Option(
        False, "--verify", help="Run both codes over the master; exit code 1 where what they come to differs."
    ),
    sample: str = typer.Option("100%", help="The share of the records' keys that --verify looks at, as in 1%."),
    as_json: bool = JSON,
) -> None:
    """Show which views are declared otherwise than they answer, why, and what it takes to compute them; no Java.

    Where --verify finds all states equal, dovetail reprocess --relabel lets what is computed stand for the change.
    """
    from dovetail.batch.plan import plan as planned_of
    from dovetail.cli.verify import verified

    output, project, part = Output(as_json=as_json), load_project(context), share(sample)
    views = [project.view(view)] if view else list(project.views.values())
    found = [planned_of(project, each) for each in views]
    for each in found:
        output.line(_planned(each))
        for reason in each.reasons:
            output.line(f"      {reason.what}  ({reason.where})" if reason.where else f"      {reason.what}")
        for note in each.notes:
            output.warn(f"{each.view}: {note}: answers may differ; dovetail reprocess {each.view} --from-scratch")
        if each.next:
            output.line(f"      next: {each.next}")
    told = verified(output, project, found, sample=part) if verify else {}
    output.result(
        [
            {**vars(p), "reasons": [vars(r) for r in p.reasons], "next": p.next, "verified": told.get(p.view)}
            for p in found
        ]
    )
    if not all(each["same"] for each in told.values()):
        raise typer.Exit(1)


def reprocess(
    context: typer.Context,
    view: str = VIEW,
    from_scratch: bool = typer.Option(
        False, "--from-scratch", help="Compute what answers now once more, from the first record on."
    ),
    relabel: bool = typer.Option(
        False, "--relabel", help="Let what answers stand for it where dovetail plan --verify found it equal."
    ),
    replay: bool = typer.Option(
        False, "--replay", help="Read the log instead of the master: where it still holds everything."
    ),
    plan: str = typer.Option("", help="Refuse where this is not the plan any more: its id.", metavar="ID"),
    max_rate: float = typer.Option(0, min=0, help="Records a second that are not exceeded; 0 for no limit."),
    give_up: bool = typer.Option(False, "--give-up", help="Let go of what was computed, and of the version."),
    to: str = typer.Option(
        "", help="With --give-up: of which version; the declared one where not given.", metavar="VERSION"
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be computed; write nothing."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document a line."),
) -> None:
    """Compute a changed view over its whole history, beside what answers; promotes nothing.

    Killed or paused it goes on where it was, by the same command. Speed, archive and nightly batches go on meanwhile.
    """
    from dovetail.batch import change, reprocessing

    output, project = Output(as_json=as_json), load_project(context, logged=True)
    named = project.view(view)
    if to and not give_up:
        raise typer.BadParameter("goes with --give-up", param_hint="--to")
    if give_up:
        if not dry_run:
            writable(project.settings)
        version = reprocessing.give_up(project, named, to, dry_run=dry_run)
        output.line(f"{version} {'would be given up. Nothing changed.' if dry_run else 'is given up'}")
        output.result({"view": view, "version": version, "given_up": not dry_run})
        return
    reprocessing.refuse(project, named, from_scratch=from_scratch, relabelled=relabel, plan=plan)
    if dry_run:
        version, logged, imports = reprocessing.ahead(project, named, relabelled=relabel)
        records = logged + sum(each.records for each in imports)
        output.line(f"{version}: {counted(records, 'record')} would be computed. Nothing written.")
        output.result({"view": view, "version": version, "records": records, "written": False})
        return
    writable(project.settings)
    log = find_log(project.settings)
    spark = start_spark(project.settings, "reprocess", heavy=True, on_progress=output.progress())

    def tell(so_far: reprocessing.Progress) -> None:
        left = f", {so_far.left:,.0f} s left" if so_far.left else ""
        text = f"{so_far.done:,} of {counted(so_far.records, 'record')}, {so_far.rate:,.0f} a second{left}"
        output.event(f"{so_far.version}: {text}", done=so_far.done, records=so_far.records, rate=so_far.rate)

    manifest, version = reprocessing.run(
        project, named, log, spark,
        from_scratch=from_scratch, relabelled=relabel, replay=replay, plan=plan, max_rate=max_rate,
        on_part=tell,
    )  # fmt: skip
    runs = change.to_promote(manifest, version)
    output.line(
        f"{version} is computed up to seq {runs[-1].to_seq}, {counted(sum(r.state_rows for r in runs), 'state row')}, "
        f"and kept up to date. {manifest.live} answers until: dovetail promote {view}"
    )
    output.result({"view": view, "version": version, "seq": runs[-1].to_seq, "live": manifest.live, "ready": True})


def diff(
    context: typer.Context,
    view: str = VIEW,
    to: str = typer.Option("", help="Which version; the declared one where not given.", metavar="VERSION"),
    within: str = typer.Option("0%", help='What a number may differ by without being told, as in "1%".'),
    samples: int | None = SAMPLES,
    as_json: bool = JSON,
) -> None:
    """Compare what answers with what was reprocessed, group by group; exit code 1 where something differs."""
    from dovetail.batch import change
    from dovetail.batch.diff import diff as compared
    from dovetail.batch.diff import tolerance

    output, project = Output(as_json=as_json), load_project(context)
    named, manifest = project.view(view), _manifest(project, view)
    runs = change.to_promote(manifest, project.version(named), to)
    allowed = tolerance(within)
    spark = start_spark(project.settings, "diff", heavy=True, on_progress=output.progress())
    found = compared(project, named, manifest, runs, spark, within=allowed)
    groups = found.found.shown(named.source.sensitive)
    output.line(
        f"{found.before} and {found.after} at {found.position}, {counted(groups.groups, 'group')} by "
        f"{', '.join(found.by) or 'nothing'}: {groups.gone:,} gone, {groups.new:,} new"
    )
    figures = ["groups that differ", "total before", "total after"]
    output.table(
        ["measure", *figures], [(m.measure, m.differing, m.before, m.after) for m in groups.measures], right=figures
    )
    for name in (*found.only_before, *found.only_after):
        output.line(f"{name} is {'gone' if name in found.only_before else 'new'}")
    for m in groups.measures:
        for group in m.worst:
            at = " ".join(f"{name}={group[name]}" for name in found.by)
            output.line(f"  {m.measure}  {at}: {group['before']} before, {group['after']} after")
    keep(project, view, found, within=allowed)
    behind = records_behind(output, project, named, found, (manifest.runs, runs), spark, samples=samples)
    output.line("Nothing differs." if groups.same else f"Next: dovetail promote {view}, or change it again")
    document = {**vars(found), "position": found.position.as_json(), **vars(groups)}
    document["measures"] = [vars(m) for m in groups.measures]
    output.result({**{name: value for name, value in document.items() if name != "found"}, "samples": behind})
    if not groups.same:
        raise typer.Exit(1)


def promote(
    context: typer.Context,
    view: str = VIEW,
    to: str = typer.Option("", help="Which version; the declared one where not given.", metavar="VERSION"),
    despite_gates: bool = DESPITE_GATES,
    because: str = BECAUSE,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Let what was reprocessed answer, for all readers at once; what answered until now can be gone back to."""
    from dovetail.batch import change, gates
    from dovetail.shared.errors import GateClosed
    from dovetail.shared.hooks import watched

    output, project = Output(as_json=as_json), load_project(context)
    named, manifest = project.view(view), _manifest(project, view)
    runs, what = change.to_promote(manifest, project.version(named), to), "promote"
    if despite_gates:
        because, what = reason_for(because), "promote despite its gates"
    elif named.promote_if:
        spark = start_spark(project.settings, "promote", heavy=True, on_progress=output.progress())
        with nullcontext() if dry_run else watched(project.settings, "promote", view, of=GateClosed):
            for found in gates.refuse_promote(project, named, manifest, runs, spark):
                output.line(f"gate open: {found}")
    _switch(output, project, named, manifest, runs, what=what, because=because, dry_run=dry_run)


def rollback(
    context: typer.Context,
    view: str = VIEW,
    to: str = typer.Option("", help="Which version; the one before where not given.", metavar="VERSION"),
    because: str = BECAUSE,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Let the version before answer again, with every record that came since."""
    from dovetail.batch import change

    output, project = Output(as_json=as_json), load_project(context)
    named, manifest = project.view(view), _manifest(project, view)
    runs = change.to_go_back(manifest, to)
    _switch(output, project, named, manifest, runs, what="rollback", because=because, dry_run=dry_run)


def history(context: typer.Context, view: str = VIEW, as_json: bool = JSON) -> None:
    """Show what answered for a view when, who changed it and why, and what it can go to."""
    from dovetail.batch import change
    from dovetail.shared.ledger_table import DeltaLedger
    from dovetail.shared.manifest import go_on, ready
    from dovetail.shared.manifest_table import DeltaManifest

    output, project = Output(as_json=as_json), load_project(context)
    named, manifest = project.view(view), _manifest(project, view)
    declared = project.version(named)
    changes = change.history(DeltaManifest(project.layout.manifest(view)).history())
    rows = DeltaLedger(project.layout.ledger(named.source.name)).rows()
    output.table(
        ["generation", "when", "version", "seq", "runs", "plan", "what"],
        [(c.generation, _when(c.at), c.version, c.seq, c.runs, c.plan, c.note) for c in changes],
        right=["generation", "seq", "runs"],
    )
    kept = [("back", runs) for runs in manifest.rollback] + [("forth", runs) for runs in manifest.staged]
    for way, runs in kept:
        version, whole = runs[-1].version, ready(manifest, runs, rows)
        if way == "back":
            lacks, commands = ", but is not kept up to date any more", [f"dovetail rollback {view} --to {version}"]
        else:
            lacks, commands = (
                f" of {rows[-1].seq}",
                [f"dovetail reprocess {view} --give-up --to {version} lets go of it"],
            )
            if whole:
                commands.insert(0, f"dovetail promote {view} --to {version}")
            elif version == declared:
                commands.insert(0, f"{go_on(manifest, version)} goes on")
        output.line(f"{way:<5} {version} up to seq {runs[-1].to_seq}{'' if whole else lacks}: {'; '.join(commands)}")
    output.result(
        {
            "view": view, "live": manifest.live, "declared": declared,
            "changes": [vars(c) for c in changes],
            "kept": [
                {
                    "way": way, "version": runs[-1].version, "seq": runs[-1].to_seq,
                    "ready": ready(manifest, runs, rows),
                }
                for way, runs in kept
            ],
        }
    )  # fmt: skip


def _planned(planned: Planned) -> str:
    match planned.state:
        case "new":
            return f"{planned.view}: new, nothing answers for it yet"
        case "unchanged":
            return f"{planned.view}: as it answers, {planned.declared}"
        case "computed":
            return f"{planned.view}: {planned.declared} is computed; {planned.live} answers"
    size = f"{counted(planned.records, 'record')}, {planned.bytes / 1e6:,.1f} MB"
    long = "for how long is not known yet" if planned.seconds is None else f"about {_minutes(planned.seconds)}"
    return (
        f"{planned.view}: changed, {planned.live} answers; {size} to read for {planned.declared}, "
        f"{planned.written / 1e6:,.1f} MB to write, {long}; plan {planned.id}"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 90 else f"{seconds / 60:,.0f} min"


def _manifest(project: Project, view: str) -> Manifest:
    from dovetail.shared.errors import UsageError
    from dovetail.shared.manifest_table import DeltaManifest

    found = DeltaManifest(project.layout.manifest(view)).read()
    if found is None:
        raise UsageError(f"nothing answers for {view} yet", next=f"dovetail batch {view}")
    return found


def _switch(
    output: Output, project: Project, view: View, manifest: Manifest, runs: tuple[Run, ...], *,
    what: str, because: str, dry_run: bool,
) -> None:  # fmt: skip
    from dovetail.batch import change

    said: dict[str, Any] = {"view": view.name, "from": manifest.live, "to": runs[-1].version, "seq": runs[-1].to_seq}
    if dry_run:
        output.line(f"{runs[-1].version} would answer for {view.name} instead of {manifest.live}. Nothing changed.")
        output.result({**said, "changed": False})
        return
    writable(project.settings)
    note = f"{what} by {getpass.getuser()} on {socket.gethostname()}" + (f": {because}" if because else "")
    back = what == "rollback"
    now = change.switch(project, view, manifest, runs, note=note, back=back)
    forth = f"promote {view.name} --to {manifest.live}" if now.live != manifest.live else f"batch {view.name}"
    undo = f"Forth: dovetail {forth}" if back else f"Back: dovetail rollback {view.name}"
    output.line(f"{now.live} answers for {view.name}, generation {now.generation}. {undo}")
    output.result({**said, "generation": now.generation, "changed": True})


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
