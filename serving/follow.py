"""Follows the tables of one view and publishes an edition for each step: a commit, or a replaced manifest."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

import duckdb
import pyarrow as pa

from dovetail.serving import snapshot
from dovetail.serving.database import Database
from dovetail.serving.depth import Depth
from dovetail.serving.dimensions import Dimensions
from dovetail.serving.edition import Edition
from dovetail.serving.kept import MANY, Kept, by_key, patches, render
from dovetail.serving.query import Plan
from dovetail.serving.runs import Runs
from dovetail.serving.shape import BUCKET, ROWS, Shape, quoted
from dovetail.serving.speed_rows import SpeedRows
from dovetail.serving.tail import LedgerTail, StatesTail
from dovetail.serving.view import View
from dovetail.shared import sensitive, versions
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import LedgerRow, until_detached, visible
from dovetail.shared.manifest import Manifest
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.tables import Layout

MANIFEST_EVERY = 0.1
"""Seconds between two looks at a manifest; the ledger is looked at more often."""
DIMENSIONS_EVERY = 0.5
LEDGER_ROWS = 1_000
"""Ledger rows kept in memory for the views of a source that lag; what lies further back is read again."""
MERGE_ABOVE = 10_000
"""Rows of speed states added in memory after which all are merged into one a group; half of what that left the last
time, where it is more."""

_tokens = itertools.count()


class Ledgers:
    """The ledger of each source, shared by its views."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tails: dict[str, LedgerTail] = {}

    def of(self, source: str) -> LedgerTail:
        if source not in self._tails:
            self._tails[source] = LedgerTail(self._layout.ledger(source))
        return self._tails[source]

    def forget(self, source: str) -> None:
        """Reads this ledger anew from now on."""
        self._tails.pop(source, None)


