"""What a changed declaration means: which views are others than what answers, why, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from deltalake import DeltaTable

from dovetail.batch.estimate import measured
from dovetail.batch.plan_id import plan_id
from dovetail.batch.reprocessing import ahead
from dovetail.shared.closure import parts
from dovetail.shared.declare import View
from dovetail.shared.duration import bucket_seconds, length
from dovetail.shared.imports import Imports, coming, going
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, ready
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.project import Project
from dovetail.shared.tables import AppendTable
from dovetail.shared.versions import Bundle, code_of, libraries_of, load

State = Literal["new", "unchanged", "changed", "computed"]


@dataclass(frozen=True)
class Reason:
    """One thing that differs, and where the declared one stands: the user's file and line."""

    what: str
    where: str = ""


@dataclass(frozen=True)
class Planned:
    """What is to be done about one view.

    `records` are still to be computed for the declared version, of `bytes` in the master dataset and of imports; that
    takes `seconds` at the rate that was measured last, None where none was, and writes about `written` bytes. `notes`
    are what changes no version and may change answers all the same. `id` is what `dovetail reprocess --plan` takes.
    """

    view: str
    state: State
    live: VersionId | None
    declared: VersionId
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    records: int = 0
    bytes: int = 0
    written: int = 0
    seconds: float | None = None
    id: str = ""

    @property
    def next(self) -> str:
        """The command that goes on from here; empty where there is nothing to do."""
        verb = {"new": "batch", "changed": "reprocess", "computed": "promote", "unchanged": ""}[self.state]
        return f"dovetail {verb} {self.view}" if verb else ""


def plan(project: Project, view: View) -> Planned:
    """Compares a declared view with what answers for it; reads tables, starts no engine."""
    layout, declared = project.layout, project.version(view)
    manifests = DeltaManifest(layout.manifest(view.name))
    manifest = manifests.read()
    if manifest is None:
        return Planned(view.name, "new", None, declared, id=plan_id(None, declared))
    bundle = load(layout.version(manifest.live))
    imported = [each.id for each in Imports(layout, view.source.name).live()]
    planned = Planned(view.name, "unchanged", manifest.live, declared, id=plan_id(manifest, declared, imported))
    if manifest.live == declared:
        upgraded = _upgraded(bundle.libraries, libraries_of(view, project.settings.folder))
        return replace(planned, notes=(*upgraded, *_history(project, manifest)))
    why = tuple(reasons(bundle, view, project.settings.folder))
    runs = manifest.staged_of(declared) or manifest.earlier_of(declared)
    rows = DeltaLedger(layout.ledger(view.source.name)).rows()
    if runs and ready(manifest, runs, rows):
        of_staged = tuple(_history(project, replace(manifest, runs=runs)))
        return replace(planned, state="computed", reasons=why, notes=of_staged)
    _, logged, imports = ahead(project, view)
    records, rate = logged + sum(each.records for each in imports), measured(manifests.history())
    share = logged / max(1, sum(row.books.consumed for row in rows))
    tables = (layout.imported(view.source.name) / each.folder for each in imports)
    return replace(
        planned, state="changed", reasons=why, records=records,
        bytes=int(share * _size(layout.master(view.source.name))) + sum(map(_size, tables)),
        written=int(share * sum(_size(layout.run(run.version, run.id)) for run in manifest.runs)),
        seconds=rate.of(records) if rate else None,
    )  # fmt: skip


def _size(path: Path) -> int:
    """Bytes of a table; 0 where there is none."""
    return AppendTable.existing(path).size[1] if DeltaTable.is_deltatable(str(path)) else 0


def reasons(bundle: Bundle, view: View, project: Path) -> Iterator[Reason]:
    """What makes a declared view another version than the stored one; at least one."""
    told = [
        *_settings(bundle, view),
        *_each("measure", _json(bundle.measures), _json(view.measures), view.where),
        *_code(bundle, view, project),
    ]
    yield from told or [Reason("the order of its transforms, or the format of its states", view.where)]


def _settings(bundle: Bundle, view: View) -> Iterator[Reason]:
    if bundle.keys != tuple(view.keys):
        yield Reason(f"keys were {_list(bundle.keys)}, and are {_list(view.keys)}", view.where)
    bucket = bucket_seconds(view.bucket) if view.bucket else None
    if bundle.bucket_seconds != bucket:
        yield Reason(f"the bucket was {_length(bundle.bucket_seconds)}, and is {_length(bucket)}", view.where)
    if bundle.topic != view.source.topic:
        yield Reason(f"the topic was {bundle.topic}, and is {view.source.topic}", view.source.where)
    yield from _each("the source's", dict(bundle.decoder), view.source.as_json(), view.source.where)


def _code(bundle: Bundle, view: View, project: Path) -> Iterator[Reason]:
    before = _parts(bundle.view, bundle.folder / "code")
    after = _parts(view, project)
    for name, (text, where) in after.items():
        if name not in before:
            yield Reason(f"{name} is new", where or view.where)
        elif text != before[name][0]:
            yield Reason(f"{name} has changed", where or view.where)
    for name in before.keys() - after.keys():
        yield Reason(f"{name} is no longer used", view.where)


def _parts(view: View, folder: Path) -> dict[str, tuple[str, str]]:
    return {name: part for code in code_of(view) for name, part in parts(code, folder).items()}


def _each(what: str, before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[Reason]:
    for name in [*after, *(n for n in before if n not in after)]:
        if name not in before:
            yield Reason(f"{what} {name} is new", where)
        elif name not in after:
            yield Reason(f"{what} {name} is gone", where)
        elif before[name] != after[name]:
            yield Reason(f"{what} {name} has changed", where)


def _json(measures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: measure.as_json() for name, measure in measures.items()}


def _upgraded(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name, version in now.items():
        if before.get(name, version) != version:
            yield f"{name} was {before[name]} when this version was stored, and is {version}"


def _history(project: Project, manifest: Manifest) -> Iterator[str]:
    live = Imports(project.layout, load(project.layout.version(manifest.live)).source).live()
    for what, ids in {"was imported": coming(manifest, live), "was dropped": going(manifest, live)}.items():
        for each in ids:
            yield f"import {each} {what} after {manifest.live} was computed"


def _list(names: Any) -> str:
    return ", ".join(names) or "none"


def _length(seconds: int | None) -> str:
    return length(seconds) if seconds else "none"
