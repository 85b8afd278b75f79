"""The claims of an archive: positions below which the master dataset holds everything, one row each.

All but what was passed: a row with a `from` passes a range that neither the log nor the master holds any more.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from dovetail.shared.errors import Busy
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import AppendTable

OFFSETS = pa.map_(pa.int32(), pa.int64())
SCHEMA = pa.schema([("n", pa.int64()), ("to", OFFSETS), ("at", pa.float64()), ("from", OFFSETS), ("why", pa.string())])


class Claims:
    """The claims of one source, in a Delta table; the row with the largest `n` holds."""

    def __init__(self, path: Path) -> None:
        self._table = AppendTable(path, SCHEMA)

    def last(self) -> Position | None:
        """The last claim; None before the first."""
        n = self._table.largest("n")
        if n is None:
            return None
        row = self._table.between("n", n, n).to_pylist()[0]
        return Position(dict(row["to"]))

    def passed(self) -> list[Range]:
        """The ranges that were passed, oldest first: the master will never hold them."""
        rows = self._table.read(ds.field("why") != "", columns=["n", "from", "to"]).sort_by("n").to_pylist()
        return [Range(Position(dict(row["from"])), Position(dict(row["to"]))) for row in rows]

    def append(self, to: Position) -> None:
        """Claims everything below `to`. Only for the holder of the archive's lock."""
        self._append({"to": list(to.items())})

    def pass_(self, gone: Range, *, why: str) -> None:
        """Claims everything below the end of `gone` but what lies in it. Only for the holder of the archive's lock."""
        self._append({"to": list(gone.to.items()), "from": list(gone.from_.items()), "why": why})

    def _append(self, row: dict[str, Any]) -> None:
        n = self._table.largest("n")
        rows = pa.Table.from_pylist([row | {"n": 0 if n is None else n + 1, "at": time.time()}], schema=SCHEMA)
        if not self._table.append_if(rows, lambda: self._table.largest("n") == n):
            raise Busy("another process claims for this archive", where=str(self._table.path), next="dovetail status")
