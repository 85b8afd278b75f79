"""Which set of runs a view goes to next, and what it was before: what `promote`, `rollback` and `history` share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dovetail.batch import promote
from dovetail.shared import hooks
from dovetail.shared.declare import View
from dovetail.shared.errors import Busy, UsageError
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, Run, go_on, ready
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.project import Project
from dovetail.shared.trino import sync as trino
from dovetail.shared.versions import short


@dataclass(frozen=True)
class Change:
    """One time at which what answers for a view became another; by which plan it was computed, where one was named."""

    generation: int
    at: float
    version: VersionId
    seq: int
    runs: int
    note: str
    plan: str = ""


def to_promote(manifest: Manifest, declared: VersionId, named: str = "") -> tuple[Run, ...]:
    """What `promote` makes answer: of the version named, or else of the one declared, what was computed beside, or else
    the newest set that answered before, where that version does not answer now.

    Raises:
        UsageError: there is none; says what would make it.
    """
    version = known(manifest, named) if named else declared
    if found := manifest.staged_of(version):
        return found
    if version == manifest.live:
        raise UsageError(f"{version} answers for {manifest.view} already", next=f"dovetail history {manifest.view}")
    if found := manifest.earlier_of(version):
        return found
    raise UsageError(
        f"{version} has not been computed: there is nothing to promote", next=f"dovetail reprocess {manifest.view}"
    )


def to_go_back(manifest: Manifest, named: str = "") -> tuple[Run, ...]:
    """What `rollback` makes answer: the newest earlier set of the version named, or else of another version than the
    one that answers, or else of that one. To what a rollback has left only its name leads back.

    Raises:
        UsageError: there is none, or a rollback has just been made: the same one again, by who does not know that it
            was, must not undo it.
    """
    version = known(manifest, named) if named else manifest.live
    if manifest.generation in manifest.left.values() and version == manifest.live:
        raise UsageError(
            f"{manifest.view} has been rolled back: {version} answers",
            next=f"dovetail history {manifest.view}, then name the version to go to with --to",
        )
    if named and (found := manifest.earlier_of(version)):
        return found
    earlier = [runs for runs in manifest.rollback if runs[-1].version not in manifest.left.keys() - {manifest.live}]
    others = [runs for runs in earlier if runs[-1].version != manifest.live]
    if named or not earlier:
        raise UsageError(
            f"{manifest.view} keeps nothing{f' of {named}' if named else ''} to go back to",
            next=f"dovetail history {manifest.view}",
        )
    return (others or earlier)[0]


def refuse_unready(manifest: Manifest, runs: tuple[Run, ...], rows: Sequence[LedgerRow]) -> None:
    """Raises Busy where these runs cannot answer: they are computed in part only, or not kept up to date."""
    if ready(manifest, runs, rows):
        return
    version, seq = runs[-1].version, runs[-1].to_seq
    if runs in manifest.staged and version in rows[-1].versions:
        raise Busy(
            f"{version} is computed up to seq {seq} of {rows[-1].seq}", next=f"{go_on(manifest, version)} goes on"
        )
    raise Busy(f"{version} is not kept up to date", next=go_on(manifest, version))


def switch(
    project: Project, view: View, started: Manifest, to: tuple[Run, ...], *, note: str, back: bool = False
) -> Manifest:
    """Makes a set of runs answer; see `promote.switch`. Raises Busy also where it is computed in part only."""
    layout, retention = project.layout, project.settings.retention
    ledger = DeltaLedger(layout.ledger(view.source.name))
    if to in started.staged:
        refuse_unready(started, to, ledger.rows(after=to[-1].to_seq - 1))
    now = promote.switch(
        DeltaManifest(layout.manifest(view.name)),
        ledger,
        view=view.name,
        started=started,
        to=to,
        note=note,
        keep=retention.rollbacks,
        window=retention.rollback_seconds,
        back=back,
    )
    trino.follow(project.settings, view.name)
    hooks.promoted(project.settings, started, now, by="rollback" if back else "promote")
    return now


def history(manifests: Sequence[Manifest]) -> list[Change]:
    """The times at which what answers became another, newest first."""
    found = dict[int, Change]()
    for each in manifests:
        if each.generation not in found:
            plan = next((run.plan for run in reversed(each.runs) if run.plan), "")
            found[each.generation] = Change(
                each.generation, each.at, each.live, each.seq, len(each.runs), each.note, plan
            )  # fmt: skip
    return [*reversed(found.values())]


def known(manifest: Manifest, named: str, others: Iterable[VersionId] = ()) -> VersionId:
    """The version that a beginning of its name names: of those that answer, are kept or computed beside, or `others`.

    Raises:
        UsageError: it names none of them, or several.
    """
    versions = sorted({*(runs[-1].version for runs in manifest.sets), *others})
    found = [v for v in versions if v.startswith(named) or v.split("@")[1].startswith(named.removeprefix("@"))]
    if len(found) != 1:
        raise UsageError(
            f"'{named}' names {'none' if not found else 'several'} of {', '.join(map(short, versions))}",
            next=f"dovetail history {manifest.view}",
        )
    return found[0]
