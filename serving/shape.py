"""What the stored rows of a version are made of: keys, bucket and states, with their types here and in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import VersionId
from dovetail.shared.measures import Measure
from dovetail.shared.measures.base import StateKind
from dovetail.shared.versions import Bundle

BUCKET = "_bucket"

SQL_TYPES = {
    pa.bool_(): "BOOLEAN", pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
    pa.float32(): "FLOAT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.date32(): "DATE",
}  # fmt: skip
NAMES = {
    pa.bool_(): "boolean", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint",
    pa.float32(): "float", pa.float64(): "double", pa.string(): "string", pa.binary(): "binary", pa.date32(): "date",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """The columns of one version. Types are those in storage; in memory timestamps are microseconds since 1970."""

    view: str
    version: VersionId
    source: str
    topic: str
    keys: Mapping[str, pa.DataType]
    bucket_seconds: int | None
    measures: Mapping[str, Measure]
    states: Mapping[str, pa.DataType]
    kinds: Mapping[str, StateKind]

    @classmethod
    def of(cls, bundle: Bundle, stored: pa.Schema) -> Shape:
        """The shape of a stored version; raises IntegrityError where its states table lacks a column of the bundle."""
        kinds = {s.column: s.kind for m in bundle.measures.values() for s in m.states}
        bucket = [BUCKET] if bundle.bucket_seconds else []
        missing = [c for c in (*bundle.keys, *bucket, *kinds) if c not in stored.names]
        if missing:
            raise IntegrityError(f"the states of {bundle.version} have no column {', '.join(missing)}")
        return cls(
            view=bundle.name,
            version=bundle.version,
            source=bundle.source,
            topic=bundle.topic,
            keys={k: stored.field(k).type for k in bundle.keys},
            bucket_seconds=bundle.bucket_seconds,
            measures=bundle.measures,
            states={c: stored.field(c).type for c in kinds},
            kinds=kinds,
        )

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The stored columns that answers are made of: keys, the bucket if there is one, states."""
        return (*self.keys, *([BUCKET] if self.bucket_seconds else []), *self.states)

    @cached_property
    def columns_of(self) -> Mapping[str, tuple[str, ...]]:
        """The state columns of each measure, in the order that it presents them."""
        return {name: tuple(s.column for s in m.states) for name, m in self.measures.items()}

    @cached_property
    def result_types(self) -> Mapping[str, pa.DataType]:
        """The type of each measure's answer."""
        columns = self.columns_of
        return {name: m.result_type(*(self.states[c] for c in columns[name])) for name, m in self.measures.items()}

    @cached_property
    def empty(self) -> Mapping[str, Any]:
        """The value of each state column for no rows."""
        return {column: kind.merge_values(()) for column, kind in self.kinds.items()}

    def merged(self, column: str) -> str:
        """The SQL aggregate that merges a state column into its own type."""
        return f"CAST({self.kinds[column].merge(quoted(column))} AS {sql_type(self.states[column])})"

    def held(self, rows: pa.RecordBatch | pa.Table) -> pa.Table:
        """The columns of `rows` that answers need, as they are kept in memory."""
        columns = [_as_held(rows.column(c)) for c in self.columns]
        return pa.table(columns, names=list(self.columns))


def held_type(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_type(kind: pa.DataType) -> str:
    """The SQL type that holds values of an Arrow type in memory; raises IntegrityError for one that cannot be held."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    found = SQL_TYPES.get(held_type(kind))
    if found is None:
        raise IntegrityError(f"a stored column of type {kind} cannot be answered from")
    return found


def type_name(kind: pa.DataType) -> str:
    """The type as a schema names it: `bigint`, `decimal(10,2)`."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    return NAMES.get(kind, str(kind))


def _as_held(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if not pa.types.is_timestamp(column.type):
        return column
    micros = column if column.type.unit == "us" else column.cast(pa.timestamp("us", tz=column.type.tz))
    return micros.cast(pa.int64())
