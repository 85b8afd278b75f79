"""Follows Delta tables as they grow, reading only files that are new and may hold what is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import CommitId, Judged, LedgerRow, VersionId, checked, follows
from dovetail.shared.ledger_table import SCHEMA, broken_in, row_of
from dovetail.shared.places import opened
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import refresh

COUNTED = ("consumed", "quarantined", "repeats")
"""Figures of a commit's books that an account sums up."""


class Tail:
    """The rows of one table above a rising number of the integer column `order`.

    File statistics of `order` say which files need not be read. When files that were read are gone (compaction,
    deletion), everything above is read again: rows held are always those of one version of the table. Columns of
    `known` that the table, or a file of it, was written without are null.
    """

    def __init__(self, path: Path, order: str, *, known: pa.Schema | None = None) -> None:
        if not DeltaTable.is_deltatable(str(path)):
            raise IntegrityError("a table is missing", where=str(path), next="dovetail doctor")
        self._path, self._order = path, order
        self._table = DeltaTable(str(path))
        held = pa.schema(self._table.schema().to_arrow())
        self.schema = pa.schema([*held, *(f for f in known or () if f.name not in held.names)])
        self._seen: set[str] | None = None
        self._version = -1
        self._held = self.schema.empty_table()

    def above(self, number: int, *, again: bool = False) -> pa.Table:
        """The rows with `order` > `number`, which must not fall from one call to the next unless `again`."""
        refresh(self._table, self._path)
        self._held = self._over(self._held, number)
        if self._version == self._table.version() and not again:
            return self._held
        files = self._files()
        whole = again or self._seen is None or bool(self._seen - set(files))
        known = set() if whole or self._seen is None else self._seen
        new = [f for f, largest in files.items() if f not in known and (largest is None or largest > number)]
        read = [self._over(self._read(f), number) for f in new]
        self._held = pa.concat_tables([*([] if whole else [self._held]), self.schema.empty_table(), *read])
        self._seen, self._version = set(files), self._table.version()
        return self._held

    def below(self, number: int, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns of the rows with `order` < `number`, file by file."""
        for file in self._files():
            rows = self._read(file, columns)
            yield rows.filter(pc.less(rows[self._order], number))

    def _files(self) -> dict[str, int | None]:
        actions = pa.table(self._table.get_add_actions(flatten=True))
        largest = f"max.{self._order}"
        known = actions[largest].to_pylist() if largest in actions.column_names else [None] * actions.num_rows
        return dict(zip(actions["path"].to_pylist(), known, strict=True))

    def _read(self, file: str, columns: list[str] | None = None) -> pa.Table:
        names = columns or self.schema.names
        parquet = pq.ParquetFile(opened(self._path / unquote(file)), coerce_int96_timestamp_unit="us")
        rows = parquet.read(columns=names)
        for name in {*names} - {*rows.column_names}:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
        return rows.select(names).cast(pa.schema([self.schema.field(n) for n in names]))

    def _over(self, rows: pa.Table, number: int) -> pa.Table:
        return rows.filter(pc.greater(rows[self._order], number)) if rows.num_rows else rows


class StatesTail:
    """A StateReader of one version."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path, "_seq")

    @property
    def schema(self) -> pa.Schema:
        return self._tail.schema

    def commits(self, version: VersionId, after: int) -> Mapping[CommitId, pa.Table]:  # noqa: ARG002
        """Everything stored above seq `after`, by commit id, read anew."""
        return _by_commit(self._tail.above(after, again=True))

    def newer(self, after: int) -> Mapping[CommitId, pa.Table]:
        """The same, reading only what has come since the last call, where `after` was not larger."""
        return _by_commit(self._tail.above(after))


class Account(NamedTuple):
    """What a ledger says of records that count nowhere: in quarantine, passed as lost, or failing for a version.

    And how many of all that were consumed are repeats.
    """

    quarantined: int
    gaps: tuple[dict[str, str | int], ...]
    failing: Mapping[VersionId, int]
    consumed: int
    repeats: int


class LedgerTail:
    """The ledger of one source from some row on, in memory; and what was quarantined, lost and broken in all of it."""

    def __init__(self, path: Path) -> None:
        self._path, self._tail = path, Tail(path, "seq", known=SCHEMA)
        self._rows: list[LedgerRow] = []
        self._broken, self._failing = Counter[Judged](), Counter[VersionId]()
        self._through, self._books = -1, Counter[str]()
        self._gaps: list[dict[str, str | int]] = []

    def rows(self, after: int = -1) -> Sequence[LedgerRow]:
        """The rows with seq > `after`, in order; raises IntegrityError on a gap or overlap."""
        if not self._rows or after + 1 < self._rows[0].seq:
            self._rows = checked(_decoded(self._tail.above(after, again=True)))
            if self._rows and self._rows[0].seq != after + 1:
                raise IntegrityError(f"the ledger has lost seq {after + 1}")
        else:
            last = self._rows[-1]
            for row in _decoded(self._tail.above(last.seq)):
                follows(last, row)
                self._rows.append(row)
                last = row
        return self._rows[max(after + 1 - self._rows[0].seq, 0) :] if self._rows else []

    def forget(self, below: int) -> None:
        """Drops the rows with seq < `below` from memory."""
        if self._rows and self._rows[0].seq < below:
            self._rows = self._rows[below - self._rows[0].seq :] or self._rows[-1:]

    def account(self, through: int) -> Account:
        """What all rows up to and with the row `through` come to."""
        if self._through < 0:
            self._account_anew()
        for row in self._rows:
            if self._through < row.seq <= through:
                self._add(row)
        if through < self._through:  # for a view that has fallen behind the others of its source
            return self.accounted(self._path, through)
        if through != self._through:
            raise IntegrityError(f"the ledger was read up to seq {self._through}, not {through}")
        return self._account

    @property
    def broken(self) -> Mapping[Judged, int]:
        """By rule what broke it, up to and with the newest row ever given to `account`."""
        return dict(self._broken)

    @classmethod
    def accounted(cls, path: Path, through: int) -> Account:
        """The same for a row of the past."""
        ledger = cls(path)
        ledger._account_below(through + 1)
        return ledger._account

    @property
    def _account(self) -> Account:
        books = self._books
        gaps, failing = tuple(self._gaps), dict(self._failing)
        return Account(books["quarantined"], gaps, failing, books["consumed"], books["repeats"])

    def _account_anew(self) -> None:
        self._account_below(self._rows[0].seq if self._rows else 0)

    def _account_below(self, first: int) -> None:
        columns = ["seq", "kind", *COUNTED, "from", "to", "note", "rules", "failing"]
        for stored in self._tail.below(first, columns):
            self._books.update({name: pc.sum(stored[name]).as_py() or 0 for name in COUNTED})
            self._broken += broken_in(stored["rules"].drop_null().to_pylist())
            for of_row in stored["failing"].drop_null().to_pylist():
                self._failing.update(dict(of_row))
            for lost in stored.filter(pc.equal(stored["kind"], "lost")).sort_by("seq").to_pylist():
                span = Range(Position(dict(lost["from"])), Position(dict(lost["to"])))
                self._gaps.append(_gap(lost["seq"], span, lost["note"]))
        self._through = first - 1

    def _add(self, row: LedgerRow) -> None:
        self._through = row.seq
        self._books.update({name: getattr(row.books, name) for name in COUNTED})
        self._broken.update(row.broken)
        self._failing.update(row.failing)
        if row.kind == "lost":
            self._gaps.append(_gap(row.seq, row.range, row.note))


def _gap(seq: int, span: Range, note: str) -> dict[str, str | int]:
    return {"seq": seq, "records": str(span), "why": note}


def _decoded(rows: pa.Table) -> list[LedgerRow]:
    by_seq: dict[int, LedgerRow] = {}
    for row in map(row_of, rows.sort_by("seq").to_pylist() if rows.num_rows else ()):  # most looks find nothing
        other = by_seq.setdefault(row.seq, row)
        if other.commit_id != row.commit_id:
            raise IntegrityError(f"the ledger holds two rows of seq {row.seq}: {other.commit_id} and {row.commit_id}")
    return list(by_seq.values())


def _by_commit(rows: pa.Table) -> dict[CommitId, pa.Table]:
    if not rows.num_rows:
        return {}
    rows = rows.sort_by("_commit_id").combine_chunks()
    counts = pc.value_counts(rows["_commit_id"].combine_chunks()).to_pylist()  # in the order of appearance
    found, start = {}, 0
    for each in counts:
        found[CommitId(each["values"])] = rows.slice(start, each["counts"])
        start += each["counts"]
    return found
