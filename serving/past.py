"""Answers of the past: what a receipt stands for, put together again from what is kept, or refused."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa
from deltalake import DeltaTable

from dovetail.serving import snapshot
from dovetail.serving.database import Database
from dovetail.serving.dimensions import Dimensions, Joined
from dovetail.serving.edition import Edition, tag
from dovetail.serving.problems import Gone
from dovetail.serving.runs import Runs
from dovetail.serving.shape import Shape
from dovetail.serving.speed_rows import SpeedRows
from dovetail.serving.tail import LedgerTail, StatesTail
from dovetail.shared import versions
from dovetail.shared.errors import QueryError
from dovetail.shared.ledger import VersionId, visible
from dovetail.shared.manifest import ORIGIN, Manifest, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.tables import Layout

T = TypeVar("T")

KEPT = 4
"""Editions of the past that are kept in the database, of all views together."""
ID = re.compile(r"s(\d{1,18})\.(\d{1,18})(?:\.d(\d{1,18}(?:-\d{1,18})*))?\.([0-9a-f]{6})[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True)
class Receipt:
    """What a receipt's id says: the manifest's generation, the ledger's seq, the dimensions' versions by name, and
    the tag of its view."""

    generation: int
    seq: int
    dimensions: tuple[int, ...]
    view: str

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Raises QueryError for what is not the id of a receipt."""
        found = ID.fullmatch(text)
        if found is None:
            raise QueryError(f"{text} is no receipt's id", next="give `receipt.id` of an earlier answer")
        dimensions = tuple(int(n) for n in (found[3] or "").split("-") if n)
        return cls(int(found[1]), int(found[2]), dimensions, found[4])


class Past:
    """The editions of the past. Asked by any thread that may wait."""

    def __init__(self, layout: Layout, database: Database, runs: Runs, dimensions: Dimensions) -> None:
        self._layout, self._database, self._runs, self._dimensions = layout, database, runs, dimensions
        self._manifests: dict[str, DeltaManifest] = {}
        self._kept: OrderedDict[tuple[str, Receipt], Edition] = OrderedDict()
        self._loaded: dict[tuple[VersionId, RunId], str] = {}
        """The tables of the runs of what is kept: the pages of several answers, of other seqs, share them."""
        self._lock = threading.Lock()

    def asked(self, view: str, receipt: Receipt, look: Callable[[Edition], T]) -> T:
        """What `look` gives for the rows that answers with this receipt were made of.

        Raises:
            QueryError: there is no such receipt of this view.
            Gone: its runs, its states or its dimensions' versions are not kept any more.
        """
        if receipt.view != tag(view):
            raise _unknown(view)
        with self._lock:
            self._drop_given_up(view)
            found = self._kept.get((view, receipt))
            if found is None:
                found = self._kept[view, receipt] = self._made(view, receipt)
                while len(self._kept) > KEPT:
                    self._drop(self._kept.popitem(last=False)[1])
            self._kept.move_to_end((view, receipt))
            # The dimensions anew, which may have been dropped since; with the lock, so that no table is meanwhile.
            return look(replace(found, shape=replace(found.shape, dimensions=self._joined(view, receipt))))

    def _made(self, view: str, receipt: Receipt) -> Edition:
        manifest = self._manifest(view, receipt)
        version = manifest.live
        bundle = versions.load(self._layout.version(version))
        states = StatesTail(self._layout.states(version))
        shape = Shape.of(bundle, states.schema)
        ledger = LedgerTail(self._layout.ledger(shape.source))
        rows = [row for row in ledger.rows(after=manifest.seq - 1) if row.seq <= receipt.seq]
        if not rows or rows[-1].seq != receipt.seq:
            raise _unknown(view)
        stored = states.commits(version, manifest.seq)
        if snapshot.miscounted(manifest, rows, stored):
            raise Gone(f"the states up to seq {receipt.seq} are not kept any more", next="ask without as_of")
        named = visible(version, rows, after=manifest.seq)
        held = pa.concat_tables([shape.held(states.schema.empty_table()), *(shape.held(stored[c]) for c in named)])
        runs = tuple(self._run(shape, run) for run in manifest.runs if run.id != ORIGIN)
        account = LedgerTail.accounted(self._layout.ledger(shape.source), receipt.seq)
        speed = SpeedRows.of(self._database.load(held, order=()), held)
        return Edition(-1, shape, manifest, receipt.seq, rows[-1].to, account, runs, speed)

    def _run(self, shape: Shape, run: Run) -> str:
        if (run.version, run.id) not in self._loaded:
            self._loaded[run.version, run.id] = self._runs.load(shape, run)
        return self._loaded[run.version, run.id]

    def _drop_given_up(self, view: str) -> None:
        """Keeps nothing of a view that may be asked for no more: it may hold whom a source has forgotten since."""
        now = self._manifests.setdefault(view, DeltaManifest(self._layout.manifest(view))).read()
        for (name, receipt), old in [*self._kept.items()]:
            if now is not None and name == view and _given_up(old.manifest, now):
                self._drop(self._kept.pop((name, receipt)))
        self._drop_unused()  # of what could not be made

    def _drop(self, old: Edition) -> None:
        self._database.drop(old.speed.table)
        self._drop_unused()

    def _drop_unused(self) -> None:
        used = {table for edition in self._kept.values() for table in edition.runs}
        for run in [run for run, table in self._loaded.items() if table not in used]:
            self._runs.drop(self._loaded.pop(run))

    def _manifest(self, view: str, receipt: Receipt) -> Manifest:
        history = DeltaManifest(self._layout.manifest(view)).history()
        found = next((m for m in history if m.generation == receipt.generation), None)
        if found is None or receipt.seq < found.seq:
            raise _unknown(view)
        tables = (self._layout.run(run.version, run.id) for run in found.runs if run.id != ORIGIN)
        kept = all(DeltaTable.is_deltatable(str(table)) for table in tables)
        if not kept or _given_up(found, history[-1]):
            raise Gone(
                f"what answered for {view} at seq {receipt.seq} has been pruned: "
                f"seq {history[-1].seq} is the oldest that can still be asked for",
                next="ask without as_of",
            )
        return found

    def _joined(self, view: str, receipt: Receipt) -> tuple[Joined, ...]:
        now = self._dimensions.of(view)
        if len(now) != len(receipt.dimensions):
            raise Gone(f"{view} had other dimensions then", next="ask without as_of")
        then = [self._dimensions.at(d.name, n) for d, n in zip(now, receipt.dimensions, strict=True)]
        found = tuple(d for d in then if d is not None)
        if len(found) < len(then):
            raise Gone("a dimension's version of then is not kept any more", next="ask without as_of")
        return found


def _given_up(then: Manifest, now: Manifest) -> bool:
    """Whether states that an answer of then was made of may be deleted by now."""
    return now.floor(then.live) > then.seq


def _unknown(view: str) -> QueryError:
    return QueryError(f"{view} has no such receipt", next="give `receipt.id` of an earlier answer")
