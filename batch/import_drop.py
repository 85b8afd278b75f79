"""Drops imports, and deletes records of imports that nothing needs any more. Needs no Spark."""

from __future__ import annotations

from pathlib import Path

from dovetail.shared.declare import Source
from dovetail.shared.failpoints import failpoint
from dovetail.shared.imports import Import, Imports
from dovetail.shared.locks import held, is_held
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.places import delete
from dovetail.shared.project import Project
from dovetail.shared.tables import Layout
from dovetail.shared.versions import load


def drop(project: Project, source: Source, wanted: int, *, note: str) -> Import:
    """No later run takes the import in; its records go once no run that is kept holds them."""
    with held(project.layout.lock(f"import-{source.name}"), f"dropping an import of {source.name}"):
        dropped = Imports(project.layout, source.name).drop(wanted, note=note)
        delete_unneeded(project.layout, source.name)
        return dropped


def delete_unneeded(layout: Layout, source: str, *, alone: bool = False) -> None:
    """Deletes records that no import names and no run holds. For the holder of the lock `import-SOURCE`."""
    for folder in unneeded(layout, source, alone=alone):
        delete(folder)
        failpoint("import.folder_deleted")


def unneeded(layout: Layout, source: str, *, alone: bool = False) -> list[Path]:
    """Folders of records that no import names: of killed ones, and of dropped ones that no run holds any more.

    None while a batch of one of the source's views runs, for its run may hold one that was dropped meanwhile. For the
    holder of the lock `import-SOURCE`; with `alone` it holds those of the source's batches, too.
    """
    views = [folder.name for folder in layout.root.glob("views/*")]
    # The locks first, the manifests after: what a batch has begun with is named by then, or the batch is seen here.
    if not alone and any(is_held(layout.lock(f"{job}-{view}")) for view in views for job in ("batch", "reprocess")):
        return []
    every = Imports(layout, source).all()
    named = {id_ for view in views for id_ in _named(layout, source, view)}
    wanted = {each.folder for each in every if each.dropped is None or each.id in named}
    folder = layout.imported(source)
    return [f for f in sorted(folder.iterdir()) if f.name not in wanted] if folder.is_dir() else []


def _named(layout: Layout, source: str, view: str) -> set[int]:
    """The imports that some run of a view of this source holds."""
    manifest = DeltaManifest(layout.manifest(view)).read()
    ids = {each.id for runs in manifest.sets for run in runs for each in run.imports} if manifest else set()
    return ids if manifest and ids and load(layout.version(manifest.live)).source == source else set()
