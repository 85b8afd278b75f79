"""Stored versions whose code, or a file that is pinned with it, names somebody who is to be forgotten.

A bundle is what its name says, so nothing can be taken out of it: as a whole it stays or goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from deltalake import DeltaTable

from dovetail.batch.bytes_left import Needle, in_file
from dovetail.shared import places
from dovetail.shared.errors import UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.places import is_remote
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import FILE, load

GONE = "forget"
"""The folder of scratch in which bundles are deleted. For the holder of the lock of that name."""


def refuse(layout: Layout, source: str, answering: Collection[VersionId], needle: Needle) -> None:
    """Raises UsageError where a version that answers names one of them, and not by chance."""
    for version, file in _naming(layout, source, needle.sure):
        if version in answering:
            name, view = file.relative_to(load(layout.version(version)).folder / "code"), view_of(version)
            raise UsageError(
                f"{version} answers, and {name} as it is stored with it names one of them", where=str(file),
                next=f"take them out of {name}, dovetail reprocess {view} and promote it, then forget",
            )  # fmt: skip


def delete(layout: Layout, source: str, kept: Collection[VersionId], needle: Needle) -> None:
    """Deletes the others that name one of them, but where states of theirs are the only copy of records."""
    gone = layout.scratch(GONE)
    for version, _ in _naming(layout, source, needle):
        if version not in kept and not _has_states(layout, version):
            _withdraw(layout.version(version), gone)
            failpoint("forget.bundle_set_aside")
    shutil.rmtree(gone, ignore_errors=True)


def _withdraw(folder: Path, gone: Path) -> None:
    """At once: who finds half a bundle takes it for a whole one."""
    if is_remote(folder):
        (folder / FILE).unlink(missing_ok=True)
        places.delete(folder)
    else:
        gone.mkdir(parents=True, exist_ok=True)
        folder.rename(gone / folder.name)


def _naming(layout: Layout, source: str, needle: Needle) -> Iterator[tuple[VersionId, Path]]:
    """The stored versions of a source that name one of them, each with the first such file of its code."""
    for bundle in map(load, sorted(file.parent for file in layout.root.glob(f"views/*/versions/[!.]*/{FILE}"))):
        files = (file for file in sorted((bundle.folder / "code").rglob("*")) if file.is_file())
        if bundle.source == source and (found := next((f for f in files if in_file(f, needle)), None)):
            yield bundle.version, found


def _has_states(layout: Layout, version: VersionId) -> bool:
    path = layout.states(version)
    return DeltaTable.is_deltatable(str(path)) and AppendTable.existing(path).size[0] > 0
