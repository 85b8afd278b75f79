"""Rules: what the records of a source have to be, and what happens to one that is not. Declared here, without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from dovetail.shared import ddl, rowwise
from dovetail.shared.caller import caller
from dovetail.shared.conditions import fault, quoted, unknown_operand
from dovetail.shared.dimensions import Dimension
from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.rule_arguments import (
    FAMILIES,
    Otherwise,
    Value,
    base_type,
    comparable,
    family_of,
    length,
    literal,
    name_of,
    only_tells,
    otherwise_of,
    share,
    ticked,
)

Statistic = Literal["null_rate", "mean_shift"]

EVENT_TIME = "event_time()"
"""Stands in a condition for the source's event time until the source is declared."""
OVER, LEAST = 20, 100


@dataclass(frozen=True)
class Rule:
    """One condition on each record of a source; made by `dv.rule`.

    `column` is the one a condition of ours is about, and `takes` the families of types it can have; empty for any.
    """

    name: str
    condition: str
    otherwise: Otherwise
    where: str = field(default="", compare=False)
    column: str = ""
    takes: tuple[str, ...] = ()

    @property
    def decides(self) -> bool:
        """Whether it decides which records views see, and so belongs to how a source is decoded."""
        return self.otherwise in ("drop", "quarantine")

    @property
    def reason(self) -> str:
        """Why a record that breaks it is in quarantine, or dropped."""
        return reason_of(self.name)

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "condition": self.condition, "otherwise": self.otherwise}


@dataclass(frozen=True)
class CommitRule:
    """One condition on the records of each commit as a whole; made by `dv.rule.null_rate` and `dv.rule.mean_shift`.

    `limit` is a share: 0.05 for 5 %.
    """

    name: str
    statistic: Statistic
    column: str
    limit: float
    otherwise: Otherwise
    over: int = OVER
    least: int = LEAST
    where: str = field(default="", compare=False)

    @property
    def takes(self) -> tuple[str, ...]:
        return ("number",) if self.statistic == "mean_shift" else ()


@dataclass(frozen=True)
class LookupRule:
    """One condition on what lies beyond the record; made by `dv.rule.unique` or, with `dimension`, `references`."""

    name: str
    columns: tuple[str, ...]
    otherwise: Otherwise
    dimension: str = ""
    horizon: timedelta = timedelta(0)
    where: str = field(default="", compare=False)


AnyRule = Rule | CommitRule | LookupRule


