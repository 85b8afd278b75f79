"""The event ids that were counted, on disk: sorted files that are looked into as they lie, in arrays.

An index that loses or alters an entry would count a repeat: each file says which ledger rows it holds and what its
bytes sum to; what is not whole and contiguous is thrown away, to be made again from the log.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import CommitId

Id = tuple[int, int]
Ints = npt.NDArray[Any]
LARGEST = 4_000_000
"""Entries in a file that is not joined with others any more: 160 MB."""


@dataclass(frozen=True)
class Entries:
    """Counted records, in columns: both halves of the id's hash, the hash of their bytes, when and by what they came.

    `timestamp` is Kafka's, in milliseconds; `row` the seq of the ledger row that counted the record.
    """

    high: Ints
    low: Ints
    digest: Ints
    timestamp: Ints
    row: Ints

    def __len__(self) -> int:
        return len(self.high)

    def take(self, chosen: Ints) -> Entries:
        return Entries(*(column[chosen] for column in self.columns))

    @property
    def columns(self) -> Iterator[Ints]:
        return (getattr(self, f.name) for f in fields(self))

    @classmethod
    def joined(cls, *parts: Entries) -> Entries:
        return cls(*(np.concatenate(columns) for columns in zip(*(p.columns for p in parts), strict=True)))

    def ordered(self) -> Entries:
        return self.take(np.argsort(self.high, kind="stable"))


TYPES = {"high": np.uint64, "low": np.uint64, "digest": np.int64, "timestamp": np.int64, "row": np.int64}


@dataclass(frozen=True)
class File:
    """Entries in order of their ids: of the ledger rows after `after` up to `seq`, whose commit is `commit_id`."""

    path: Path
    after: int
    seq: int
    commit_id: CommitId
    entries: Entries

    @classmethod
    def written(cls, folder: Path, after: int, seq: int, commit_id: CommitId, entries: Entries) -> File:
        columns = [pa.array(c) for c in entries.columns]
        says = {"after": after, "seq": seq, "commit": commit_id, "sum": _sum(entries)}
        schema = pa.schema(
            [(name, pa.from_numpy_dtype(kind)) for name, kind in TYPES.items()],
            metadata={name: str(value) for name, value in says.items()},
        )
        table, path = pa.Table.from_arrays(columns, schema=schema), folder / f"{seq:019}-{after + 1}.arrow"
        scratch = path.with_suffix(".part")
        with pa.OSFile(str(scratch), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_table(table, max_chunksize=max(1, len(entries)))
        scratch.replace(path)
        return cls.read(path, check=False)  # as it lies: what was in memory may go

    @classmethod
    def read(cls, path: Path, *, check: bool = True) -> File:
        """Raises ValueError or ArrowException for a file that is not whole."""
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        says = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        entries = Entries(*(_as_it_lies(table[name], kind) for name, kind in TYPES.items()))
        if check and says.get("sum") != str(_sum(entries)):
            raise ValueError(f"{path} is not what was written")
        return cls(path, int(says["after"]), int(says["seq"]), CommitId(says["commit"]), entries)


class Seen:
    """The index in `folder`. One process at a time: the holder of the speed lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._files = _contiguous([File.read(p) for p in sorted(folder.glob("*.arrow"))])
        except (ValueError, KeyError, pa.ArrowException, OSError):
            self._files = []
        kept = {f.path for f in self._files}
        for path in folder.iterdir():
            if path not in kept:
                path.unlink()

    @property
    def after(self) -> int:
        """The ledger row, by seq, after which it holds everything that was not too old to matter."""
        return self._files[0].after if self._files else -1

    @property
    def through(self) -> tuple[int, CommitId] | None:
        """The last ledger row that it holds, by seq and commit id; None for an empty index."""
        return (self._files[-1].seq, self._files[-1].commit_id) if self._files else None

    def __len__(self) -> int:
        return sum(len(f.entries) for f in self._files)

    def clear(self) -> None:
        for file in self._files:
            file.path.unlink()
        self._files = []

    def holds(self, high: Ints) -> npt.NDArray[np.bool_]:
        """For each half of an id, in ascending order, whether some entry has the same."""
        found = np.zeros(len(high), bool)
        for file in self._files:
            held = file.entries.high
            if len(held):
                place = np.minimum(np.searchsorted(held, high), len(held) - 1)
                found |= held[place] == high
        return found

    def occurrences(self, high: Ints, *, since: int) -> Mapping[Id, list[tuple[int, int]]]:
        """The (timestamp, digest) of each entry with one of these halves that `since` or a later row counted."""
        found = defaultdict[Id, list[tuple[int, int]]](list)
        for file in self._files:
            e = file.entries
            left, right = np.searchsorted(e.high, high), np.searchsorted(e.high, high, side="right")
            for i in np.flatnonzero(left < right):
                for j in range(left[i], right[i]):
                    if e.row[j] >= since:
                        found[int(e.high[j]), int(e.low[j])].append((int(e.timestamp[j]), int(e.digest[j])))
        return found

    def add(self, entries: Entries, *, after: int, seq: int, commit_id: CommitId, since: int) -> None:
        """Adds what the ledger rows after `after` up to `seq` counted; forgets what rows before `since` did."""
        self._files.append(File.written(self._folder, after, seq, commit_id, entries.ordered()))
        failpoint("speed.index_written")
        while len(self._files) > 1 and _worth_joining(*self._files[-2:]):
            self._join(since)
        while len(self._files) > 1 and self._files[0].seq < since:
            self._files.pop(0).path.unlink()

    def _join(self, since: int) -> None:
        older, newer = self._files[-2:]
        both = Entries.joined(older.entries, newer.entries)
        entries = both.take(np.flatnonzero(both.row >= since)).ordered()
        joined = File.written(self._folder, older.after, newer.seq, newer.commit_id, entries)
        self._files[-2:] = [joined]
        failpoint("speed.index_joined")
        for old in (older, newer):
            old.path.unlink()


def _worth_joining(older: File, newer: File) -> bool:
    return len(older.entries) < 2 * len(newer.entries) + 1 and len(older.entries) + len(newer.entries) <= LARGEST


def _contiguous(files: list[File]) -> list[File]:
    """The files that follow one another up to the newest row; one whose rows another holds as well is left out."""
    chain: list[File] = []
    for file in sorted(files, key=lambda f: (f.seq, -f.after), reverse=True):
        if not chain or file.seq == chain[-1].after:
            chain.append(file)
    return chain[::-1]


def _as_it_lies(column: pa.ChunkedArray, kind: type) -> Ints:
    return column.chunk(0).to_numpy() if column.num_chunks else np.empty(0, kind)


def _sum(entries: Entries) -> int:
    total = 0
    for column in entries.columns:
        total = zlib.crc32(column.tobytes(), total)
    return total
