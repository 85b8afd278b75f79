"""How many of a view's keys a dimension lacks: to read them all takes as long as a group-by, so it is remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from dovetail.serving.dimensions import Joined
from dovetail.serving.edition import Edition
from dovetail.serving.elsewhere import FETCHED, Elsewhere
from dovetail.serving.query import Plan
from dovetail.serving.rows import matches
from dovetail.serving.shape import Shape, alias, quoted

REMEMBERED = 32
"""Tables of which it is remembered what a version of a dimension lacks."""


class Unmatched:
    """Remembers what is lacking for a table that does not change: of a run, or of speed in one edition."""

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self._elsewhere = elsewhere
        self._lacking: OrderedDict[tuple[str, int, str], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, edition: Edition, plan: Plan, cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
        """By dimension that is asked for, null not counted; who may not see all of the view is not told."""
        dimensions = plan.dimensions(edition.shape) if plan.seen.whole else ()
        return {
            d.name: _count([self._of(edition, t, d, cursor) for t in edition.of_layer(plan.layer)]) for d in dimensions
        }

    def _of(self, edition: Edition, table: str, dimension: Joined, cursor: duckdb.DuckDBPyConnection) -> pa.Table:
        """The keys in a table that the dimension lacks."""
        changes = table == edition.speed.table
        named = (table, edition.token if changes else 0, dimension.table)
        with self._lock:
            found = self._lacking.pop(named, None)
        if found is None:
            held = table
            if self._elsewhere is not None and table in edition.runs:
                cursor.register(held := FETCHED, self._elsewhere.keys(edition.shape, dimension.key, table))
            found = _lacking(edition.shape, held, dimension, cursor)
        with self._lock:
            self._lacking[named] = found
            while len(self._lacking) > REMEMBERED:
                self._lacking.popitem(last=False)
        return found


def _lacking(shape: Shape, table: str, dimension: Joined, cursor: duckdb.DuckDBPyConnection) -> pa.Table:
    key, of = quoted(dimension.key), alias(dimension.name)
    return cursor.sql(
        f"SELECT r.{key} AS key FROM (SELECT DISTINCT {key} FROM {table} WHERE {key} IS NOT NULL) AS r "  # noqa: S608  our own names
        f"ANTI JOIN {dimension.table} AS {of} ON {matches(shape, dimension, key)}"
    ).to_arrow_table()


def _count(lacking: Sequence[pa.Table]) -> int:
    """How many different keys there are in all."""
    some = [keys for keys in lacking if keys.num_rows]
    return int(pa.concat_tables(some).group_by("key").aggregate([]).num_rows) if some else 0
