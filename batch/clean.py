"""Deletes what no reader can ask for and no layer goes on with; says what it left, and why. Needs no Spark.

Each part is cleaned under the locks of the layers that write it, and left where one of them runs. What a receipt may
still be asked for goes by rule 7: the manifest gives it up first, so that it is answered by 410 and never by a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from dovetail.batch import promote
from dovetail.batch.import_drop import unneeded
from dovetail.batch.orphans import delete, orphans
from dovetail.shared.claims import Claims
from dovetail.shared.errors import Busy
from dovetail.shared.failpoints import failpoint
from dovetail.shared.gaps import unarchived
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held, is_held
from dovetail.shared.manifest import RunId, needed, unnamed
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.places import delete as delete_folder
from dovetail.shared.places import size
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import FILE, load


@dataclass(frozen=True)
class Waste:
    """So much of one kind in one place; bytes of rows are their share of their table."""

    kind: str
    where: Path
    n: int
    bytes: int


@dataclass(frozen=True)
class Left:
    """What was not looked at, why, and the command that lets it be."""

    what: str
    why: str
    next: str


@dataclass
class Clean:
    """One round. With `dry_run` it only looks."""

    layout: Layout
    dry_run: bool
    waste: list[Waste] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def run(self) -> Clean:
        for source in _folders(self.layout.root / "sources"):
            self._rows(source)
            self._imported(source)
        for view in _folders(self.layout.root / "views"):
            self._view(view)
        for folder in _folders(self.layout.here / "scratch"):
            self._scratch(folder)
        return self

    def _rows(self, source: str) -> None:
        with ExitStack() as locks:
            if self._taken(locks, f"rows of killed commits of {source}", f"speed-{source}", f"supersede-{source}"):
                return
            versions = [v for v, of in _versions(self.layout) if of == source]
            found = (orphans if self.dry_run else delete)(self.layout, source, versions)
            self.waste += [Waste("rows of killed commits", o.table.path, o.rows, o.bytes) for o in found]

    def _imported(self, source: str) -> None:
        with ExitStack() as locks:
            if not self._taken(locks, f"what was imported into {source} and dropped", f"import-{source}"):
                for folder in unneeded(self.layout, source):
                    self._folder("killed and dropped imports", folder)

    def _view(self, view: str) -> None:
        with ExitStack() as locks:
            if self._taken(locks, f"run tables of {view}", f"batch-{view}"):
                return
            # The folders first, the manifest after; what a killed batch has pinned is of nobody while its lock is held.
            stored = self.layout.of_runs(view)
            runs = {RunId(folder.name) for folder in stored}
            manifests = DeltaManifest(self.layout.manifest(view))
            if not self.dry_run:
                promote.drop_pins(manifests)
            manifest = manifests.read()
            pinned = manifest.pins if manifest and self.dry_run else {}
            gone = (unnamed(runs, manifest) if manifest else runs) | (runs & pinned.keys())
            for folder in (f for f in stored if f.name in gone):
                self._folder("run tables that nothing names", folder)
            for source in {of for v, of in _versions(self.layout) if v.startswith(f"{view}@")} if manifest else ():
                if not self._taken(locks, f"states of earlier versions of {view}", f"speed-{source}"):
                    self._earlier(source, view, manifests)

    def _earlier(self, source: str, view: str, manifests: DeltaManifest) -> None:
        """States of versions that are out of force, and that nothing may come back to."""
        ledger = DeltaLedger(self.layout.ledger(source))
        last, manifest = ledger.last(), manifests.read()
        if last is None or manifest is None:
            return
        stored = [v for v, of in _versions(self.layout) if of == source and v.startswith(f"{view}@")]
        old = [v for v in stored if v not in last.versions and v not in needed(manifest)]
        passed = Claims(self.layout.claims(source)).passed()
        only = unarchived(ledger.rows(), passed) if passed else []
        found = [waste for version in old if (waste := self._states(version, last.seq, only)).n]
        self.waste += found
        if found and not self.dry_run:
            manifest = promote.give_up(manifests, old, last.seq)
            failpoint("clean.floors_raised")
        states = DeltaStates(self.layout, source)
        for version in old if not self.dry_run else ():
            states.delete_through(version, manifest.floor(version), keep=[row.commit_id for row in only])
            states.table(version).compact()
            failpoint("clean.states_deleted")

    def _states(self, version: VersionId, seq: int, only: Iterable[LedgerRow]) -> Waste:
        table = AppendTable.existing(self.layout.states(version))
        kept = ds.field("_commit_id").isin(pa.array([row.commit_id for row in only], pa.string()))
        rows = table.read((ds.field("_seq") <= seq) & ~kept, ["_seq"]).num_rows
        total, size = table.size
        return Waste("states of earlier versions", table.path, rows, size * rows // total if total else 0)

    def _scratch(self, name: str) -> None:
        layer, folder = name.split("-")[0], self.layout.scratch(name)
        if not any(folder.iterdir()):
            return
        if layer in ("speed", "archive", "import"):
            with ExitStack() as locks:
                if not self._taken(locks, f"scratch of {name}", name):
                    self._folder("scratch", folder)
        elif layer == "why":
            self.left.append(Left(f"scratch {folder}", "a dovetail why may be at it", f"rm -r {folder}, if none runs"))

    def _folder(self, kind: str, folder: Path) -> None:
        self.waste.append(Waste(kind, folder, 1, size(folder)))
        if not self.dry_run:
            delete_folder(folder)
            failpoint("clean.folder_deleted")

    def _taken(self, locks: ExitStack, what: str, *names: str) -> bool:
        """Takes locks; True, and says so, where another process holds one. A dry run only looks."""
        for name in names:
            path = self.layout.lock(name)
            try:
                if self.dry_run and is_held(path):
                    raise Busy(f"{name} is running")
                if not self.dry_run:
                    locks.enter_context(held(path, name))
            except Busy as busy:
                self.left.append(Left(what, busy.what, "dovetail clean, once that has ended"))
                return True
        return False


def _folders(of: Path) -> Iterator[str]:
    return (f.name for f in sorted(of.iterdir()) if f.is_dir()) if of.is_dir() else iter(())


def _versions(layout: Layout) -> Iterator[tuple[VersionId, str]]:
    """Every version that has states, with its source."""
    for file in sorted(layout.root.glob(f"views/*/versions/*/{FILE}")):
        if not file.parent.name.startswith(".") and (file.parent / "states" / "_delta_log").is_dir():
            bundle = load(file.parent)
            yield bundle.version, bundle.source
