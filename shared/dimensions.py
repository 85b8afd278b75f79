"""Dimensions: small tables joined by key when a question is asked. What is declared, and the versions that are kept."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dovetail.shared import ddl, notes
from dovetail.shared.caller import caller
from dovetail.shared.duration import parse
from dovetail.shared.errors import DeclarationError, IntegrityError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.options import REFERENCE
from dovetail.shared.places import delete, opened, put

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.shared.tables import AppendTable, Layout

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class Dimension:
    """A table of attributes by key; made by `dimension`."""

    name: str
    key: str
    path: str | None
    topic: str | None
    jdbc: str | None
    table: str | None
    user: str
    password: str
    schema: str | None
    refresh: str
    where: str = field(compare=False)

    @property
    def refresh_seconds(self) -> float:
        return parse(self.refresh).total_seconds()

    @property
    def columns(self) -> dict[str, str] | None:
        """Column name to Spark type; None where the table itself says."""
        return ddl.columns(self.schema, where=self.where) if self.schema else None


def dimension(
    name: str,
    *,
    key: str,
    path: str | None = None,
    topic: str | None = None,
    jdbc: str | None = None,
    table: str | None = None,
    user: str = "",
    password: str = "",
    schema: str | None = None,
    refresh: str = "10m",
) -> Dimension:
    """Declares a small table whose columns questions may group and filter by, joined by key to a view's states.

    Nothing is rebuilt when it changes: each refresh that finds it changed keeps a new version, the next answers use it,
    and an older receipt still gives the older one. A key that it lacks has null attributes. It is read when `dovetail
    batch` or `dovetail archive` starts, and by a running archive every `refresh`.

    Args:
        name: how questions tell its columns apart from others': `products.vendor`.
        key: the column that a view's key of the same name is looked up by; no repeats, no nulls.
        path: a CSV file with a header, a Parquet file or folder, or a Delta table; relative to the project.
        topic: a compacted topic of JSON objects: the last of each record key counts, a null value deletes it.
        jdbc: a PostgreSQL database, as `jdbc:postgresql://host/database`, with `table`.
        user, password: how to log in there; the password as `env:NAME` or `file:PATH`.
        schema: Spark DDL of the columns to take; needed for a topic. A CSV's columns are text where not given.
        refresh: how often a running archive looks whether it changed.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where = caller()
    found = Dimension(name, key, path, topic, jdbc, table, user, password, schema, refresh, where)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(
            f"dimension {name!r}: a name is a lower-case letter, then lower-case letters, digits and _", where=where
        )
    if sum(given is not None for given in (path, topic, jdbc)) != 1:
        raise DeclarationError(f"dimension {name}: give one of path, topic and jdbc", where=where)
    if (jdbc is None) != (table is None):
        raise DeclarationError(f"dimension {name}: jdbc and table go together", where=where)
    if jdbc is not None and not jdbc.startswith("jdbc:postgresql:"):
        raise DeclarationError(f"dimension {name}: '{jdbc}' is no jdbc:postgresql://host/database", where=where)
    if topic is not None and schema is None:
        raise DeclarationError(f"dimension {name}: a topic needs a schema", where=where, next='schema="code string, …"')
    if password and not REFERENCE.fullmatch(password):
        raise DeclarationError(
            f"dimension {name}: the password stands in the code", where=where, next="password='env:NAME' or 'file:PATH'"
        )
    if found.columns is not None and key not in found.columns:
        raise DeclarationError(f"dimension {name}: its key {key} is not in its schema", where=where)
    if found.refresh_seconds < 1:
        raise DeclarationError(f"dimension {name}: refresh='{refresh}' is shorter than a second", where=where)
    return found


@dataclass(frozen=True)
class Version:
    """One content that a dimension had."""

    n: int
    digest: str
    key: str
    rows: int
    file: str
    at: float


