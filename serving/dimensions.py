"""The dimensions that questions may use, each version in a table of the database."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from dovetail.serving.database import Database
from dovetail.serving.shape import held_as, held_type, quoted, typed
from dovetail.shared.dimensions import Joins, Version, Versions
from dovetail.shared.tables import Layout

KEPT = 4
"""Versions of a dimension in memory beside its newest: those that were asked for last."""


@dataclass(frozen=True)
class Joined:
    """One version of a dimension, in the table `table` of the database; n is 0 where it has never been read."""

    name: str
    n: int
    key: str
    table: str
    types: Mapping[str, pa.DataType]
    """The attributes, without the key."""


class Dimensions:
    """The dimensions under a storage root. Asked by the follower and, for versions of the past, by any thread."""

    def __init__(self, layout: Layout, database: Database) -> None:
        self._layout, self._database = layout, database
        self._joins: dict[str, Joins] = {}
        self._versions: dict[str, Versions] = {}
        self._loaded: dict[tuple[str, int], Joined] = {}
        self._lock = threading.Lock()

    def of(self, view: str) -> tuple[Joined, ...]:
        """The newest versions of those that the view's questions may use, by name."""
        if view not in self._joins:
            self._joins[view] = Joins(self._layout, view)
        with self._lock:
            return tuple(self._newest(name) for name in sorted(self._joins[view].names()))

    def at(self, name: str, n: int) -> Joined | None:
        """A version of the past; None where it is not kept."""
        with self._lock:
            if n == 0:
                return _never_read(name)
            version = self._of(name).version(n)
            return self._load(name, version) if version else None

    def standing(self, name: str) -> Mapping[str, object]:
        """When it was last read without a problem, and the problem since."""
        return Versions(self._layout, name).standing()

    def _newest(self, name: str) -> Joined:
        last = self._of(name).last()
        return self._load(name, last) if last else _never_read(name)

    def _of(self, name: str) -> Versions:
        if name not in self._versions:
            self._versions[name] = Versions(self._layout, name)
        return self._versions[name]

    def _load(self, name: str, version: Version) -> Joined:
        found = self._loaded.pop((name, version.n), None)
        if found is None:
            rows = self._of(name).read(version)
            columns = [typed(c.combine_chunks(), held_type(c.type)) for c in rows.columns]
            held = pa.table(columns, [*map(held_as, rows.column_names)])
            types = {f.name: f.type for f in rows.schema if f.name != version.key}
            table = self._database.load(held, order=[quoted(held_as(version.key))])
            found = Joined(name, version.n, version.key, table, types)
        self._loaded[name, version.n] = found  # at the end: the first is the one that was asked for longest ago
        versions = [n for loaded, n in self._loaded if loaded == name]
        for old in [n for n in versions if n != max(versions)][:-KEPT]:
            self._database.drop(self._loaded.pop((name, old)).table)
        return found


def _never_read(name: str) -> Joined:
    return Joined(name, 0, "", "", {})
