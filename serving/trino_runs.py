"""The runs of the views in a Trino server, for a process whose memory they outgrow: registered there, and asked.

A run's table is written once, so what a query gives of it is the same for ever, and is kept a while: a live answer asks
Trino once a manifest, not once a commit. Nothing is answered of a query that did not come to its end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from dovetail.serving.answer import MOST_GROUPS, too_large
from dovetail.serving.database import Database
from dovetail.serving.gone import ASKER, GONE
from dovetail.serving.problems import TooMuch
from dovetail.serving.query import Plan
from dovetail.serving.runs import Runs
from dovetail.serving.shape import BUCKET, ROWS, Shape, held_type
from dovetail.serving.trino_rows import needed
from dovetail.serving.trino_values import arrow
from dovetail.shared.errors import DovetailError, QueryError, ServiceMissing, UsageError
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Run
from dovetail.shared.sections import TrinoSettings
from dovetail.shared.tables import Layout
from dovetail.shared.trino.client import TRIES, Trino
from dovetail.shared.trino.names import quoted
from dovetail.shared.trino.offer import run_table
from dovetail.shared.trino.tables import Tables

MOST_BYTES = 256_000_000
"""Of what one question needs of the runs, as held in memory."""
KEPT_BYTES = 64_000_000
"""Of what was fetched and may be asked for again, for all views together."""
LOST = "TABLE_NOT_FOUND"

log = logging.getLogger(__name__)


def check(settings: TrinoSettings) -> None:
    """Raises ServiceMissing where no Trino answers, UsageError where it lets nobody in or has no client here."""
    try:
        Trino(settings).rows("SELECT 1")
    except ServiceMissing as error:
        raise ServiceMissing(
            error.what, where=error.where, why=error.why,
            next='see that it runs and that the address is right, or set [serving] engine = "duckdb"',
        ) from error  # fmt: skip


class InTrino:
    """Elsewhere, in Trino. Asked by any thread; no query takes longer than `seconds`."""

    def __init__(self, settings: TrinoSettings, layout: Layout, *, seconds: float) -> None:
        self._seconds = seconds
        patience = min(settings.seconds, max(seconds / TRIES, 1.0))  # one that is up says each second that it is at it
        self._trino = Trino(settings.model_copy(update={"seconds": patience}))
        self._tables = Tables(settings, layout.root, self._trino.rows)
        self._held: dict[str, tuple[str, Path, int]] = {}
        """By their names there those that are registered: what they are called, where they lie, how many rows."""
        self._kept: OrderedDict[str, pa.Table] = OrderedDict()
        self._naming, self._keeping = threading.Lock(), threading.Lock()

    def hold(self, run: Run, path: Path) -> tuple[str, int]:
        """What the table of a run is called there, and how many rows Trino sees in it."""
        name = run_table(run)
        table = self._tables.full(name, path)
        with self._naming:
            if table not in self._held or self._held[table][2] != run.state_rows:
                self._register(name, path)
                ((count,),) = self._trino.rows(f"SELECT count(*) FROM {table}")  # noqa: S608  our own name, quoted
                self._held[table] = name, path, int(count)
            return table, self._held[table][2]

    def let_go(self, table: str) -> None:
        """Keeps nothing of what it holds. It stays registered: the sync knows what may still be asked for."""
        with self._keeping:
            for sql in [sql for sql in self._kept if table in sql]:
                del self._kept[sql]

    def rows(self, shape: Shape, plan: Plan, tables: Sequence[str]) -> pa.Table:
        query = needed(shape, plan, tables)
        kinds = {**shape.keys, BUCKET: pa.int64(), **shape.states, ROWS: pa.int64()}
        try:
            found = self._asked(query.sql, {name: kinds[name] for name in query.names}, tables)
        except UsageError as error:
            if "NUMERIC_VALUE_OUT_OF_RANGE" in error.what:
                raise too_large(plan) from error
            raise
        except pa.ArrowInvalid as error:
            raise too_large(plan) from error
        lacking = [c for c in shape.columns if c not in query.names and (c not in shape.states)]
        return found if not lacking else _with_nulls(found, {name: held_type(kinds[name]) for name in lacking})

    def keys(self, shape: Shape, key: str, table: str) -> pa.Table:
        sql = f"SELECT DISTINCT {quoted(key)} FROM {table} LIMIT {MOST_GROUPS + 1}"  # noqa: S608  quoted
        return self._asked(sql, {key: shape.keys[key]}, [table])

    def _asked(self, sql: str, kinds: Mapping[str, pa.DataType], tables: Sequence[str]) -> pa.Table:
        with self._keeping:
            found = self._kept.pop(sql, None)
        if found is None:
            with _told():
                found = self._whole(sql, kinds, tables)
        with self._keeping:
            if found.nbytes <= KEPT_BYTES // 4:
                self._kept[sql] = found
            while sum(table.nbytes for table in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return found

    def _whole(self, sql: str, kinds: Mapping[str, pa.DataType], tables: Sequence[str]) -> pa.Table:
        try:
            return self._read(sql, kinds)
        except UsageError as error:
            if LOST not in error.what:
                raise
        with self._naming:  # a sync has taken one away, of which an answer of the past is made
            for name, path, _ in [self._held[table] for table in tables]:
                self._register(name, path)
        return self._read(sql, kinds)

    def _read(self, sql: str, kinds: Mapping[str, pa.DataType]) -> pa.Table:
        until, asker = time.monotonic() + self._seconds, ASKER.get()
        pages = [pa.table({name: pa.array([], held_type(kind)) for name, kind in kinds.items()})]
        rows = size = 0
        with closing(self._trino.pages(sql)) as given:
            for page in given:
                if asker is not None and asker.gone:
                    raise TooMuch(GONE)
                if time.monotonic() > until:
                    raise TooMuch(
                        f"it takes longer than {self._seconds:g} s: limits.seconds",
                        next="ask for a shorter time, fewer keys, or set [limits] seconds",
                    )
                if not page:
                    continue
                pages.append(arrow(page, kinds))
                rows, size = rows + len(page), size + pages[-1].nbytes
                if rows > MOST_GROUPS or size > MOST_BYTES:
                    raise TooMuch(
                        f"it needs more than {MOST_GROUPS:,} rows of the runs, or {MOST_BYTES // 1_000_000} MB",
                        why="states of floating numbers and sketches, which Trino cannot merge, come over as they are",
                        next="ask for a shorter time, fewer keys, or other measures",
                    )
        return pa.concat_tables(pages)

    def _register(self, name: str, path: Path) -> None:
        self._tables.prepare()
        self._tables.register(name, path)


class TrinoRuns(Runs):
    """Runs that stay in Trino, and out of the database."""

    def __init__(self, layout: Layout, database: Database, at: InTrino) -> None:
        super().__init__(layout, database)
        self._at = at

    def load(self, shape: Shape, run: Run) -> str:  # noqa: ARG002
        """Has Trino know the run's table; gives what it is called there."""
        table, count = self._at.hold(run, self.path(run))
        if count != run.state_rows:
            raise self.miscounted(run, count)
        return table

    def drop(self, table: str) -> None:
        self._at.let_go(table)

    def dropped(self, version: VersionId, named: Sequence[Run]) -> list[str]:
        for table in super().dropped(version, named):
            self._at.let_go(table)
        return []  # the database has none of them


@contextmanager
def _told() -> Iterator[None]:
    """Says what Trino says to who asks a question, and the whole of it in the log."""
    try:
        yield
    except QueryError:
        raise
    except DovetailError as error:
        name = error.what.rpartition(": ")[2]
        if name == "NUMERIC_VALUE_OUT_OF_RANGE":
            raise
        log.warning("Trino gave no answer: %s", error)
        if name.startswith("EXCEEDED_"):
            raise TooMuch(
                f"it takes more than Trino allows: {name}", next="ask for a shorter time, or fewer keys"
            ) from error
        runs = "dovetail batch VIEW --full makes one run of many" if name == "QUERY_HAS_TOO_MANY_STAGES" else ""
        raise ServiceMissing(
            error.what, where=error.where, why=error.why, next=runs or "ask again, or dovetail status"
        ) from error


def _with_nulls(found: pa.Table, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """With columns that the plan reads by name and asks nothing of."""
    for name, kind in kinds.items():
        found = found.append_column(name, pa.nulls(found.num_rows, kind))
    return found
