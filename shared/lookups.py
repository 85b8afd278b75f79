"""Rules that look beyond the record: values that a dimension knows, and values that come once within a horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from dovetail.shared.decode import POSITION, REASON
from dovetail.shared.dimensions import Versions
from dovetail.shared.engine import arrow
from dovetail.shared.ledger import LedgerRow, LedgerStore
from dovetail.shared.repeats import NOWHERE, Deduplicator, candidates
from dovetail.shared.rules import LookupRule
from dovetail.shared.tables import Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from dovetail.shared.declare import Source
    from dovetail.shared.log import Log


class Lookup(Protocol):
    """One such rule at work."""

    @property
    def rule(self) -> LookupRule: ...

    def breaking(self, rows: DataFrame) -> pa.Table:
        """The places, columns of POSITION, of the decoded rows that break it."""

    def learn(self, row: LedgerRow) -> None:
        """Takes note that `row` has published the rows looked at last."""


def lookups(source: Source, ledger: LedgerStore, layout: Layout, log: Log, spark: SparkSession) -> list[Lookup]:
    """Those of a source's rules."""
    return [
        References(rule, layout, spark) if rule.dimension else Unique(rule, source, ledger, layout, log, spark)
        for rule in source.rules
        if isinstance(rule, LookupRule)
    ]


class References:
    """Each value is a key of the dimension's newest version; before the first one nothing is known to be wrong."""

    def __init__(self, rule: LookupRule, layout: Layout, spark: SparkSession) -> None:
        self.rule, self._spark = rule, spark
        self._versions = Versions(layout, rule.dimension)
        self._keys: tuple[int, DataFrame] | None = None

    def breaking(self, rows: DataFrame) -> pa.Table:
        from pyspark.sql import functions as F

        last = self._versions.last()
        if last is None:
            return NOWHERE
        if self._keys is None or self._keys[0] != last.n:
            keys = self._versions.read(last).select([last.key])
            frame = self._spark.createDataFrame(keys).selectExpr(f"cast(`{last.key}` as string) as _known")
            self._keys = last.n, F.broadcast(frame)
        (column,) = self.rule.columns
        asked = rows.where(f"{REASON} is null and `{column}` is not null")
        named = asked.selectExpr(*POSITION, f"cast(`{column}` as string) as _known")
        return arrow(named.join(self._keys[1], ["_known"], "left_anti").select(*POSITION))

    def learn(self, row: LedgerRow) -> None:
        """Nothing: the dimension knows."""


class Unique:
    """No record before has the same values within the horizon."""

    def __init__(
        self, rule: LookupRule, source: Source, ledger: LedgerStore, layout: Layout, log: Log, spark: SparkSession
    ) -> None:
        self.rule = rule
        meant = replace(source, event_id=rule.columns, horizon=rule.horizon)
        self._index = Deduplicator.of(meant, ledger, layout, log, spark, rule=rule.name)

    def breaking(self, rows: DataFrame) -> pa.Table:
        return self._index.decide(candidates(rows, self.rule.columns)).places

    def learn(self, row: LedgerRow) -> None:
        self._index.learn(row)


def first(places: pa.Table) -> Sequence[int]:
    """The first of these places: partition and offset."""
    return min(zip(*(places[c].to_pylist() for c in POSITION), strict=True))
