"""What the stored rows of a version are made of: keys, bucket and states, with their types here and in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dovetail.shared.errors import IntegrityError, QueryError
from dovetail.shared.ledger import VersionId
from dovetail.shared.measures import GatheredKind, Measure, Presenter, StateKind
from dovetail.shared.versions import Bundle

if TYPE_CHECKING:
    from dovetail.serving.dimensions import Joined

BUCKET, ROWS = "_bucket", "_rows"
REMEMBERED = 1_000
"""Parts of measures, and lists of them, of which it is remembered which states they are presented from."""
LONGEST_PART = 32
"""Characters behind a measure's name: `p99.99` has six."""

SQL_TYPES = {
    pa.bool_(): "BOOLEAN", pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
    pa.float32(): "FLOAT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.date32(): "DATE",
}  # fmt: skip
NAMES = {
    pa.bool_(): "boolean", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint",
    pa.float32(): "float", pa.float64(): "double", pa.string(): "string", pa.binary(): "binary", pa.date32(): "date",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How a measure or a part of it is presented: from which state columns, and as what type."""

    presenter: Presenter
    columns: tuple[str, ...]
    result: pa.DataType


@dataclass(frozen=True)
class Attribute:
    """A column of a dimension."""

    dimension: Joined
    column: str
    type: pa.DataType

    @property
    def sql(self) -> str:
        return f"{alias(self.dimension.name)}.{quoted(held_as(self.column))}"


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
    dimensions: tuple[Joined, ...] = ()
    _asked: dict[str, Asked] = field(default_factory=dict, compare=False, repr=False)
    _states_of: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, bundle: Bundle, stored: pa.Schema) -> Shape:
        """The shape of a stored version; raises IntegrityError where its states table lacks a column of the bundle."""
        kinds = {s.column: s.kind for m in bundle.measures.values() for s in m.states}
        bucket = [BUCKET] if bundle.bucket_seconds else []
        missing = [c for c in (*bundle.keys, *bucket, *kinds, ROWS) if c not in stored.names]
        if missing:
            raise IntegrityError(f"the states of {bundle.version} have no column {', '.join(missing)}")
        return cls(
            view=bundle.name,
            version=bundle.version,
            source=bundle.source,
            topic=bundle.topic,
            keys={k: stored.field(k).type for k in bundle.keys},
            bucket_seconds=bundle.bucket_seconds,
            measures=bundle.presented,
            states={c: stored.field(c).type for c in kinds},
            kinds=kinds,
        )

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The stored columns that answers are made of: keys, the bucket if there is one, states, how many records."""
        return (*self.keys, *([BUCKET] if self.bucket_seconds else []), *self.states, ROWS)

    def attribute(self, name: str) -> Attribute | None:
        """What a column of a dimension is called by: `products.vendor`, or `vendor` where no other column is."""
        return self.attributes.get(name)

    @cached_property
    def attributes(self) -> Mapping[str, Attribute]:
        """The columns of dimensions, by every name that they may be asked for by."""
        found = {f"{d.name}.{c}": Attribute(d, c, kind) for d in self.dimensions for c, kind in d.types.items()}
        columns = [c for d in self.dimensions for c in d.types]
        taken = {
            *self.keys,
            *self.measures,
            *self.states,
            "bucket",
            BUCKET,
            ROWS,
            *(c for c in columns if columns.count(c) > 1),
        }
        return {**{a.column: a for a in found.values() if a.column not in taken}, **found}

    def grouping_type(self, name: str) -> pa.DataType:
        """The type of a key or an attribute."""
        found = self.attributes.get(name)
        return self.keys[name] if found is None else found.type

    def asked(self, name: str) -> Asked | None:
        """What a measure's name, or that of a part of it such as `buyers.low`, asks for; None where there is none."""
        found = self._asked.get(name)
        if found is None and (found := self._presenting(name)) is not None:
            if len(self._asked) >= REMEMBERED:  # who asks chooses how many there are
                self._asked.clear()
            self._asked[name] = found
        return found

    def presented(self, name: str) -> Asked:
        """The same for a name that was checked."""
        found = self.asked(name)
        if found is None:
            raise KeyError(name)
        return found

    def states_of(self, measures: tuple[str, ...]) -> tuple[str, ...]:
        """The state columns that measures, or parts of them, are presented from."""
        found = self._states_of.get(measures)
        if found is None:
            if len(self._states_of) >= REMEMBERED:  # who asks chooses how many there are
                self._states_of.clear()
            columns = (column for m in measures for column in self.presented(m).columns)
            found = self._states_of[measures] = tuple(dict.fromkeys(columns))
        return found

    def _presenting(self, name: str) -> Asked | None:
        measure, _, part = name.partition(".")
        found = self.measures.get(measure)
        if found is None:
            return None
        if len(part) > LONGEST_PART:
            raise QueryError(
                f"the part of {measure} that is asked for has {len(part)} characters, {LONGEST_PART} at most",
                next=f"{measure}, or one of its parts",
            )
        presenter = found.presenter.part(part) if part else found.presenter
        if presenter is None:
            return None
        columns = tuple(s.column for s in found.states)
        return Asked(presenter, columns, presenter.result_type(*(self.states[c] for c in columns)))

    @cached_property
    def inexact(self) -> frozenset[str]:
        """The state columns for which the order of merging shows in the last digits."""
        return frozenset(c for c, kind in self.kinds.items() if not kind.exact(self.states[c]))

    @cached_property
    def empty(self) -> Mapping[str, Any]:
        """The value of each state column for no rows."""
        return {column: kind.merge_values(()) for column, kind in self.kinds.items()}

    def merged(self, column: str) -> str:
        """The SQL aggregate that merges a state column into its own type, or gathers what `gathered` then merges."""
        kind, stored = self.kinds[column], self.states[column]
        aggregate = kind.merge_in_order(quoted(column)) if column in self.inexact else kind.merge(quoted(column))
        return aggregate if isinstance(kind, GatheredKind) else f"CAST({aggregate} AS {sql_type(stored)})"

    def gathered(self, rows: pa.Table) -> pa.Table:
        """Rows of `merged` columns with those merged that SQL only gathered."""
        for i, name in enumerate(rows.column_names):
            kind = self.kinds.get(name)
            if isinstance(kind, GatheredKind):
                states = kind.collected(rows[name].combine_chunks())
                rows = rows.set_column(i, name, typed(states, held_type(self.states[name])))
        return rows

    def held(self, rows: pa.RecordBatch | pa.Table) -> pa.Table:
        """The columns of `rows` that answers need, as they are kept in memory."""
        columns = [_as_held(rows.column(c)) for c in self.columns]
        return pa.table(columns, names=list(self.columns))


def held_type(kind: pa.DataType) -> pa.DataType:
    """The type in memory of what is stored as `kind`, also within lists and structs."""
    if pa.types.is_list(kind):
        return pa.list_(held_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, held_type(f.type)) for f in kind])
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def typed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def alias(dimension: str) -> str:
    """What a dimension's table is called in a statement."""
    return quoted(f"of {dimension}")


def held_as(column: str) -> str:
    """What a dimension's column is called in its table: as no key, state or bucket is, whoever named it."""
    return f"of {column}"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_type(kind: pa.DataType) -> str:
    """The SQL type that holds values of an Arrow type in memory; raises IntegrityError for one that cannot be held."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quoted(f.name)} {sql_type(f.type)}' for f in kind)})"
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
    if pa.types.is_list(kind):
        return f"array<{type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{f.name}: {type_name(f.type)}' for f in kind)}>"
    return NAMES.get(kind, str(kind))


def _as_held(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    micros = _in_micros(column.type)
    column = column if column.type == micros else column.cast(micros)
    return column if micros == held_type(micros) else column.cast(held_type(micros))


def _in_micros(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_in_micros(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _in_micros(f.type)) for f in kind])
    return pa.timestamp("us", tz=kind.tz) if pa.types.is_timestamp(kind) else kind
