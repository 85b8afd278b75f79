"""Forgets subjects of one source: of their records nothing is left under the storage root, and nothing comes back.

First the ledger says whom; from that row on neither layer counts or stores a record of theirs (`forgotten.py`). Then
what was stored before is cleaned. States cannot be subtracted, so every view is computed once more from the blanked
master and all earlier sets of runs are let go of: manifest first, then deleted (rule 7), so that receipts from before
answer 410. At last each table's earlier files and log entries go, and every file is searched.

It holds the locks of all layers of the source: those that run stand aside meanwhile, and begin anew. Each step is done
again by the same command, and changes nothing where it is done already: so a killed one goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa
from pyspark.sql import SparkSession

from dovetail.batch import forget_bundles, imported, promote, recompute
from dovetail.batch.alone import alone, pushes_of
from dovetail.batch.bytes_left import Left, Needle, in_file, in_rows
from dovetail.batch.erase import blank_apart, blank_master, blank_said, places_of, theirs_of, without_history
from dovetail.batch.import_drop import delete_unneeded
from dovetail.batch.job import delete_unnamed_runs, owner
from dovetail.batch.master import DeltaMaster
from dovetail.batch.orphans import delete as delete_orphans
from dovetail.shared import commit, forgotten, private
from dovetail.shared.claims import Claims
from dovetail.shared.declare import Source
from dovetail.shared.decode import META, parsed, parser
from dovetail.shared.dimensions import Versions
from dovetail.shared.errors import UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.gaps import unarchived
from dovetail.shared.imports import Import, Imports
from dovetail.shared.ledger import CommitId, VersionId, view_of
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import needed
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.places import delete
from dovetail.shared.project import Project
from dovetail.shared.rule_arguments import WHOLE, base_type
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout
from dovetail.shared.trino import sync as trino
from dovetail.shared.versions import FILE, load

Tell = Callable[[str], None]
PATIENCE = 600.0


@dataclass(frozen=True)
class Found:
    """What a round of forgetting comes to, before it and after it.

    `records` of theirs were still there; `seq` is the ledger row that says so. `left` are files in which something of
    theirs is found, `kafka` those of the embedded broker, which keeps records until their retention ends.
    """

    records: int
    views: tuple[str, ...]
    seq: int | None = None
    files: int = 0
    left: dict[str, str] = field(default_factory=dict)
    kafka: dict[str, str] = field(default_factory=dict)


def values_of(source: Source, given: Sequence[str]) -> list[str]:
    """The subjects' ids as their column's type writes them.

    Raises:
        UsageError: the source names no subject, another column does, or one is no value of its type.
    """
    if source.subject is None:
        raise UsageError(
            f"{source.name} does not say which column names a subject", where=source.where,
            next='dv.source(…, subject="customer")',
        )  # fmt: skip
    values = list[str]()
    for each in given:
        column, equals, value = each.partition("=")
        if not equals or not value:
            raise UsageError("a subject is COLUMN=VALUE", next=f"dovetail forget {source.name} {source.subject}=…")
        if column != source.subject:
            raise UsageError(f"{source.name} names subjects by {source.subject}, not by {column}", where=source.where)
        if _number(source):
            try:
                value = str(int(value))
            except ValueError:
                raise UsageError(f"{column} is of type {source.columns[column]}: give a whole number") from None
        values.append(value)
    return list(dict.fromkeys(values))


def needle(source: Source, values: Sequence[str]) -> Needle:
    """What to look for in files."""
    return Needle(str(source.subject), values, number=_number(source))


@dataclass
class Forgetting:
    """One round for one source; for `values_of` some subjects."""

    project: Project
    source: Source
    values: Sequence[str]
    spark: SparkSession
    tell: Tell = lambda _: None

    @property
    def layout(self) -> Layout:
        return self.project.layout

    def look(self) -> Found:
        """What there is to be forgotten; writes nothing."""
        master = DeltaMaster(self.layout, self.source, self.spark)
        places = places_of(master, self._needle)
        return Found(places.num_rows, tuple(self._views()))

    def run(self, *, readers: float, patience: float = PATIENCE) -> Found:
        """Forgets them, and looks whether anything is left.

        Args:
            readers: seconds that readers, who may be in files that are to be deleted, are given to be through.
            patience: seconds that each layer is given to end what it is at.

        Raises:
            Busy: a layer of the source runs, and does not stand aside.
            NotYet: the archive has not come as far as speed.
            Paused: nor does it come there, for it is paused.
            UsageError: a dimension, an import or the code of what answers holds one of them.
        """
        self._refuse_dimensions()
        self._refuse_bundles()
        with alone(self.project, self.source, self._views(), self.spark, patience, self.tell) as (ledger, master):
            self._refuse_dimensions()
            self._refuse_bundles()
            self._refuse_imports()
            delete_orphans(self.layout, self.source.name, self._versions())
            places = places_of(master, self._needle)
            self.tell(f"{places.num_rows:,} records of theirs in the master")
            seq = self._listed(ledger, anew=bool(places.num_rows))
            self._blank(places)
            views = self._views()
            for view in views:
                self._compute(view, seq, ledger, master)
                trino.follow(self.project.settings, view)  # whose view reads what is let go of from here on
            for view in sorted({view_of(v) for v in self._versions()}):
                self._let_go(view, ledger)
            self._clean()
            self.tell(f"earlier files are deleted in {readers:g} s, when readers are through")
            time.sleep(readers)
            for path in self._tables():
                without_history(path)
            return self._searched(Found(places.num_rows, tuple(views), seq))

    @property
    def _needle(self) -> Needle:
        return needle(self.source, self.values)

    def _refuse_dimensions(self) -> None:
        """What a dimension holds now would be read from its file again: that is for its owner to change."""
        for dimension in self.project.dimensions.values():
            last = Versions(self.layout, dimension.name).last()
            file = last and self.layout.dimension(dimension.name) / last.file
            if file and in_rows(file, self._needle):
                place = dimension.path or dimension.topic or dimension.table
                raise UsageError(
                    f"dimension {dimension.name} holds one of them, from {place}", where=dimension.where,
                    next="take those rows out there, dovetail batch reads it again, then forget",
                )  # fmt: skip

    def _refuse_imports(self) -> None:
        """An import stays as it was taken in: it is dropped, and taken in again without them."""
        for each in self._imports():
            held = imported.held(self.layout, self.source.name, [each], self.spark).select(*META)
            if theirs_of(parsed(held, parser(self.source.as_json())), self._needle).num_rows:
                raise UsageError(
                    f"{each} holds one of them", where=self.source.where,
                    next=f"dovetail import {self.source.name} --drop {each.id}, take those rows out of its files and "
                    "import them again, then forget",
                )  # fmt: skip

    def _refuse_bundles(self) -> None:
        """Every view is computed anew by the bundle that answers now."""
        answering = [self._answering(view) for view in self._views()]
        forget_bundles.refuse(self.layout, self.source.name, answering, self._needle)

    def _answering(self, view: str) -> VersionId:
        """The version of a view that answers, or is about to."""
        now = DeltaManifest(self.layout.manifest(view)).read()
        return now.live if now else next(v for v in self._in_force() if view_of(v) == view)

    def _in_force(self) -> Mapping[VersionId, int]:
        last = DeltaLedger(self.layout.ledger(self.source.name)).last()
        return last.versions if last else {}

    def _imports(self) -> Sequence[Import]:
        return Imports(self.layout, self.source.name).live()

    def _listed(self, ledger: DeltaLedger, *, anew: bool) -> int:
        """The seq of the newest ledger row that says that they are forgotten.

        Appends one where not all of them are on the list, or where records of theirs are about to be blanked: a run
        that was computed since the last such row may hold them.
        """
        source, column = self.source.name, str(self.source.subject)
        known = forgotten.ForgetList.of(self.layout, source)
        if not anew and known and all(known.holds(column, value) for value in self.values):
            hashes = {forgotten.hashed(value, known.key) for value in self.values}
            rows = forgotten.entries(self.layout, source).to_pylist()
            return max(int(row["_seq"]) for row in rows if row["hash"] in hashes)

        def write(commit_id: CommitId, seq: int) -> None:
            forgotten.write(self.layout, source, column, self.values, commit_id, seq)

        return commit.forget(ledger, write, note=f"{len(self.values)} by {column}, {owner()}").seq

    def _blank(self, places: pa.Table) -> None:
        """The master last: as long as it holds them, the same command finds where they lie."""
        apart = [self.layout.quarantine(self.source.name), self.layout.failing(self.source.name)]
        for path in [*apart, *self._failed()]:
            blank_apart(path, places)
            failpoint("forget.apart_blanked")
        shutil.rmtree(self.layout.seen(self.source.name), ignore_errors=True)  # is made anew from what counts
        blank_master(self.layout.master(self.source.name), places, self.spark)
        failpoint("forget.master_blanked")

    def _compute(self, view: str, seq: int, ledger: DeltaLedger, master: DeltaMaster) -> None:
        """Lets answer what is computed without them, and nothing be gone back or forth to that was not."""
        manifests = DeltaManifest(self.layout.manifest(view))
        now = manifests.read()
        if now and all(runs[0].to_seq >= seq for runs in now.sets):
            return
        for runs in now.staged if now else ():
            promote.unstage(manifests, runs[-1].version, note="forget: was computed before")
        version = self._answering(view)
        if version not in self._in_force():
            commit.attach(ledger, version, note="forget: it answers, and is computed anew")
        self.tell(f"{view} is computed anew")
        recompute.run(
            view, version, full=True, owner=owner(), manifests=manifests, ledger=ledger, master=master, keep=0,
            imports=self._imports(),
        )  # fmt: skip
        failpoint("forget.view_computed")

    def _let_go(self, view: str, ledger: DeltaLedger) -> None:
        """Deletes what answered before: floors first, then runs and states; all of a view that has never answered."""
        manifests = DeltaManifest(self.layout.manifest(view))
        versions = [v for v in self._versions() if view_of(v) == view]
        floors = dict.fromkeys(versions, ledger.rows()[-1].seq)
        if manifests.read():
            promote.drop_pins(manifests)
            manifest = promote.raise_floors(manifests)
            for version in (v for v in versions if v not in needed(manifest)):
                commit.detach(ledger, version, note="forget: nothing is kept of it")
            manifest = promote.give_up(manifests, versions, ledger.rows()[-1].seq)
            failpoint("forget.floors_raised")
            delete_unnamed_runs(self.layout, manifest)
            floors = {version: manifest.floor(version) for version in versions}
        else:
            for folder in self.layout.of_runs(view):
                delete(folder)
        passed = Claims(self.layout.claims(self.source.name)).passed()
        only = [row.commit_id for row in unarchived(ledger.rows(), passed)] if passed else []
        states = DeltaStates(self.layout, self.source.name)
        for version in versions:
            states.delete_through(version, floors[version], keep=only)
            failpoint("forget.states_deleted")

    def _clean(self) -> None:
        """What no answer is made of: scratch, dropped imports and what was said of imports, earlier dimensions and
        versions, what a push has delivered."""
        delete_unneeded(self.layout, self.source.name, alone=True)
        blank_said(self.layout.imports(self.source.name), self._needle)
        manifests = [DeltaManifest(self.layout.manifest(view)).read() for view in map(view_of, self._versions())]
        kept = {version for manifest in manifests if manifest for version in needed(manifest)} | {*self._in_force()}
        forget_bundles.delete(self.layout, self.source.name, kept, self._needle)
        for layer in ("speed", "archive", "import"):
            shutil.rmtree(self.layout.scratch(f"{layer}-{self.source.name}"), ignore_errors=True)
        for name in self.project.dimensions:
            versions = Versions(self.layout, name)
            folder = self.layout.dimension(name)
            versions.drop([v for v in versions.earlier() if in_file(folder / v.file, self._needle)])
        for name in pushes_of(self.project, self.source):
            _take_out(self.layout.push(name), self._needle)
        failpoint("forget.cleaned")

    def _searched(self, so_far: Found) -> Found:
        root, here = self.layout.root, self.layout.here
        self.tell("every file is searched")
        kafka = here / "kafka"
        left, broker = Left(root).look(self._needle, but=[kafka]), Left(kafka).look(self._needle)
        if here != root:
            left = Left(here, left.files, left.found).look(self._needle, but=[kafka])
        return Found(so_far.records, so_far.views, so_far.seq, left.files, left.found, broker.found)

    def _versions(self) -> list[VersionId]:
        """Every stored version of the source's views that has states."""
        files = sorted(self.layout.root.glob(f"views/*/versions/*/{FILE}"))
        bundles = [load(f.parent) for f in files if (f.parent / "states" / "_delta_log").is_dir()]
        return [bundle.version for bundle in bundles if bundle.source == self.source.name]

    def _views(self) -> list[str]:
        """The views of the source that answer, or are about to."""
        stored = self._versions()
        manifests = {view: DeltaManifest(self.layout.manifest(view)).read() for view in map(view_of, stored)}
        answer = {view for view, manifest in manifests.items() if manifest and manifest.live in stored}
        return sorted(answer | {view_of(v) for v in self._in_force()})

    def _failed(self) -> list[Path]:
        return [path for view in self._views() for path in self.layout.of_runs(view) if path.parent.name == "failed"]

    def _tables(self) -> list[Path]:
        """Every table that has held something of theirs."""
        layout, name = self.layout, self.source.name
        of_source = [layout.master(name), layout.quarantine(name), layout.failing(name), layout.imports(name)]
        return [*of_source, *self._failed(), *(layout.states(v) for v in self._versions())]


def _number(source: Source) -> bool:
    return base_type(source.columns[str(source.subject)]) in WHOLE


def _take_out(push: Path, of: Needle) -> None:
    """Takes out of a push's state the groups that name a subject; nothing is delivered of them any more."""
    try:
        kept = orjson.loads(push.read_bytes())
    except FileNotFoundError:
        return
    kept["groups"] = [group for group in kept["groups"] if not of.within(orjson.dumps(group))]
    if kept["begun"] and of.within(orjson.dumps(kept["begun"])):
        kept["begun"] = None
    private.write(push, orjson.dumps(kept))
