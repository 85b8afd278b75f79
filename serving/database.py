"""The seam to DuckDB: the rows of all views in tables in memory, and transactions in which they are read as one.

Every table but those of speed is written once. A reader learns in its own transaction which token is published for a
view; the rows it sees in that transaction are exactly those of the edition with that token.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from dovetail.serving.gone import ASKER, GONE, Asker
from dovetail.serving.problems import TooMuch

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # Nothing but what is handed over in memory is ever read, whatever a question might look like: of a database that
    # runs no statement can undo the first.
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
MEMORY_PERCENT = 80
"""Of this machine's memory, for all workers together: beyond, a question is refused rather than the process killed."""


class Database:
    """One DuckDB in memory. `load` may be called from any thread, the writing methods from one at a time."""

    def __init__(self, *, seconds: float = 60.0, workers: int = 1) -> None:
        share = {"memory_limit": f"{max(MEMORY_PERCENT // workers, 1)}%"}
        self._connection = duckdb.connect(":memory:", config={**CONFIG, **share})
        self._deadlines = Deadlines(seconds)
        self._connection.execute("CREATE TABLE published (view VARCHAR, token BIGINT)")
        self._writer = self._connection.cursor()
        self._numbers = itertools.count()
        self._naming, self._spreading = threading.Lock(), threading.Lock()
        ((self._cores,),) = self._connection.execute("SELECT current_setting('threads')").fetchall()
        self._threads = self._cores

    def load(self, rows: pa.RecordBatchReader | pa.Table, *, order: Sequence[str]) -> str:
        """Puts rows into a new table, sorted by these expressions, so that a question reads little; gives its name."""
        name, cursor = self._name(), self._connection.cursor()
        sorting = f" ORDER BY {', '.join(order)}" if order else ""
        try:
            cursor.register("incoming", rows)
            cursor.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming{sorting}")  # noqa: S608  our own name
        finally:
            cursor.close()
        return name

    def spread(self, *, wide: bool) -> None:
        """Lets each look take every core from now on, or no more than the one that its caller runs on."""
        threads = self._cores if wide else 1
        with self._spreading:
            if threads == self._threads:
                return
            cursor = self._connection.cursor()
            cursor.execute(f"SET threads = {threads}")
            cursor.close()
            self._threads = threads

    def count(self, table: str) -> int:
        cursor = self._connection.cursor()
        ((count,),) = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608  our own name
        cursor.close()
        return int(count)

    def append(self, view: str, token: int, table: str, rows: pa.Table) -> None:
        """Adds rows to a table of a published view and publishes `token`, in one."""
        with self._writing() as cursor:
            if rows.num_rows:
                cursor.register("incoming", rows)
                cursor.execute(f"INSERT INTO {table} SELECT * FROM incoming")  # noqa: S608  our own name
                cursor.unregister("incoming")
            cursor.execute("UPDATE published SET token = ? WHERE view = ?", [token, view])

    def swap(self, view: str, token: int, gone: Sequence[str]) -> None:
        """Publishes `token` and drops tables that only earlier ones need, in one: readers under way still see them."""
        with self._writing() as cursor:
            cursor.execute("DELETE FROM published WHERE view = ?", [view])
            cursor.execute("INSERT INTO published VALUES (?, ?)", [view, token])
            for table in gone:
                cursor.execute(f"DROP TABLE {table}")

    def rewritten(self, select: str, finish: Callable[[pa.Table], pa.Table], *, order: Sequence[str]) -> str:
        """A new table with the rows of a query of ours, as `finish` leaves them, in this order; gives its name."""
        return self.load(finish(self._writer.sql(select).to_arrow_table()), order=order)

    def drop(self, table: str) -> None:
        """Drops a table that was never published."""
        cursor = self._connection.cursor()
        cursor.execute(f"DROP TABLE {table}")
        cursor.close()

    @contextmanager
    def reading(self, view: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
        """A cursor in a transaction of its own, and the token published for `view` in it.

        Raises:
            TooMuch: what is done with it takes too long.
        """
        cursor = self._connection.cursor()
        try:
            with self._deadlines.over(cursor):
                cursor.execute("BEGIN")
                found = cursor.execute("SELECT token FROM published WHERE view = ?", [view]).fetchall()
                yield cursor, int(found[0][0]) if found else -1
        finally:
            cursor.close()  # ends the transaction too

    def close(self) -> None:
        self._deadlines.close()
        self._writer.close()
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self._writer.execute("BEGIN")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise

    def _name(self) -> str:
        with self._naming:
            return f"rows_{next(self._numbers)}"


class Deadlines:
    """Interrupts what takes longer than so many seconds or is for nobody; one thread watches all of it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[int, tuple[float, duckdb.DuckDBPyConnection, Asker | None]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dovetail-deadlines", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """The block has so many seconds for what it does with `cursor`, as long as who asked waits for it.

        Raises:
            TooMuch: it needs more, or nobody waits any more.
        """
        asker = ASKER.get()
        with self._lock:
            self._ends[id(cursor)] = time.monotonic() + self._seconds, cursor, asker
        try:
            yield
        except duckdb.InterruptException:
            if asker is not None and asker.gone:
                raise TooMuch(GONE) from None
            raise TooMuch(
                f"it takes longer than {self._seconds:g} s: limits.seconds",
                next="ask for a shorter time, fewer keys, or set [limits] seconds",
            ) from None
        except duckdb.OutOfMemoryException:
            raise TooMuch("it takes more memory than there is", next="ask for a shorter time, or fewer keys") from None
        finally:
            with self._lock:
                del self._ends[id(cursor)]

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(min(0.25, self._seconds / 4)):
            now = time.monotonic()
            with self._lock:  # so that no cursor is closed, and another opened, in between
                for end, cursor, asker in self._ends.values():
                    if now > end or (asker is not None and asker.gone):
                        cursor.interrupt()
