"""What the rules of a source say of one commit: counted beside its fold, compared with the commits before it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dovetail.shared.alarm import Alarm
from dovetail.shared.conditions import quoted
from dovetail.shared.declare import Source
from dovetail.shared.decode import FORGOTTEN, POSITION, REASON, breaks, decoder_id
from dovetail.shared.engine import arrow
from dovetail.shared.errors import DeclarationError, DovetailError, RuleBroken, engine_message
from dovetail.shared.forgotten import ForgetList
from dovetail.shared.ledger import Books, Judged, LedgerRow, LedgerStore, Stats, VersionId
from dovetail.shared.lookups import Lookup, first, lookups
from dovetail.shared.position import Range, RecordId
from dovetail.shared.repeats import Deduplicator, Repeats, candidates
from dovetail.shared.repeats_apart import Apart
from dovetail.shared.rules import AnyRule, CommitRule, Rule
from dovetail.shared.tables import Layout

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from dovetail.shared.log import Log
    from dovetail.shared.versions import Bundle

BLANKED = Judged(FORGOTTEN, "drop")
"""How books tell what was dropped because of whom it is."""
SEEN = f"{REASON} is null"
"""SQL: views see the record."""


@dataclass(frozen=True)
class Judgement:
    """What the rules say of a commit that they let through."""

    broken: Mapping[Judged, int] = field(default_factory=dict)
    stats: Stats = field(default_factory=dict)


class Judge:
    """The rules of one source, the ledger in which those on a commit look back, and what looks beyond the record.

    Args:
        lookups: its rules that look beyond the record.
        deduplicator: finds repeats; None where the source has no event id.
        alarm: stops commits when too much goes to quarantine; None where nothing is too much.
        forgotten: whose records are blanked; None where all that is read was stored, and so is blanked already.
        apart: finds repeats that are some for versions alone; None as `deduplicator`.
    """

    def __init__(
        self,
        source: Source,
        ledger: LedgerStore,
        lookups: Sequence[Lookup] = (),
        deduplicator: Deduplicator | None = None,
        alarm: Alarm | None = None,
        forgotten: ForgetList | None = None,
        apart: Apart | None = None,
    ) -> None:
        self.alarm, self._forgotten, self._apart = alarm, forgotten, apart
        self.source, self.ledger, self.lookups, self.deduplicator = source, ledger, lookups, deduplicator
        self.decoder: Mapping[str, Any] = source.as_json()
        self.decoder_id = decoder_id(self.decoder)
        self._rules = [r for r in source.rules if isinstance(r, Rule)]
        self._commit_rules = [r for r in source.rules if isinstance(r, CommitRule)]
        self._before: list[LedgerRow] = []

    @classmethod
    def of_commits(
        cls,
        source: Source,
        ledger: LedgerStore,
        layout: Layout,
        log: Log,
        spark: SparkSession,
        *,
        stop: float | None = None,
    ) -> Judge:
        """One that can look at all that the source declares. For the holder of the speed lock.

        `stop` is the share of records beyond which too much goes to quarantine.
        """
        given = source, ledger, layout, log, spark
        deduplicator, apart = (Deduplicator.of(*given), Apart(*given)) if source.event_id else (None, None)
        alarm = Alarm(source, ledger, stop) if stop is not None else None
        forgotten = ForgetList(layout, source.name, ledger)
        return cls(source, ledger, lookups(*given), deduplicator, alarm, forgotten, apart)

    def without_forgotten(self, rows: DataFrame) -> DataFrame:
        """A commit's decoded rows, those of whom the ledger's last row knows as forgotten blanked."""
        found = self._forgotten.now() if self._forgotten else None
        return found.blanked(rows) if found else rows

    @property
    def looks_first(self) -> bool:
        """Whether a commit's records are read more than once, and so better kept in memory."""
        return bool(self.lookups or self.deduplicator)

    def repeats(self, rows: DataFrame) -> Repeats:
        """Those of a commit's decoded rows that are not to be counted again."""
        return self.deduplicator.decide(candidates(rows, self.source.event_id)) if self.deduplicator else Repeats()

    def repeats_apart(self, rows: DataFrame, whole: DataFrame, bundles: Sequence[Bundle]) -> dict[VersionId, pa.Table]:
        """As `Apart.found`."""
        return self._apart.found(rows, whole, bundles) if self._apart else {}

    @property
    def horizon(self) -> int | None:
        """How far repeats are looked for, in milliseconds; None where they are not."""
        return self.source.horizon // timedelta(milliseconds=1) if self.source.event_id else None

    def learn(self, row: LedgerRow) -> None:
        """Takes note that `row` has published the rows looked at last."""
        for each in (*self.lookups, self.deduplicator, self._apart):
            if each:
                each.learn(row)

    @cached_property
    def dropping(self) -> list[str]:
        """The reasons of dropped records: every other one is of a record in quarantine."""
        return [FORGOTTEN, *(r.reason for r in self._rules if r.otherwise == "drop")]

    @cached_property
    def figures(self) -> dict[str, str]:
        """SQL aggregates over decoded rows by name, to be had in the one pass that folds them."""
        counts = {f"broken {i}": f"count_if({broken_by(r)})" for i, r in enumerate(self._rules)}
        counts[FORGOTTEN] = f"count_if({REASON} = '{FORGOTTEN}')"
        return counts | {name: sql for r in self._commit_rules for name, sql in _statistic(r).items()}

    def dropped(self, figures: Mapping[str, Any]) -> int:
        ruled = (figures[f"broken {i}"] for i, r in enumerate(self._rules) if r.otherwise == "drop")
        return int(sum(ruled, figures[FORGOTTEN]))

    def judged(self, rows: DataFrame, figures: Mapping[str, Any], books: Books, span: Range) -> Judgement:
        """What the rules say, given the values of `figures`.

        Raises:
            RuleBroken: a rule that says `fail` is broken; nothing of the commit may show.
        """
        broken = {Judged(r.name, r.otherwise): figures[f"broken {i}"] for i, r in enumerate(self._rules)}
        broken[BLANKED] = figures[FORGOTTEN]
        for rule in self._rules:
            if rule.otherwise == "fail" and (n := broken[Judged(rule.name, "fail")]):
                raise self._failed(rule, _records(rows, rule, n, span))
        for lookup in self.lookups:
            kind, places = lookup.rule, lookup.breaking(rows)
            broken[Judged(kind.name, kind.otherwise)] = n = places.num_rows
            if kind.otherwise == "fail" and n:
                raise self._failed(kind, _said(RecordId(*first(places)), n, span))
        stats = _stats(self._commit_rules, figures) if books.seen else {}
        for each in self._commit_rules if stats else ():
            if why := _drifted(each, stats, books, self._last(each.over)):
                if each.otherwise == "fail":
                    raise self._failed(each, f"{why}, in {span}")
                broken[Judged(each.name, each.otherwise)] = 1
        return Judgement({key: n for key, n in broken.items() if n}, stats)

    def _failed(self, rule: AnyRule, what: str) -> RuleBroken:
        other = "quarantine" if isinstance(rule, Rule) else "warn"
        return RuleBroken(
            f"{self.source.name}: {what} breaks the rule '{rule.name}', which says fail",
            where=rule.where,
            why="nothing of this commit is counted; the archive goes on",
            next=f"change the rule, to otherwise='{other}' say, then: dovetail speed {self.source.name}",
        )

    def _last(self, over: int) -> Sequence[LedgerRow]:
        """The newest `over` commits that hold statistics; fewer where there are no more."""
        last = self.ledger.last()
        if last is not None and (not self._before or self._before[-1].seq != last.seq):
            self._look_back(last)
        return [row for row in self._before if row.stats][-over:]

    def _look_back(self, last: LedgerRow) -> None:
        """Brings `_before` up to `last`; read is only what is not at hand, for every commit asks."""
        most = max(r.over for r in self._commit_rules)
        known = self._before[-1].seq if self._before else None
        if known is None:
            rows, reach = list[LedgerRow](), 2 * most
            while len([r for r in rows if r.stats]) < most and (not rows or rows[0].seq > 0):
                rows = [*self.ledger.rows(after=max(-1, last.seq - reach))]
                reach *= 4
        else:
            rows = [last] if last.seq == known + 1 else [*self.ledger.rows(after=known)]
        self._before += rows
        kept = [row for row in self._before[:-1] if row.stats][-most:]
        self._before[:] = [*kept, self._before[-1]]