class Rules:
    """`dv.rule(condition)`: what each record of a source has to be; and, as its methods, rules of common kinds.

    Given to a source: `dv.source(…, rules=[dv.rule("quantity > 0", otherwise="drop"), dv.rule.one_of("status", […])])`.
    Like a CHECK in SQL a rule is broken only when it is false: where it is null, it holds.

    `otherwise` says what happens to a record that breaks the rule:

    - `"quarantine"`: no view sees it; its bytes are kept, with the rule as the reason.
    - `"drop"`: no view sees it, and it is counted. The master dataset has it still.
    - `"warn"`: it is counted, and kept.
    - `"fail"`: its commit is refused and the job stops, with the record's name; nothing of that commit shows, and the
      archive goes on. Records that were committed before the rule was declared stay.

    Rules that take records out come first, quarantine before drop, then in the order declared: a record counts under
    the first one it breaks. `warn`, `fail` and the rules on a commit judge the records that are left, each on its own.

    What takes records out is part of every view's version: a view that is live goes on without a new or changed one
    until `dovetail batch VIEW --full` adopts it. The other kinds are in force from the next start of the job on.

    A condition is worked out for each record alone. One that raises (a division by zero, a cast that fails) stops the
    job: `try_divide`, `try_cast` and their like give null instead.
    """

    def __call__(self, condition: str, *, otherwise: Otherwise = "quarantine", name: str | None = None) -> Rule:
        """A rule of one's own.

        Args:
            condition: Spark SQL over the declared columns: "quantity > 0 and price is not null".
            otherwise: "quarantine", "drop", "warn" or "fail".
            name: how the ledger, metrics and reasons call it; the condition where not given.

        Raises:
            DeclarationError: it does not parse, or needs more than the record: an aggregate, a clock, another row.
        """
        where = caller()
        if not isinstance(condition, str) or not condition.strip():
            raise DeclarationError(
                f"a rule is a condition in Spark SQL, not {condition!r}",
                where=where,
                next="write one, as in dv.rule('quantity > 0')",
            )
        condition = condition.strip()
        if wrong := fault(condition):
            raise DeclarationError(f"rule '{condition}' does not parse: {wrong}", where=where)
        for function, reason in rowwise.sql_reasons(condition):
            why = _AGGREGATE if reason == rowwise.AGGREGATE else reason
            raise DeclarationError(f"rule '{condition}': {function}: {why}", where=where)
        return Rule(name_of(name or condition, where), condition, otherwise_of(otherwise, where), where)

    def in_range(
        self,
        column: str,
        *,
        low: Value | None = None,
        high: Value | None = None,
        otherwise: Otherwise = "quarantine",
        name: str | None = None,
    ) -> Rule:
        """The value is `low` or more and `high` or less; either may be left out.

        Numbers (int, float, Decimal) for a column of numbers, `date` and `datetime` for one of times; a datetime
        without a zone is UTC. As Spark orders them NaN is above every number: it breaks a rule with `high` alone.

        Example: `dv.rule.in_range("price", low=0, high=1000)`
        """
        where = caller()
        if low is None and high is None:
            raise DeclarationError(f"in_range of {column}: give low=, high= or both", where=where)
        bounds = [b for b in (low, high) if b is not None]
        family = family_of(bounds, f"in_range of {column}", ("number", "time"), where)
        if low is not None and high is not None and comparable(low) > comparable(high):
            raise DeclarationError(f"in_range of {column}: low={low} is above high={high}", where=where)
        tests = [f"{ticked(column)} {op} {literal(b)}" for op, b in ((">=", low), ("<=", high)) if b is not None]
        told = f"{'' if low is None else f'{low} <= '}{column}{'' if high is None else f' <= {high}'}"
        return _own(name or told, " and ".join(tests), otherwise, where, column, (family,))

    def one_of(
        self, column: str, values: Sequence[Value], *, otherwise: Otherwise = "quarantine", name: str | None = None
    ) -> Rule:
        """The value is one of `values`: texts, numbers, truth values or times, as the column's type is.

        Example: `dv.rule.one_of("status", ["Shipped", "Cancelled"])`
        """
        where = caller()
        if isinstance(values, str) or not isinstance(values, Iterable) or not [*values]:
            raise DeclarationError(f"one_of of {column}: give a list of values, not {values!r}", where=where)
        family = family_of([*values], f"one_of of {column}", tuple(FAMILIES), where)
        literals = ", ".join(literal(v) for v in values)
        told = name or f"{column} one of {', '.join(map(str, values))}"
        return _own(told, f"{ticked(column)} in ({literals})", otherwise, where, column, (family,))

    def matches(
        self, column: str, pattern: str, *, otherwise: Otherwise = "quarantine", name: str | None = None
    ) -> Rule:
        """The regular expression, in Java's syntax, is found in the text: `^` and `$` make it the whole text.

        Example: `dv.rule.matches("postal_code", r"^[0-9]{5}$")`
        """
        where = caller()
        if not isinstance(pattern, str) or not pattern:
            raise DeclarationError(f"matches of {column}: give a regular expression, not {pattern!r}", where=where)
        told = name or f"{column} matches {pattern}"
        return _own(told, f"{ticked(column)} rlike {quoted(pattern)}", otherwise, where, column, ("text",))

    def castable(
        self,
        column: str,
        type: str,  # noqa: A002
        *,
        otherwise: Otherwise = "quarantine",
        name: str | None = None,
    ) -> Rule:
        """The text can be cast to a type of Spark's, as its `try_cast` does: " 12" and "-7" to an int, "12a" not.

        Example: `dv.rule.castable("quantity_text", "int")`
        """
        where = caller()
        if not isinstance(type, str) or not type.strip() or "<" in type:
            raise DeclarationError(f"castable of {column}: {unknown('type', str(type), ddl.SIMPLE)}", where=where)
        (kind,) = ddl.columns(f"{column} {type}", where=where).values()
        condition = f"{ticked(column)} is null or try_cast({ticked(column)} as {kind}) is not null"
        return _own(name or f"{column} castable to {kind}", condition, otherwise, where, column, ("text",))

    def fresh(self, *, within: str, otherwise: Otherwise = "quarantine", name: str | None = None) -> Rule:
        """The record came into the log at most `within` after its event time: Kafka's timestamp less the event time.

        Nothing depends on the clock, so that a record is as fresh in a batch of next year as when it came. Event times
        in the future are fresh. The source's `event_time` must be one of its columns.

        Example: `dv.rule.fresh(within="1 hour", otherwise="warn")`
        """
        where = caller()
        most = length(within, "fresh: within", where, like="1 hour")
        return _timely(name or f"fresh within {within}", "{log} - {event}", most, otherwise, where)

    def not_future(self, *, by: str, otherwise: Otherwise = "quarantine", name: str | None = None) -> Rule:
        """The event time is at most `by` after the record came into the log: later than that is a wrong clock.

        It goes by Kafka's timestamp, as `fresh` does. Without it an event of the year 3000 counts in its own bucket.

        Example: `dv.rule.not_future(by="1 day")`
        """
        where = caller()
        most = length(by, "not_future: by", where, like="1 day")
        return _timely(name or f"not in the future by {by}", "{event} - {log}", most, otherwise, where)

    def null_rate(
        self,
        column: str,
        *,
        below: str,
        over: int = OVER,
        least: int = LEAST,
        otherwise: Otherwise = "warn",
        name: str | None = None,
    ) -> CommitRule:
        """The share of nulls in a column stays below a percentage, over the last commits with this one.

        The records that views see are taken together: this commit's and those of up to `over` - 1 commits before it, as
        the ledger recorded them. The first commits have fewer before them. Nothing is judged while these are less than
        `least` records in all, and a commit without records is not counted. It is broken once a commit.

        Args:
            column: any column of the source.
            below: a percentage: "5%", "0.5%".
            over: how many commits, this one included.
            least: the fewest records that say anything.
            otherwise: "warn" or "fail".
            name: as in `dv.rule`.
        """
        where = caller()
        told = name_of(name or f"null_rate of {column} below {below}", where)
        limit = share(below, f"null_rate of {column}: below", where, most=100)
        made = CommitRule(told, "null_rate", column, limit, otherwise_of(otherwise, where), over, least, where)
        return _commit_rule(made)

    def mean_shift(
        self,
        column: str,
        *,
        within: str,
        over: int = OVER,
        least: int = LEAST,
        otherwise: Otherwise = "warn",
        name: str | None = None,
    ) -> CommitRule:
        """The mean of a column moves by no more than a percentage of what it was over the last commits.

        The mean of this commit's values is compared with that of the values of up to `over` commits before it, as the
        ledger recorded them: of the records that views see, without nulls, NaN and infinities, as doubles. Nothing is
        judged while this commit, or those before it together, hold less than `least` values: not the first commit, and
        no tiny one. Nor from a mean of 0, of which nothing is a percentage. It is broken once a commit.

        Args:
            column: a column of numbers.
            within: a percentage: "30%".
            over: how many commits before this one.
            least: the fewest values that say anything.
            otherwise: "warn" or "fail". A commit that was let through is part of what the next is compared with.
            name: as in `dv.rule`.
        """
        where = caller()
        told = name_of(name or f"mean_shift of {column} within {within}", where)
        limit = share(within, f"mean_shift of {column}: within", where)
        made = CommitRule(told, "mean_shift", column, limit, otherwise_of(otherwise, where), over, least, where)
        return _commit_rule(made)

    def references(
        self, column: str, dimension: Dimension, *, otherwise: Otherwise = "warn", name: str | None = None
    ) -> LookupRule:
        """The value is a key of a dimension: of its newest version when the record is committed, compared as text.

        What a dimension knows changes, so that no record is taken out for it, and the count is of the time it was made:
        a batch finds nothing anew. Nothing is judged before the dimension was read once.

        Args:
            column: a column of the source.
            dimension: what `dv.dimension` gave; a view of the source need not use it.
            otherwise: "warn" or "fail".
            name: as in `dv.rule`.

        Example: `dv.rule.references("product_code", dv.dimension("products", key="code", path="products.csv"))`
        """
        where = caller()
        if not isinstance(dimension, Dimension):
            raise DeclarationError(f"references of {column}: {dimension!r} is not a dv.dimension(…)", where=where)
        ticked(column)
        told = name_of(name or f"{column} references {dimension.name}", where)
        return _lookup(LookupRule(told, (column,), otherwise_of(otherwise, where), dimension.name, where=where))

    def unique(
        self, *columns: str, within: str = "1 day", otherwise: Otherwise = "warn", name: str | None = None
    ) -> LookupRule:
        """No record that came before has the same values in these columns, by Kafka's timestamps `within` that long.

        What has null in one of them is unique. To count a repeat once there is `event_id`; this tells of ids that come
        again although they should not, and takes nothing out.

        Args:
            columns: columns of the source, of simple types.
            within: a length of time; values are remembered on disk for twice as long.
            otherwise: "warn" or "fail".
            name: as in `dv.rule`.

        Example: `dv.rule.unique("invoice_number", within="7 days")`
        """
        where = caller()
        if not columns:
            raise DeclarationError("unique: give one column or more", where=where)
        for column in columns:
            ticked(column)
        horizon = length(within, "unique: within", where, like="1 day")
        told = name_of(name or f"{', '.join(columns)} unique within {within}", where)
        return _lookup(LookupRule(told, columns, otherwise_of(otherwise, where), "", horizon, where))


