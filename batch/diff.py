"""What a change makes of the answers: what answers now against what would, group by group, at one ledger row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dovetail.batch.change import refuse_unready
from dovetail.batch.held import group_columns, merged, states_of, stored
from dovetail.batch.recount import quoted
from dovetail.shared.declare import View
from dovetail.shared.engine import arrow
from dovetail.shared.errors import UsageError
from dovetail.shared.grants import Mask
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, Run
from dovetail.shared.percentage import share
from dovetail.shared.position import Position
from dovetail.shared.project import Project
from dovetail.shared.sensitive import hidden
from dovetail.shared.versions import Bundle, load

WORST = 10
"""Groups that are named of each measure, those that differ most."""


@dataclass(frozen=True)
class Measured:
    """One measure, before and after: how many groups differ by more than is let pass, and the totals of numbers.

    `worst` are the groups that differ most, with `before` and `after`; null where there is no such group.
    """

    measure: str
    differing: int
    before: Any
    after: Any
    worst: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Groups:
    """Two tables of answers, compared: how many groups there are, only one of them has, and each measure."""

    groups: int
    gone: int
    new: int
    measures: tuple[Measured, ...]

    @property
    def same(self) -> bool:
        """Whether no group differs, and both have the same groups."""
        return not (self.gone or self.new or any(m.differing for m in self.measures))

    def shown(self, sensitive: Mapping[str, Mask]) -> Groups:
        """As commands show it: sensitive columns of the groups that are named are hidden."""
        named = (replace(m, worst=tuple(hidden(group, sensitive) for group in m.worst)) for m in self.measures)
        return replace(self, measures=tuple(named))


@dataclass(frozen=True)
class Diff:
    """Two versions of a view at one ledger row, compared on the columns `by` that groups of both are told apart by."""

    before: VersionId
    after: VersionId
    seq: int
    position: Position
    by: tuple[str, ...]
    found: Groups
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def tolerance(text: str) -> float:
    """The share that a percentage is; raises UsageError for what is none."""
    found = share(text)
    if found is None or found > 1:
        raise UsageError(f"within={text} is no percentage up to 100", next='write it as in "1%"')
    return found


def diff(
    project: Project, view: View, manifest: Manifest, to: tuple[Run, ...], spark: SparkSession, *, within: float = 0.0
) -> Diff:
    """Compares what answers with what the runs `to` would answer.

    Args:
        within: the share of a number by which it may differ, 0.01 for a hundredth.

    Raises:
        Busy: one of the two is not kept up to date, or computed in part: there is no position at which both answer.
    """
    rows = DeltaLedger(project.layout.ledger(view.source.name)).rows()
    for runs in (manifest.runs, to):
        refuse_unready(manifest, runs, rows)
    sides = [replace(manifest, runs=runs, rollback=(), staged=()) for runs in (manifest.runs, to)]
    bundles = [load(project.layout.version(side.live)) for side in sides]
    by = common(*bundles)
    names = [m for m in bundles[0].measures if m in bundles[1].measures]
    before, after = (
        presented(merged(stored(project.layout, side, rows, bundle, spark), bundle, by), bundle, by, names)
        for side, bundle in zip(sides, bundles, strict=True)
    )
    first, second = (frozenset(bundle.measures) for bundle in bundles)
    return Diff(
        before=sides[0].live,
        after=sides[1].live,
        seq=rows[-1].seq,
        position=rows[-1].to,
        by=tuple(by),
        found=compared(before, after, by, names, within=within),
        only_before=tuple(sorted(first - second)),
        only_after=tuple(sorted(second - first)),
    )


def common(before: Bundle, after: Bundle) -> list[str]:
    """The columns that groups of both are told apart by."""
    columns = [c for c in group_columns(before) if c in group_columns(after)]
    return [c for c in columns if c in before.keys or before.bucket_seconds == after.bucket_seconds]


def presented(states: DataFrame, bundle: Bundle, by: Sequence[str], names: Sequence[str]) -> pa.Table:
    """The measures of merged states, as they are answered."""
    table = arrow(states)
    columns = {name: table[name].combine_chunks() for name in by}
    empty = {s.column: s.kind.merge_values(()) for s in states_of(bundle)}
    for name in names:
        measure = bundle.presented[name]
        given = (table[s.column].combine_chunks() for s in measure.states)
        columns[name] = measure.presenter.present(
            *(
                state.fill_null(empty[s.column]) if isinstance(empty[s.column], int) else state
                for s, state in zip(measure.states, given, strict=True)
            )
        )
    return pa.table(columns)


def compared(before: pa.Table, after: pa.Table, by: Sequence[str], names: Sequence[str], *, within: float) -> Groups:
    """Compares two tables of answers."""
    with duckdb.connect() as connection:
        connection.register("before", before.append_column("_there", pa.array([True] * before.num_rows)))
        connection.register("after", after.append_column("_there", pa.array([True] * after.num_rows)))
        alike = " AND ".join(f"b.{quoted(c)} IS NOT DISTINCT FROM a.{quoted(c)}" for c in by) or "TRUE"
        groups = [f"coalesce(b.{quoted(c)}, a.{quoted(c)}) AS {quoted(c)}" for c in by]
        values = [f"{side}.{quoted(n)} AS {quoted(f'{side}_{n}')}" for n in names for side in ("b", "a")]
        joined = ", ".join([*groups, *values, "b._there AS _b", "a._there AS _a"])
        connection.execute(f"CREATE TEMP TABLE pairs AS SELECT {joined} FROM before b FULL JOIN after a ON {alike}")  # noqa: S608  names of declarations
        everywhere, gone, new = _row(
            connection, "SELECT count(*), count(*) FILTER (_a IS NULL), count(*) FILTER (_b IS NULL) FROM pairs"
        )
        numbers = {n for n in names if all(_is_number(t.schema.field(n).type) for t in (before, after))}
        measured = [_measured(connection, n, by, within=within, number=n in numbers) for n in names]
        return Groups(everywhere, gone, new, tuple(measured))


def _measured(
    connection: duckdb.DuckDBPyConnection, name: str, by: Sequence[str], *, within: float, number: bool
) -> Measured:
    before, after = quoted(f"b_{name}"), quoted(f"a_{name}")
    far = f"abs(coalesce({after}, 0)::DOUBLE - coalesce({before}, 0)::DOUBLE)" if number else "1"
    near = f"isfinite({far}) AND {far} <= {within} * abs({before}::DOUBLE)"
    beyond = f" AND NOT coalesce({near}, FALSE)" if number and within else ""
    differs = f"{before} IS DISTINCT FROM {after}{beyond}"
    differing, total_before, total_after = _row(
        connection,
        f"SELECT count(*) FILTER ({differs}), {f'sum({before}), sum({after})' if number else 'NULL, NULL'} FROM pairs",  # noqa: S608
    )
    shown = ", ".join([*map(quoted, by), f'{before} AS "before"', f'{after} AS "after"'])
    order = ", ".join([f"{far} DESC", *map(quoted, by)])
    worst = connection.sql(f"SELECT {shown} FROM pairs WHERE {differs} ORDER BY {order} LIMIT {WORST}")  # noqa: S608
    return Measured(name, differing, total_before, total_after, tuple(worst.to_arrow_table().to_pylist()))


def _row(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute(statement).fetchall()[0]
    return row


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
