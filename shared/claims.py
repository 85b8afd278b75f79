"""The claims of an archive: positions below which the master dataset holds everything, one row each."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from dovetail.shared.position import Position
from dovetail.shared.tables import AppendTable

SCHEMA = pa.schema([("n", pa.int64()), ("to", pa.map_(pa.int32(), pa.int64())), ("at", pa.float64())])


class Claims:
    """The claims of one source, in a Delta table; the row with the largest `n` holds."""

    def __init__(self, path: Path) -> None:
        self._table = AppendTable(path, SCHEMA)

    def last(self) -> Position | None:
        """The last claim; None before the first."""
        n = self._table.largest("n")
        if n is None:
            return None
        row = self._table.read(ds.field("n") == n).to_pylist()[0]
        return Position(dict(row["to"]))

    def append(self, to: Position) -> None:
        """Claims everything below `to`. Only for the holder of the archive's lock."""
        n = self._table.largest("n")
        row = {"n": 0 if n is None else n + 1, "to": list(to.items()), "at": time.time()}
        self._table.append(pa.Table.from_pylist([row], schema=SCHEMA))