class Versions:
    """The kept versions of a dimension: a Parquet file each, named by a row of a table. One process adds at a time."""

    def __init__(self, layout: Layout, name: str) -> None:
        import pyarrow as pa

        from dovetail.shared.tables import AppendTable

        self.name, self._folder = name, layout.dimension(name)
        schema = pa.schema(
            [("n", pa.int64()), ("digest", pa.string()), ("key", pa.string()), ("rows", pa.int64()),
             ("file", pa.string()), ("at", pa.float64())]
        )  # fmt: skip
        self._table: AppendTable = AppendTable(self._folder / "versions", schema)
        self._known: dict[int, Version] = {}

    def last(self) -> Version | None:
        n = self._table.largest("n")
        return None if n is None else self.version(n)

    def version(self, n: int) -> Version | None:
        if n not in self._known:
            rows = self._table.between("n", n, n).to_pylist()
            if not rows:
                return None
            self._known[n] = Version(**rows[0])
        return self._known[n]

    def read(self, version: Version) -> pa.Table:
        """Raises IntegrityError where its file is gone or is not what was written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._folder / version.file
        try:
            rows = pq.read_table(opened(path))
        except (OSError, pa.ArrowInvalid) as error:
            raise IntegrityError(
                f"version {version.n} of dimension {self.name} cannot be read", where=str(path), why=str(error)
            ) from None
        if rows.num_rows != version.rows:
            raise IntegrityError(f"version {version.n} of dimension {self.name} is torn", where=str(path))
        return rows

    def add(self, rows: pa.Table, *, key: str) -> Version | None:
        """Keeps `rows` as the next version; None where the last one holds the same. The file first, then its row."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = rows.sort_by(key).combine_chunks()
        digest, last = _digest(rows), self.last()
        if last is not None and (last.digest, last.key) == (digest, key):
            return None
        n = last.n + 1 if last else 1
        version = Version(n, digest, key, rows.num_rows, f"{n}-{digest}.parquet", time.time())
        written = pa.BufferOutputStream()
        pq.write_table(rows, written)
        put(self._folder / version.file, written.getvalue().to_pybytes())
        failpoint("dimension.file_written")
        self._table.append(pa.Table.from_pylist([asdict(version)], schema=self._table.schema))
        failpoint("dimension.version_named")
        return version

    def earlier(self) -> list[Version]:
        """Those that are kept beside the last one."""
        last = self.last()
        return [Version(**row) for row in self._table.read().to_pylist() if last and row["n"] != last.n]

    def drop(self, versions: Sequence[Version]) -> None:
        """Keeps these no more: their rows go first, so that nobody looks for the files; then what no row names."""
        if versions:
            self._table.delete(f"n IN ({', '.join(str(int(v.n)) for v in versions)})")
            failpoint("dimension.version_dropped")
        named = set(self._table.read(columns=["file"])["file"].to_pylist())
        for file in self._folder.glob("*.parquet"):
            if file.name not in named:
                file.unlink()
        for copy in self._folder.glob("*.delta"):  # what Trino reads of a version; it goes with it
            if f"{copy.stem}.parquet" not in named:
                delete(copy)

    def checked(self, *, problem: str = "") -> None:
        """Notes for people that the dimension was looked at now, and what was wrong."""
        at = time.time() if not problem else self.standing()["at"]
        notes.keep(self._folder / "checked.json", {"at": at, "problem": problem})

    def standing(self) -> dict[str, Any]:
        """When it was last read without a problem (seconds since 1970, 0 for never), and the problem since, if any."""
        return notes.read(self._folder / "checked.json") or {"at": 0.0, "problem": ""}


class Joins:
    """Which dimensions a view's questions may use, kept beside the view: serving never loads the declarations."""

    def __init__(self, layout: Layout, view: str) -> None:
        import pyarrow as pa

        from dovetail.shared.tables import AppendTable

        self._table = AppendTable(layout.joins(view), pa.schema([("n", pa.int64()), ("names", pa.string())]))
        self._known: tuple[int, tuple[str, ...]] = (-1, ())

    def names(self) -> tuple[str, ...]:
        n = self._table.largest("n")
        if n != self._known[0] and n is not None:
            names = json.loads(self._table.between("n", n, n)["names"][0].as_py())
            self._known = (n, tuple(names))
        return self._known[1]

    def set(self, names: Sequence[str]) -> None:
        """Only for the holder of the view's lock."""
        import pyarrow as pa

        if tuple(names) != self.names():
            n = self._table.largest("n")
            row = {"n": 0 if n is None else n + 1, "names": json.dumps(list(names))}
            self._table.append(pa.Table.from_pylist([row], schema=self._table.schema))


def _digest(rows: pa.Table) -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema.remove_metadata()) as writer:
        writer.write_table(rows.replace_schema_metadata(None))
    return hashlib.sha256(sink.getvalue()).hexdigest()[:12]