class ViewFollower:
    """Keeps one View up to date. For the follower's thread only."""

    def __init__(
        self, layout: Layout, view: View, database: Database, runs: Runs, ledgers: Ledgers, dimensions: Dimensions
    ) -> None:
        self.view = view
        self._dimensions, self._joined_at = dimensions, -DIMENSIONS_EVERY
        self._sensitive_at = -DIMENSIONS_EVERY
        self._layout, self._database, self._runs, self._ledgers = layout, database, runs, ledgers
        self._manifests = DeltaManifest(layout.manifest(view.name))
        self._manifest: Manifest | None = None
        self._looked = -MANIFEST_EVERY
        self._shape: Shape | None = None
        self._states: StatesTail | None = None
        self._speed_rows, self._merged_rows = 0, 0
        self._ended: int | None = None
        """The manifest's generation whose version was detached: nothing follows until there is another manifest."""

    @property
    def source(self) -> str | None:
        return self._shape.source if self._shape else None

    @property
    def answerable(self) -> bool:
        """Whether the view has a manifest: before that it does not exist for those who ask."""
        return self._manifest is not None

    def step(self) -> bool:
        """Publishes what is new; gives whether anything was.

        Raises:
            IntegrityError: what is stored does not fit together, so nothing may be answered.
        """
        self._look_at_manifest()
        if self._manifest is None:
            return False
        self._look_at_sensitive()
        joined = self._join()
        published = self.view.published
        if published is None or self.view.problem:
            return self._rebuild(self._manifest)
        if published.manifest.generation == self._manifest.generation or not self._rebuild(self._manifest):
            return self._advance(self.view.published or published) or joined
        return True

    def _join(self) -> bool:
        """Answers with the newest versions of the view's dimensions from now on; gives whether any was new."""
        now = time.monotonic()
        if self._shape is None or now - self._joined_at < DIMENSIONS_EVERY:
            return False
        self._joined_at, joined = now, self._dimensions.of(self.view.name)
        if joined == self._shape.dimensions:
            return False
        before, self._shape = self._shape, replace(self._shape, dimensions=joined)
        published = self.view.published
        if published is None or published.shape is not before or self.view.problem:
            return False
        self._swap(replace(published, token=next(_tokens), shape=self._shape), [], patched={})
        return True

    def failed(self, problem: str, inside: str) -> None:
        """Refuses questions, and forgets everything read so far: the next step reads anew."""
        self.view.fail(problem, inside)
        if self.source is not None:
            self._ledgers.forget(self.source)
        self._manifests = DeltaManifest(self._layout.manifest(self.view.name))
        self._looked, self._shape, self._states = -MANIFEST_EVERY, None, None

    def _look_at_manifest(self) -> None:
        now = time.monotonic()
        if now - self._looked >= MANIFEST_EVERY:
            self._manifest, self._looked = self._manifests.read(), now

    def _rebuild(self, manifest: Manifest) -> bool:
        """Reads manifest, ledger and states anew; False while the runs are still being loaded."""
        shape = self._shaped(manifest)
        states = self._states
        runs = self._runs.tables(shape, manifest.runs)
        if runs is None or states is None:
            return False
        ledger = self._ledgers.of(shape.source)
        parts = snapshot.read(self._manifests, ledger, states)
        if parts is None or parts.manifest.generation != manifest.generation:
            self._manifest = parts.manifest if parts else None
            return False
        rows = pa.concat_tables([shape.held(states.schema.empty_table()), *map(shape.held, parts.commits.values())])
        speed = SpeedRows.of(self._database.load(rows, order=()), rows)
        self._speed_rows, self._merged_rows = rows.num_rows, 0
        old = self.view.published
        depth = Depth.of(shape.version, parts.rows)
        edition = replace(self._edition(shape, parts.manifest, parts.last, ledger, runs, speed), depth=depth)
        gone = self._runs.dropped(manifest.live, manifest.runs)
        self._swap(edition, [*gone, *([old.speed.table] if old else [])], patched=None)
        self._merge_if_deep(edition)
        return True

    def _advance(self, published: Edition) -> bool:
        """Publishes the commits since the last edition, also while the runs of the next manifest are loaded."""
        shape, states = published.shape, self._states
        if shape is not self._shape:
            return False  # another version is being loaded
        ledger = self._ledgers.of(shape.source)
        if self._ended == published.manifest.generation:
            return False
        found = ledger.rows(after=published.seq)
        rows = until_detached(shape.version, found)
        if len(rows) < len(found):
            self._ended = published.manifest.generation
        if not rows or states is None:
            return False
        named = visible(shape.version, rows, after=published.seq)
        stored = states.newer(published.seq) if named else {}
        self._manifest = now = self._manifests.read() or published.manifest
        problem = snapshot.misfit(published.manifest, now, rows, stored)
        if problem and now.generation != published.manifest.generation:
            return False  # what is missing here is in the runs that are being loaded
        if problem:
            raise IntegrityError(problem)
        added = shape.held(pa.concat_tables([states.schema.empty_table(), *(stored[c] for c in named)]))
        speed = published.speed.and_(added)
        edition = self._edition(shape, published.manifest, rows[-1], ledger, published.runs, speed)
        edition = replace(edition, depth=published.depth.deeper(shape.version, rows))
        self._append(edition, added)
        ledger.forget(edition.seq - LEDGER_ROWS)
        self._merge_if_deep(edition)
        return True

    def _shaped(self, manifest: Manifest) -> Shape:
        if self._shape is None or self._shape.version != manifest.live:
            bundle = versions.load(self._layout.version(manifest.live))
            self._states = StatesTail(self._layout.states(manifest.live))
            dimensions = self._dimensions.of(self.view.name)
            self._shape = replace(Shape.of(bundle, self._states.schema), dimensions=dimensions)
        return self._shape

    def _look_at_sensitive(self) -> None:
        now = time.monotonic()
        if now - self._sensitive_at >= DIMENSIONS_EVERY:
            self.view.sensitive, self._sensitive_at = sensitive.of(self._layout, self.view.name), now

    def _edition(
        self, shape: Shape, manifest: Manifest, last: LedgerRow, ledger: LedgerTail, runs: tuple[str, ...],
        speed: SpeedRows,
    ) -> Edition:  # fmt: skip
        account = ledger.account(last.seq)
        return Edition(next(_tokens), shape, manifest, last.seq, last.to, account, runs, speed, ledger.broken)

    def _append(self, edition: Edition, added: pa.Table) -> None:
        with self.view.lock:
            self.view.kept.open = False
        patched = self._patched(edition.shape, added)
        self.view.announce(edition)
        self._database.append(self.view.name, edition.token, edition.speed.table, added)
        self.view.publish(edition, patched=patched)
        render(edition.shape, (patched or {}).values())
        self._speed_rows += added.num_rows

    def _patched(self, shape: Shape, added: pa.Table) -> dict[Plan, Kept | None] | None:
        if added.num_rows > MANY:
            return None
        if not len(self.view.kept):
            return {}
        rows = by_key(shape, added)
        with self.view.lock:
            kept = self.view.kept.of_keys(rows)
        return patches(kept, rows)

    def _swap(self, edition: Edition, gone: Sequence[str], *, patched: dict[Plan, Kept | None] | None) -> None:
        self.view.announce(edition)
        self._database.swap(self.view.name, edition.token, gone)
        self.view.publish(edition, patched=patched)

    def _merge_if_deep(self, edition: Edition) -> None:
        if self._speed_rows - self._merged_rows > max(MERGE_ABOVE, self._merged_rows // 2):
            self._merge_speed(edition)

    def _merge_speed(self, edition: Edition) -> None:
        """Merges the speed rows in memory to one a group, so that a long time without a batch does not slow answers."""
        shape = edition.shape
        if shape.inexact:  # the same rows have to give the same digits, merged before or not
            self._merged_rows = self._speed_rows
            return
        groups = [quoted(c) for c in (*shape.keys, *([BUCKET] if shape.bucket_seconds else []))]
        merged = [f"{shape.merged(c)} AS {quoted(c)}" for c in shape.states]
        merged.append(f"CAST(sum({ROWS}) AS BIGINT) AS {ROWS}")
        grouping = f" GROUP BY {', '.join(groups)}" if groups else ""
        select = f"SELECT {', '.join([*groups, *merged])} FROM {edition.speed.table}{grouping}"  # noqa: S608  our own names
        try:
            speed = replace(edition.speed, table=self._database.rewritten(select, shape.gathered, order=groups))
        except duckdb.DataError:  # a sum too large for its type is refused to whoever asks for it, and to nobody else
            self._merged_rows = self._speed_rows
            return
        self._speed_rows = self._merged_rows = self._database.count(speed.table)
        self._swap(replace(edition, token=next(_tokens), speed=speed), [edition.speed.table], patched={})