def refuse_unfit(source: Source, spark: SparkSession) -> None:
    """Raises DeclarationError at the line of a rule that the engine does not take."""
    for each, error in unfit(source, spark):
        said = error.what if isinstance(error, DovetailError) else engine_message(error, [*source.columns])
        raise DeclarationError(f"rule '{each.name}': {said}", where=each.where, next="dovetail check --deep")


def unfit(source: Source, spark: SparkSession) -> Iterator[tuple[Rule, Exception]]:
    """The rules that the engine does not take, for what they name, their types or their syntax; with what it says."""
    rules = [r for r in source.rules if isinstance(r, Rule)]
    if not rules:
        return
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in source.columns.items())
    theirs = spark.createDataFrame([], ddl)
    ours = spark.createDataFrame([], f"{ddl}, `_timestamp` timestamp")
    for each in rules:
        try:
            _try_out(ours if each.column else theirs, each)
        except Exception as error:  # noqa: BLE001  the user's SQL: anything may come out of it
            yield each, error


def broken_by(rule: Rule) -> str:
    """SQL: a decoded row breaks the rule. Of those that take records out it is the first one that does."""
    if rule.decides:
        return f"{REASON} = {quoted(rule.reason)}"
    return f"case when {SEEN} then {breaks(rule.condition)} else false end"


