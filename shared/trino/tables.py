"""The tables in Trino: each Delta table that a view reads, registered where it lies, in a schema of their own.

So who asks the views need not be let at the tables. A name has a hash of the table's place in it: it is never of two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path

from dovetail.shared.errors import UsageError
from dovetail.shared.ledger import VersionId
from dovetail.shared.sections import TrinoSettings
from dovetail.shared.trino.names import literal, quoted

HASHED = 4
"""Bytes of a place's hash."""
Statements = Callable[[str], list[list[object]]]
"""Runs one, and gives its rows."""


class Tables:
    """Those that are registered, as one sync goes on."""

    def __init__(self, settings: TrinoSettings, root: Path, run: Statements) -> None:
        self._to, self._root, self._run = settings, root, run
        self._schema = f"{settings.schema_name}_tables"
        self._there = set[str]()

    def prepare(self) -> None:
        """Makes the schemas, and looks at what there is."""
        catalog = quoted(self._to.catalog)
        for schema in (self._to.schema_name, self._schema):
            self._run(f"CREATE SCHEMA IF NOT EXISTS {catalog}.{quoted(schema)}")
        # Where a storage root was deleted and made again, Trino goes by what it has read of the old one.
        self._run(f"CALL {catalog}.system.flush_metadata_cache()")
        listed = f"SELECT table_name FROM {catalog}.information_schema.tables WHERE table_schema = "  # noqa: S608
        self._there = {str(name) for (name,) in self._run(listed + literal(self._schema))}

    def name(self, name: str, path: Path) -> str:
        """What the table at `path` is called."""
        return f"{name}_{blake2b(self._place(path).encode(), digest_size=HASHED).hexdigest()}".lower()

    def full(self, name: str, path: Path) -> str:
        """The same with its catalog and schema."""
        return quoted(self._to.catalog, self._schema, self.name(name, path))

    def register(self, name: str, path: Path) -> bool:
        """Whether the table at `path` was not there yet; it is now."""
        table = self.name(name, path)
        if table in self._there:
            return False
        try:
            self._call("register_table", schema_name=self._schema, table_name=table, table_location=self._place(path))
        except UsageError as error:
            if "ALREADY_EXISTS" not in error.what:  # by a sync, or a server that asks it, since `prepare`
                raise
        self._there.add(table)
        return True

    def unregister(self, pattern: str, keep: Iterable[str]) -> None:
        """Takes the tables out of Trino whose whole names fit, but for some. Their files stay as they are."""
        for table in sorted(t for t in self._there - {*keep} if re.fullmatch(pattern, t)):
            self._call("unregister_table", schema_name=self._schema, table_name=table)
            self._there.discard(table)

    def _call(self, procedure: str, **given: str) -> None:
        arguments = ", ".join(f"{name} => {literal(value)}" for name, value in given.items())
        self._run(f"CALL {quoted(self._to.catalog)}.system.{procedure}({arguments})")

    def _place(self, path: Path) -> str:
        return f"{self._to.root_as_seen(self._root)}/{path.relative_to(self._root)}"


def of_version(kind: str, version: VersionId, *more: str) -> str:
    """What a table of a version is called, before the hash of its place.

    >>> of_version("run", VersionId("sales@0123456789abcdef"), "7a")
    'run_sales_0123456789abcdef_7a'
    """
    return "_".join([kind, *version.split("@"), *more])