rule = Rules()


def reason_of(name: str) -> str:
    """The reason of a record that the rule of this name took out."""
    return f"breaks the rule '{name}'"


def bound(
    rules: Sequence[AnyRule], *, columns: Mapping[str, str], event_time: str | None, where: str
) -> tuple[AnyRule, ...]:
    """The rules of one source, checked against its columns, with its event time in its place.

    Raises:
        DeclarationError: at the rule's line: an unknown column, one of another type, two rules of one name.
    """
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        raise DeclarationError(f"rules must be a list, not {rules!r}", where=where, next="rules=[dv.rule(…)]")
    found: dict[str, AnyRule] = {}
    for each in rules:
        if not isinstance(each, AnyRule):
            raise DeclarationError(f"rules: {each!r} is not a dv.rule(…)", where=where)
        if each.name in found:
            raise DeclarationError(
                f"two rules are called '{each.name}', the first at {found[each.name].where}",
                where=each.where,
                next="give one of them name=",
            )
        found[each.name] = _bound(each, columns, event_time)
    return tuple(found.values())


def _bound(each: AnyRule, columns: Mapping[str, str], event_time: str | None) -> AnyRule:
    if isinstance(each, Rule) and each.column == EVENT_TIME:
        if event_time is None or event_time not in columns:
            raise DeclarationError(
                f"rule '{each.name}' goes by time, and the source's event time is no column of it",
                where=each.where,
                next="give the source event_time=, one of its columns",
            )
        each = replace(each, column=event_time, condition=each.condition.replace(EVENT_TIME, ticked(event_time)))
    if isinstance(each, LookupRule):
        for column in each.columns:
            if column not in columns:
                raise DeclarationError(f"rule '{each.name}': {unknown('column', column, columns)}", where=each.where)
            if base_type(columns[column]) not in SIMPLE:
                raise DeclarationError(
                    f"rule '{each.name}': column {column} is of type {columns[column]}: it takes simple types",
                    where=each.where,
                )
    elif each.column:
        _check_column(each, columns)
    elif isinstance(each, Rule) and (name := unknown_operand(each.condition, columns)):
        raise DeclarationError(f"rule '{each.condition}': {unknown('column', name, columns)}", where=each.where)
    return each


