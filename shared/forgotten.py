"""Whom a source has forgotten: keyed hashes of their ids, named by ledger rows; the records of theirs are blanked.

A row of kind `forget` is appended to the ledger; the hashes it names are written before it, under its commit id, as
repeats are. From that row on no record of theirs counts, and none is stored:

- A commit that loses its place to such a row folds again (rule 4), and looks the list up as it then stands.
- The archive blanks what it appends; what it held before is blanked by `dovetail forget`.
- Whatever reads Kafka again, where their records lie until its retention ends, reads them blanked.

A blanked record keeps its place and its time. It has no key and no value, and one header, by which every decoder knows
it: it is dropped, so that counts and books hold. The hash is keyed, so that nobody can try ids out against it without
the key, and the id itself is kept nowhere.
"""

from __future__ import annotations

import hmac
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from dovetail.shared import private
from dovetail.shared.conditions import quoted
from dovetail.shared.decode import FORGOTTEN, MARK, META, REASON, parsed, parser
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import CommitId, LedgerStore
from dovetail.shared.ledger_table import SCHEMA as LEDGER
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.states import COMMIT, stamped
from dovetail.shared.tables import AppendTable, Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCHEMA = pa.schema([*COMMIT, ("column", pa.string()), ("hash", pa.string())])
KEY_BYTES = 32
BLOCK = 64
"""Bytes that SHA-256 takes in at once, to which HMAC fills up the key."""
BLANK_HEADERS = f"array(named_struct('key', '{MARK}', 'value', cast(null as binary)))"
"""SQL: the headers of a blanked record."""


@dataclass(frozen=True)
class Forgotten:
    """The list as it stands: by column that names the subject, the hashes of those who are forgotten."""

    key: bytes
    by: Mapping[str, frozenset[str]]

    def holds(self, column: str, value: str) -> bool:
        """Whether this subject is forgotten."""
        return hashed(value, self.key) in self.by.get(column, ())

    def blanked(self, rows: DataFrame) -> DataFrame:
        """Rows as `parsed` or `decode` gives them, with the records of who is forgotten blanked."""
        for column in self.by:
            if column not in rows.columns:
                raise IntegrityError(
                    f"who is forgotten is told by the column {column}, which the schema has no more",
                    next=f"declare {column} in the schema again",
                )
        theirs = " or ".join(
            f"{hash_sql(column, self.key)} in ({', '.join(map(quoted, sorted(hashes)))})"
            for column, hashes in self.by.items()
        )
        kept = {"_partition", "_offset", "_timestamp"}
        blank = {"_headers": BLANK_HEADERS, REASON: quoted(FORGOTTEN)}
        return rows.selectExpr("*", f"coalesce({theirs}, false) as _theirs").selectExpr(
            *(c if c in kept else f"if(_theirs, {blank.get(c, 'null')}, `{c}`) as `{c}`" for c in rows.columns)
        )

    def blanked_bytes(self, records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
        """The same for records as they came, columns of META."""
        return self.blanked(parsed(records.select(*META), parser(decoder))).select(*META)


class ForgetList:
    """The list of one source, looked up anew only where a row of its ledger says so."""

    def __init__(self, layout: Layout, source: str, ledger: LedgerStore) -> None:
        self._layout, self._source, self._ledger = layout, source, ledger
        self._seq = -1
        self._found: Forgotten | None = None

    @classmethod
    def of(cls, layout: Layout, source: str) -> Forgotten | None:
        """The list as it stands now; None where nobody was ever forgotten."""
        return cls(layout, source, DeltaLedger(layout.ledger(source))).now()

    def now(self) -> Forgotten | None:
        """The list as of the ledger's last row; None while nobody is on it.

        Raises:
            IntegrityError: the key that the hashes were made with is gone.
        """
        last = self._ledger.last()
        if last is not None and last.seq != self._seq:
            if last.seq != self._seq + 1 or last.kind == "forget":
                self._found = self._read()
            self._seq = last.seq
        return self._found

    def _read(self) -> Forgotten | None:
        rows = entries(self._layout, self._source)
        if not rows.num_rows:
            return None
        by = defaultdict[str, set[str]](set)
        for row in rows.to_pylist():
            by[row["column"]].add(row["hash"])
        return Forgotten(key(self._layout), {column: frozenset(found) for column, found in by.items()})


def entries(layout: Layout, source: str) -> pa.Table:
    """What the ledger's rows of kind `forget` name: `_seq`, column and hash."""
    ledger = AppendTable(layout.ledger(source), LEDGER)
    ids = ledger.read(ds.field("kind") == "forget", ["commit_id"])["commit_id"]
    if not len(ids):
        return SCHEMA.empty_table()
    found = AppendTable(layout.forgotten(source), SCHEMA).read(ds.field("_commit_id").isin(ids.combine_chunks()))
    if not found.num_rows:
        raise IntegrityError("the list of who is forgotten is gone", where=str(layout.forgotten(source)))
    return found


def write(layout: Layout, source: str, column: str, values: Iterable[str], commit_id: CommitId, seq: int) -> None:
    """Writes the hashes of subjects under a commit id. For the holder of the lock `forget`."""
    secret = key(layout, make=True)
    rows = pa.Table.from_pylist([{"column": column, "hash": hashed(value, secret)} for value in values])
    AppendTable(layout.forgotten(source), SCHEMA).append(stamped(rows, commit_id, seq).select(SCHEMA.names))


def hashed(value: str, key: bytes) -> str:
    """The keyed hash of a subject's id."""
    return hmac.new(key, value.encode(), sha256).hexdigest()


def hash_sql(column: str, key: bytes) -> str:
    """SQL of the same (RFC 2104): the engine has no function for it, and one in Python would cost every record."""
    inner, outer = (bytes(b ^ pad for b in key.ljust(BLOCK, b"\0")).hex() for pad in (0x36, 0x5C))
    text = f"cast(cast(`{column}` as string) as binary)"
    return f"sha2(concat(X'{outer}', unhex(sha2(concat(X'{inner}', {text}), 256))), 256)"


def key(layout: Layout, *, make: bool = False) -> bytes:
    """What hashes are keyed with, in a file that only its owner may read; with `make` it is made where it is not.

    Raises:
        IntegrityError: it is not there, or cannot be read: who is forgotten cannot be told then, and nothing is read.
    """
    file = layout.root / "forget.key"
    if make and not file.exists():
        private.write(file, secrets.token_hex(KEY_BYTES).encode())
    try:
        return bytes.fromhex(file.read_text())
    except (OSError, ValueError) as error:
        raise IntegrityError(
            "the key of who is forgotten cannot be read", where=str(file), why=type(error).__name__,
            next="put it back from a copy of the storage root",
        ) from None  # fmt: skip
