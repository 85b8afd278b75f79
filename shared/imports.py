"""Which old history a source has beside its log: imports, each named by one row once all its records are written.

An import lies below every cut: its records have no offset and stand in no ledger row's range. A run that begins where
the log begins takes in every import that is there when it is planned, and no other run does. The manifest says of each
run which ones it holds, so that a set of runs, its receipts and its proof go by what was computed, whatever is imported
or dropped after.

Their records are one Delta table each, under a name that is never used again: it is what the row of the import names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from dovetail.shared.errors import Busy, IntegrityError, UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.manifest import Manifest
from dovetail.shared.tables import AppendTable, Layout

FORMAT = 1
SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("id", pa.int32()),
        ("kind", pa.string()),
        ("import", pa.string()),
        ("note", pa.string()),
        ("at", pa.float64()),
        ("format", pa.int32()),
    ]
)


@dataclass(frozen=True)
class File:
    """One imported file; `rows` are those in it, imported or not."""

    name: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Import:
    """One import as it was found when it was made.

    `records` are held, with `digest` over all their columns; of these `quarantined` could not be read or broke a rule,
    and `repeats` have the event id of an earlier row. `overlapping` rows of the files were left out for an event id
    that is in the log. `oldest` and `newest` are timestamps of records, in seconds since 1970. `dropped` is when.
    """

    id: int
    folder: str
    files: tuple[File, ...]
    records: int
    digest: int
    quarantined: int = 0
    repeats: int = 0
    overlapping: int = 0
    oldest: float | None = None
    newest: float | None = None
    where: str = ""
    timestamp: str = ""
    note: str = ""
    at: float = 0.0
    dropped: float | None = None

    def __str__(self) -> str:
        more = f" and {len(self.files) - 1:,} more" if len(self.files) > 1 else ""
        return f"import {self.id} of {self.files[0].name}{more}"


class Imports:
    """The imports of one source, in a Delta table. For writers: the holder of the lock `import-SOURCE`."""

    def __init__(self, layout: Layout, source: str) -> None:
        self.source = source
        self._table = AppendTable(layout.imports(source), SCHEMA)

    def all(self) -> list[Import]:
        """Every import there was, oldest first."""
        found: dict[int, Import] = {}
        for row in self._table.read().sort_by("n").to_pylist():
            if row["format"] > FORMAT:
                raise IntegrityError(
                    f"the imports of {self.source} are of format {row['format']}, newer than is read here ({FORMAT})",
                    next="install the version of Dovetail that wrote it, or a newer one",
                )
            if row["kind"] == "drop":
                found[row["id"]] = replace(found[row["id"]], dropped=row["at"])
            else:
                found[row["id"]] = replace(_import(row["import"]), note=row["note"], at=row["at"])
        return [*found.values()]

    def live(self) -> tuple[Import, ...]:
        """Those that the next run from the beginning takes in."""
        return tuple(each for each in self.all() if each.dropped is None)

    def get(self, wanted: int) -> Import:
        """The one with this id, dropped or not; raises UsageError where there was none."""
        known = {each.id: each for each in self.all()}
        if wanted not in known:
            ids = ", ".join(map(str, known)) or "none"
            raise UsageError(
                f"{self.source} has no import {wanted}. Known: {ids}", next=f"dovetail import {self.source} --list"
            )
        return known[wanted]

    @property
    def next_id(self) -> int:
        return max((each.id for each in self.all()), default=0) + 1

    def add(self, made: Import) -> None:
        """Names an import whose records are written: from now on it is there, as a whole."""
        stored = {k: v for k, v in asdict(made).items() if k not in ("note", "at", "dropped")}
        self._append(made.id, "import", json.dumps(stored, sort_keys=True), made.note)
        failpoint("import.named")

    def drop(self, wanted: int, *, note: str) -> Import:
        """From now on no run takes it in. What was computed with it answers as it did.

        Raises:
            UsageError: there is none with this id, or it was dropped before.
        """
        found = self.get(wanted)
        if found.dropped is not None:
            raise UsageError(f"{found} was dropped before", next=f"dovetail import {self.source} --list")
        self._append(wanted, "drop", "", note)
        failpoint("import.dropped")
        return found

    def _append(self, of: int, kind: str, stored: str, note: str) -> None:
        n = self._table.largest("n")
        row: dict[str, Any] = {"n": 0 if n is None else n + 1, "id": of, "kind": kind, "import": stored, "note": note}
        rows = pa.Table.from_pylist([row | {"at": time.time(), "format": FORMAT}], schema=SCHEMA)
        if not self._table.append_if(rows, lambda: self._table.largest("n") == n):
            raise Busy(f"another process imports into {self.source}", next=f"dovetail import {self.source} --list")


def coming(manifest: Manifest, live: Iterable[Import]) -> list[int]:
    """The imports that are not in a view's answers yet, by their ids."""
    return sorted({each.id for each in live} - {each.id for each in manifest.imports})


def going(manifest: Manifest, live: Iterable[Import]) -> list[int]:
    """Those that were dropped and are in them still."""
    return sorted({each.id for each in manifest.imports} - {each.id for each in live})


def _import(stored: str) -> Import:
    fields = json.loads(stored)
    return Import(**{**fields, "files": tuple(File(**file) for file in fields["files"])})