def _check_column(each: Rule | CommitRule, columns: Mapping[str, str]) -> None:
    folded = {name.lower(): kind for name, kind in columns.items()}  # Spark resolves columns without regard to case
    kind = folded.get(each.column.lower())
    if kind is None:
        raise DeclarationError(f"rule '{each.name}': {unknown('column', each.column, columns)}", where=each.where)
    if each.takes and not any(base_type(kind) in FAMILIES[family] for family in each.takes):
        wanted = " or ".join(t for family in each.takes for t in _SAID[family])
        raise DeclarationError(
            f"rule '{each.name}': column {each.column} is of type {kind}: it takes {wanted}", where=each.where
        )


def _own(name: str, condition: str, otherwise: Otherwise, where: str, column: str, takes: tuple[str, ...]) -> Rule:
    return Rule(name_of(name, where), condition, otherwise_of(otherwise, where), where, column, takes)


def _timely(name: str, difference: str, most: timedelta, otherwise: Otherwise, where: str) -> Rule:
    """`difference` is of `{log}` and `{event}` in milliseconds, the unit of Kafka's timestamps.

    Microseconds could overflow for the oldest of times, and an error would stop the job.
    """
    event = f"unix_millis(cast({EVENT_TIME} as timestamp))"
    told = difference.format(log="unix_millis(`_timestamp`)", event=event)
    return _own(name, f"{told} <= {most // timedelta(milliseconds=1)}", otherwise, where, EVENT_TIME, ("time",))


def _lookup(made: LookupRule) -> LookupRule:
    why = "takes records out, and what it is about is not in them"
    only_tells(made.otherwise, f"rule '{made.name}'", why, made.where)
    return made


def _commit_rule(made: CommitRule) -> CommitRule:
    what = f"{made.statistic} of {made.column}"
    ticked(made.column)
    for key, value in (("over", made.over), ("least", made.least)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DeclarationError(f"{what}: {key}={value!r}: a whole number from 1 on", where=made.where)
    only_tells(made.otherwise, what, "takes out single records, and this judges a commit", made.where)
    return made


_AGGREGATE = "a rule judges one record by itself; dv.rule.null_rate and dv.rule.mean_shift judge a commit"
SIMPLE = {kind for family in FAMILIES.values() for kind in family}
"""Types whose values are told apart by their text."""
_SAID = {"number": ["numbers"], "text": ["text"], "time": ["dates", "timestamps"], "truth": ["truth values"]}
