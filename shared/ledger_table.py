"""The ledger, kept in Delta. Its append is compare-and-set on seq."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import Books, CommitId, Judged, LedgerRow, LostRace, VersionId, checked, follows
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import AppendTable

FORMAT = 5
"""2: `dropped`, `decoder`, `rules` and `stats` came. 3: `failing`, and kind `supersede`. 4: `horizon`. 5: kind
`forget`.

Older rows have none of it.
"""
FILE_BYTES = 4_000_000
"""Of a joined file: whoever opens a ledger reads the newest one whole, and each upkeep writes it anew."""
SLICE = 256
"""Rows that are taken out of their columns at once: with 1,000 partitions each holds 2,000 pairs."""
BOOKS = ("consumed", "decoded", "quarantined", "repeats", "failed", "offered", "dropped")
OFFSETS = pa.map_(pa.int32(), pa.int64())
SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("epoch", pa.int64()),
        ("kind", pa.string()),
        ("commit_id", pa.string()),
        ("topic_id", pa.string()),
        ("from", OFFSETS),
        ("to", OFFSETS),
        ("versions", pa.map_(pa.string(), pa.int64())),
        *((name, pa.int64()) for name in BOOKS[:-1]),
        ("newest", pa.int64()),
        ("note", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("format", pa.int32()),
        (BOOKS[-1], pa.int64()),
        ("decoder", pa.string()),
        ("rules", pa.string()),
        ("stats", pa.string()),
        ("failing", pa.map_(pa.string(), pa.int64())),
        ("horizon", pa.int64()),
    ]
)


class DeltaLedger:
    """A LedgerStore in a Delta table, one row an entry."""

    def __init__(self, path: Path) -> None:
        self._table = AppendTable(path, SCHEMA)
        self._last: LedgerRow | None = None
        self._broken: IntegrityError | None = None

    def last(self) -> LedgerRow | None:
        if self._last is None:
            self._table.skip_to_end()  # before the look, so that a row appended meanwhile is still fresh
            seq = self._table.largest("seq")
            if seq is None:
                return None
            self._last = self.rows(seq - 1)[-1]
        if self._broken:
            raise self._broken
        try:
            for row in self._fresh(after=self._last.seq):
                follows(self._last, row)
                self._last = row
        except IntegrityError as error:
            self._broken = error  # its file will not be fresh again, and must not be forgotten for that
            raise
        return self._last

    def first(self) -> LedgerRow | None:
        """The row at the origin; None before the source was first seen."""
        return self._row(0)

    def rows(self, after: int = -1) -> Sequence[LedgerRow]:
        table = self._table.between("seq", after + 1)
        slices = table.to_batches(max_chunksize=SLICE)
        rows = checked(_distinct([row_of(r) for slice_ in slices for r in slice_.to_pylist()]))
        if rows and rows[0].seq != after + 1:
            raise IntegrityError(f"the ledger has lost seq {after + 1}", where=str(self._table.path))
        return rows

    def append(self, row: LedgerRow) -> None:
        row = replace(row, at=row.at or time.time())

        def unchanged() -> bool:
            last = self.last()
            if (last.seq if last else -1) != row.seq - 1:
                return False
            follows(last, row)
            return True

        if self._table.append_if(pa.Table.from_pylist([_stored(row)], schema=SCHEMA), unchanged):
            self._last = row
            return
        taken = self.rows(after=row.seq - 1)
        if not taken or taken[0].commit_id != row.commit_id:  # an unclear answer to an append that landed is a success
            raise LostRace(f"ledger seq {row.seq} was taken by another writer")

    def compact(self) -> None:
        self._table.compact(file_bytes=FILE_BYTES)

    @property
    def files(self) -> int:
        return self._table.files

    def _row(self, seq: int) -> LedgerRow | None:
        rows = self._table.between("seq", seq, seq).to_pylist()
        return row_of(rows[0]) if rows else None

    def _fresh(self, after: int) -> list[LedgerRow]:
        fresh = [table.filter(pc.greater(table["seq"], after)) for table in self._table.fresh()]
        rows = [row_of(r) for table in fresh for r in table.to_pylist()]
        return sorted(_distinct(rows), key=lambda r: r.seq)


def _distinct(rows: list[LedgerRow]) -> list[LedgerRow]:
    by_seq: dict[int, LedgerRow] = {}
    for row in rows:
        other = by_seq.setdefault(row.seq, row)
        if other.commit_id != row.commit_id:
            raise IntegrityError(f"the ledger holds two rows of seq {row.seq}: {other.commit_id} and {row.commit_id}")
    return list(by_seq.values())


def _stored(row: LedgerRow) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "epoch": row.epoch,
        "kind": row.kind,
        "commit_id": row.commit_id,
        "topic_id": row.topic_id,
        "from": list(row.range.from_.items()),
        "to": list(row.to.items()),
        "versions": sorted(row.versions.items()),
        **{name: getattr(row.books, name) for name in BOOKS},
        "newest": row.newest,
        "note": row.note,
        "at": datetime.fromtimestamp(row.at, UTC),
        "format": FORMAT,
        "decoder": row.decoder or None,
        "rules": json.dumps([[*key, n] for key, n in sorted(row.broken.items())]) if row.broken else None,
        "stats": json.dumps(row.stats) if row.stats else None,
        "failing": sorted(row.failing.items()) or None,
        "horizon": row.horizon,
    }


def broken_in(rules: Iterable[str | None]) -> Counter[Judged]:
    """By rule what broke it, summed over values of the column `rules`."""
    found = Counter[Judged]()
    for text, times in Counter(rules).items():
        for rule, otherwise, n in json.loads(text) if text else ():
            found[Judged(rule, otherwise)] += n * times
    return found


def row_of(stored: dict[str, Any]) -> LedgerRow:
    if stored["format"] > FORMAT:
        raise IntegrityError(
            f"ledger format {stored['format']} is newer than this Dovetail reads ({FORMAT})",
            next="install the version of Dovetail that wrote it, or a newer one",
        )
    return LedgerRow(
        seq=stored["seq"],
        epoch=stored["epoch"],
        kind=stored["kind"],
        commit_id=CommitId(stored["commit_id"]),
        topic_id=stored["topic_id"],
        range=Range(Position(dict(stored["from"])), Position(dict(stored["to"]))),
        versions={VersionId(v): n for v, n in stored["versions"]},
        books=Books(**{name: stored.get(name) or 0 for name in BOOKS}),
        newest=stored["newest"],
        note=stored["note"],
        at=stored["at"].timestamp(),
        decoder=stored.get("decoder") or "",
        broken=dict(broken_in([stored.get("rules")])),
        stats=json.loads(stored.get("stats") or "{}"),
        failing={VersionId(v): n for v, n in stored.get("failing") or ()},
        horizon=stored.get("horizon"),
    )
