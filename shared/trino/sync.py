"""Keeps a Trino server's views on what answers: registers the tables of a manifest, and replaces each view at once.

The new view is there before anything of an old one is taken away, and batch calls this before it deletes what the
manifest names no more. So a query that began on the old one is answered whole.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from dovetail.shared import notes
from dovetail.shared.dimensions import Version, Versions
from dovetail.shared.errors import DovetailError, IntegrityError
from dovetail.shared.ledger import VersionId
from dovetail.shared.locks import held
from dovetail.shared.manifest import ORIGIN, Manifest, needed
from dovetail.shared.sections import Settings
from dovetail.shared.tables import PROPERTIES, Layout
from dovetail.shared.trino.client import Trino
from dovetail.shared.trino.names import quoted
from dovetail.shared.trino.offer import Offer, columns_of, copy_of, offer, run_table
from dovetail.shared.trino.tables import Statements, Tables, of_version

PATIENCE = 60.0
"""Seconds that one sync waits for another: of two manifests the older must not come last."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """A view as Trino has it; with a `problem`, and without columns, where it is not shown there."""

    view: str
    version: VersionId
    generation: int
    columns: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def follow(settings: Settings, view: str) -> None:
    """Brings Trino up to date where there is one. What answers has changed already: a failure is told, not raised."""
    if settings.trino.url:
        try:
            sync(settings, [view])
        except DovetailError as error:
            log.warning("%s: Trino still answers as before: %s; next: dovetail trino sync", view, error.what)


def preview(settings: Settings, views: Iterable[str]) -> list[Synced]:
    """What `sync` would make of these views; asks no Trino and writes nothing."""
    layout = Layout.of(settings)
    tables = Tables(settings.trino, layout.root, lambda _: [])
    return [_synced(found) for view in views if (found := offer(settings.trino, layout, tables, view))]


def sync(settings: Settings, views: Iterable[str]) -> list[Synced]:
    """Brings these views up to date in Trino; those that have never answered are left out.

    Raises:
        SettingsError: a password that cannot be had.
        UsageError: Trino refuses a statement, or `trino.grant` is none.
        ServiceMissing: Trino does not answer, or ended while it did.
        Busy: another process has been at it for a minute.
    """
    layout, views = Layout.of(settings), [*views]
    done, problem = dict[str, Synced | None](), "it was cut short"
    with held(layout.lock("trino"), "a sync with Trino", patience=PATIENCE):
        try:
            run = Trino(settings.trino).rows
            tables = Tables(settings.trino, layout.root, run)
            tables.prepare()
            for view in views:
                done[view] = _put(settings, layout, tables, run, view)
        except DovetailError as error:
            problem = error.what
            raise
        finally:
            for view in (v for v in views if layout.manifest(v).is_dir()):
                notes.keep(layout.in_trino(view), {"at": time.time(), "problem": "" if view in done else problem})
    return [made for made in done.values() if made is not None]


def behind(layout: Layout, view: str) -> str:
    """Why a view was not brought up to date in Trino the last time; empty where it was, or never was to be."""
    return str((notes.read(layout.in_trino(view)) or {}).get("problem", ""))


def _put(settings: Settings, layout: Layout, tables: Tables, run: Statements, view: str) -> Synced | None:
    found = offer(settings.trino, layout, tables, view)
    if found is None:
        return None
    if found.made is None:
        run(f"DROP VIEW IF EXISTS {quoted(settings.trino.catalog, settings.trino.schema_name, view)}")
    else:
        _register(layout, tables, run, found)
        run(found.made.sql)
    kept = _kept(layout, tables, found.manifest) if found.made else ()
    tables.unregister(rf"(states|run)_{re.escape(view)}_[0-9a-f]{{16}}_.*", kept)
    return _synced(found)


def _register(layout: Layout, tables: Tables, run: Statements, found: Offer) -> None:
    for name, version in found.dimensions:
        _copy(layout, name, version)
    for name, path in (found.tables or {}).items():
        new, of_run = tables.register(name, path), found.runs.get(name)
        if new and of_run:
            ((rows,),) = run(f"SELECT count(*) FROM {tables.full(name, path)}")  # noqa: S608  our own name
            if rows != of_run.state_rows:
                tables.unregister(re.escape(tables.name(name, path)), ())  # so that it is looked at again
                raise IntegrityError(
                    f"Trino sees {rows} state rows of run {of_run.id}, the manifest says {of_run.state_rows}",
                    where=str(path), next="dovetail doctor",
                )  # fmt: skip


def _copy(layout: Layout, dimension: str, version: Version) -> None:
    folder = copy_of(layout, dimension, version)
    if not DeltaTable.is_deltatable(str(folder)):
        rows, columns = Versions(layout, dimension).read(version), columns_of(layout, dimension, version)
        copied = pa.table([rows[version.key], *(rows[c] for c in columns)], ["key", *columns.values()])
        write_deltalake(str(folder), copied, mode="ignore", configuration=dict(PROPERTIES))


def _kept(layout: Layout, tables: Tables, manifest: Manifest) -> set[str]:
    """Those of all that is kept to be gone back to: a query may have read the view before this one by now."""
    runs = [run for each in manifest.sets for run in each if run.id != ORIGIN]
    of_runs = {tables.name(run_table(run), layout.run(run.version, run.id)) for run in runs}
    return of_runs | {tables.name(of_version("states", v), layout.states(v)) for v in needed(manifest)}


def _synced(found: Offer) -> Synced:
    manifest, made = found.manifest, found.made
    if made is None:
        return Synced(manifest.view, manifest.live, manifest.generation, problem=found.problem)
    return Synced(manifest.view, manifest.live, manifest.generation, made.columns, made.left_out)
