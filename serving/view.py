"""One view as it is asked: its published edition, the answers kept for it, and why it cannot answer if it cannot."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import duckdb

from dovetail.serving import query
from dovetail.serving.answer import Rows, Shown, finished, groups, groups_of_key
from dovetail.serving.database import Database
from dovetail.serving.dimensions import Dimensions
from dovetail.serving.edition import Edition
from dovetail.serving.elsewhere import FETCHED, Elsewhere
from dovetail.serving.fields import Fields
from dovetail.serving.kept import Kept, KeptAnswers, Key
from dovetail.serving.lookup import groups_of_keys, kept_of_keys, of_each_key, rows_of_kept, shown_of_keys
from dovetail.serving.query import Asked, Plan
from dovetail.serving.seen import ALL, Seen
from dovetail.serving.unmatched import Unmatched
from dovetail.shared.errors import IntegrityError, NotYet

PLANS, BRIEF = 10_000, 2_000
"""Questions whose plans are remembered, and the characters of the longest of them."""
EARLIER = 8
"""How many earlier editions are remembered for readers that began before the newest was published."""


class View:
    """Asked by any thread; `publish`, `fail` and the patching of kept answers are the follower's alone."""

    def __init__(
        self, name: str, database: Database, dimensions: Dimensions, elsewhere: Elsewhere | None = None
    ) -> None:
        self.name, self.dimensions, self._elsewhere = name, dimensions, elsewhere
        self.lock = threading.Lock()
        self.kept = KeptAnswers()
        self.problem, self.inside = "", ""
        """Why it cannot be answered, and what of that is for who operates it: paths, hosts, what an engine said."""
        self.sensitive: Mapping[str, str] = {}
        """Its keys that are masked for whom no grant says more of them, with their masks."""
        self._database = database
        self._edition: Edition | None = None
        self._editions: OrderedDict[int, Edition] = OrderedDict()
        self._plans: OrderedDict[str, Asked] = OrderedDict()
        self._unmatched = Unmatched(elsewhere)

    @property
    def edition(self) -> Edition:
        """The newest edition. Raises IntegrityError or NotYet when there is none that may be answered from."""
        edition = self._edition
        if self.problem:
            what = f"{self.name} cannot be answered: {self.problem}"
            raise IntegrityError(what, why=self.inside, next="dovetail status")
        if edition is None:
            raise NotYet(f"{self.name} is being loaded", next="ask again in a second")
        return edition

    @property
    def published(self) -> Edition | None:
        """The newest edition, whether or not it may be answered from."""
        return self._edition

    def asked(self, raw: str, read: Callable[[], Fields], seen: Seen = ALL) -> Asked:
        """The checked question that `raw` stands for, of what is seen; remembered until the view's version changes,
        unless it is long."""
        edition = self.edition
        raw = raw if seen.whole else f"{seen.digest} {raw}"
        found = self._plans.get(raw)
        if found is None:
            found = query.plan(edition.shape, read(), seen)
            with self.lock:
                if len(raw) <= BRIEF and self._edition is not None and self._edition.shape is edition.shape:
                    self._plans[raw] = found
                    if len(self._plans) > PLANS:
                        self._plans.popitem(last=False)
        return found

    def at_hand(self, plan: Plan) -> tuple[Edition, Rows] | None:
        """An answer that needs no look into the database; None where there is none."""
        if plan.keys is not None:
            return self._keys_at_hand(plan) if plan.seen.whole else None
        with self.lock:
            edition, kept = self.edition, self.kept.get(plan)
        return (edition, kept.rows()) if kept is not None else None

    def looked_up(self, plan: Plan) -> tuple[Edition, Rows]:
        """An answer from the database, kept if it is about one group of keys. For a thread that may wait."""
        with self._pinned() as (cursor, edition):
            if plan.keys is not None and plan.seen.whole:
                return edition, self._keys_looked_up(edition, plan, cursor)
            key = plan.key(edition.shape)
            if key is None:
                return edition, self._shown(edition, plan, cursor).as_json()
            groups = groups_of_key(edition.shape, plan, self._tables(edition, plan, cursor), cursor)
        found = Kept(edition.shape, plan, key, groups)
        rows = found.rows()
        self.keep(edition, [found])
        return edition, rows

    def shown(self, plan: Plan) -> tuple[Edition, Shown]:
        """An answer from the database as columns."""
        with self._pinned() as (cursor, edition):
            return edition, self._shown(edition, plan, cursor)

    def shown_in(self, edition: Edition, plan: Plan) -> Shown:
        """An answer from an edition of the past."""
        with self._database.reading(self.name) as (cursor, _):
            return self._shown(edition, plan, cursor)

    def _shown(self, edition: Edition, plan: Plan, cursor: duckdb.DuckDBPyConnection) -> Shown:
        shape, tables = edition.shape, self._tables(edition, plan, cursor)
        if plan.keys is not None:
            return shown_of_keys(shape, plan, groups_of_keys(shape, plan, tables, cursor))
        found = finished(shape, plan, groups(shape, plan, tables, cursor))
        return replace(found, unmatched=self._unmatched.of(edition, plan, cursor))

    def _tables(self, edition: Edition, plan: Plan, cursor: duckdb.DuckDBPyConnection) -> Sequence[str]:
        """The tables that a plan is answered from: in place of runs that are elsewhere, what it needs of them."""
        tables = edition.tables_of(plan)
        runs = [table for table in tables if table in edition.runs]
        if self._elsewhere is None or not runs:
            return tables
        cursor.register(FETCHED, self._elsewhere.rows(edition.shape, plan, runs))
        return [FETCHED, *(table for table in tables if table not in runs)]

    def keep(self, edition: Edition, found: Iterable[Kept]) -> None:
        """Keeps answers that were read from an edition, unless a newer one has been published."""
        with self.lock:
            if self._edition is edition:
                for kept in found:
                    self.kept.put(kept)

    def _keys_at_hand(self, plan: Plan) -> tuple[Edition, Rows] | None:
        shape = self.edition.shape
        plans, kept = of_each_key(shape, plan), dict[Key, Kept]()
        with self.lock:
            edition = self.edition
            for key, one in plans.items():
                found = self.kept.get(one)
                if found is None:
                    return None
                kept[key] = found
        return (edition, rows_of_kept(shape, plan, kept)) if edition.shape is shape else None

    def _keys_looked_up(self, edition: Edition, plan: Plan, cursor: duckdb.DuckDBPyConnection) -> Rows:
        found = groups_of_keys(edition.shape, plan, self._tables(edition, plan, cursor), cursor)
        kept = kept_of_keys(edition.shape, plan, found)
        self.keep(edition, kept)
        return rows_of_kept(edition.shape, plan, {one.key: one for one in kept})

    @contextmanager
    def _pinned(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Edition]]:
        """A cursor, and the edition whose rows it sees. Raises where the view cannot be answered from."""
        while True:
            with self._database.reading(self.name) as (cursor, token):
                edition = self._editions.get(token)
                if edition is not None:
                    yield cursor, edition
                    break
            self.edition  # noqa: B018  raises where there is none; else one was published between the two looks
        if self.problem:
            self.edition  # noqa: B018  raises

    def announce(self, edition: Edition) -> None:
        """Makes an edition known before the database publishes its token."""
        self._editions[edition.token] = edition
        while len(self._editions) > EARLIER:
            self._editions.popitem(last=False)

    def publish(self, edition: Edition, *, patched: dict[Plan, Kept | None] | None = None) -> None:
        """Answers from `edition` from now on: kept answers are brought up to it by `patched`, or dropped."""
        with self.lock:
            if patched is None:
                self.kept.clear()
            else:
                self.kept.replace(patched)
            self.kept.open = True
            if self._edition is None or self._edition.shape is not edition.shape:
                self._plans.clear()
            self._edition, self.problem, self.inside = edition, "", ""

    def fail(self, problem: str, inside: str = "") -> None:
        """Refuses every question, with the reason, until the next edition."""
        with self.lock:
            self.problem, self.inside = problem, inside
            self.kept.open = True