def _try_out(rows: DataFrame, each: Rule) -> None:
    (column,) = rows.selectExpr(f"({each.condition}\n) as c").schema
    kind = column.dataType.simpleString()
    if kind != "boolean":
        raise DeclarationError(f"it gives {kind}, not true or false")
    arrow(rows.where(breaks(each.condition)))  # run too: a constant such as a pattern is looked at only then


def _statistic(rule: CommitRule) -> dict[str, str]:
    column = f"`{rule.column}`"
    if rule.statistic == "null_rate":
        return {f"nulls {rule.column}": f"count_if({SEEN} and {column} is null)"}
    value = f"case when {SEEN} then cast({column} as double) end"
    finite = f"abs({value}) < double('Infinity')"  # which NaN is not, either
    return {
        f"n {rule.column}": f"count_if({finite})",
        f"sum {rule.column}": f"sum(case when {finite} then {value} end)",
    }


def _stats(rules: Sequence[CommitRule], figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    stats: dict[str, dict[str, float]] = {}
    for rule in rules:
        of = stats.setdefault(rule.column, {})
        if rule.statistic == "null_rate":
            of["nulls"] = figures[f"nulls {rule.column}"]
        else:
            total = figures[f"sum {rule.column}"] or 0.0
            of |= {"n": figures[f"n {rule.column}"], "sum": total} if math.isfinite(total) else {"n": 0, "sum": 0.0}
    return stats


def _drifted(rule: CommitRule, stats: Stats, books: Books, before: Sequence[LedgerRow]) -> str:
    """How the commit breaks the rule, or nothing."""
    now = stats[rule.column]
    if rule.statistic == "null_rate":
        earlier = [r for r in before[len(before) - rule.over + 1 :] if "nulls" in r.stats.get(rule.column, {})]
        records = books.seen + sum(r.books.seen for r in earlier)
        nulls = now["nulls"] + sum(r.stats[rule.column]["nulls"] for r in earlier)
        if records < rule.least or nulls < rule.limit * records:
            return ""
        return f"{rule.column} is null in {nulls:,.0f} of {records:,} records ({nulls / records:.1%})"
    past = [r.stats[rule.column] for r in before if "sum" in r.stats.get(rule.column, {})]
    n, total = sum(s["n"] for s in past), sum(s["sum"] for s in past)
    if min(n, now["n"]) < rule.least or not total or not math.isfinite(total):
        return ""
    mean, was = now["sum"] / now["n"], total / n
    if abs(mean - was) <= rule.limit * abs(was):
        return ""
    return f"the mean of {rule.column} went from {was:.6g} to {mean:.6g} ({(mean - was) / abs(was):+.1%})"


def _records(rows: DataFrame, rule: Rule, count: int, span: Range) -> str:
    """`record 2@3141`, the first of those that break the rule; looked for only now that one does."""
    (place,) = rows.where(broken_by(rule)).select(*POSITION).orderBy(*POSITION).limit(1).collect()
    return _said(RecordId(*place), count, span)


def _said(record: RecordId, count: int, span: Range) -> str:
    return f"record {record}" + (f" (and {count - 1:,} more of {span})" if count > 1 else "")
