"""The conditions of a statement, each as what its column must or must not be; null is neither, as SQL has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlglot import exp

from dovetail.serving.sql_names import Source, Time
from dovetail.serving.sql_text import called, only, place, refused
from dovetail.serving.where import Op
from dovetail.shared.errors import QueryError

MOST_VALUES = 1_000
LiteralKind = Literal["text", "number", "boolean", "time", "null"]
AMONG = (exp.EQ, exp.NEQ, exp.In, exp.Is, exp.Not, exp.Or)
"""What says that a column is one of some values, or is none of them."""
COMPARED: Mapping[type[exp.Expr], Op] = {exp.LT: "lt", exp.LTE: "lte", exp.GT: "gt", exp.GTE: "gte"}
NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Value:
    """A literal: its text as a question has it, None for null, and what it was written as."""

    text: str | None
    kind: LiteralKind


NULL = Value(None, "null")


@dataclass(frozen=True)
class Test:
    """What a column or a measure must be, with the operators of a question: `not` holds of null unless it names it."""

    of: Source
    op: Op
    values: tuple[Value, ...]


def conjunction(clause: exp.Expr | None, read: Callable[[exp.Expr], Source]) -> tuple[Test, ...]:
    """The tests that all hold where a WHERE or a HAVING does, at most one of an operator and a column.

    Args:
        read: what the left side of a condition stands for.

    Raises:
        QueryError: it is not made of such tests.
    """
    found: dict[tuple[object, Op], Test] = {}
    for node in _parts(clause.this, exp.And) if clause else ():
        for test in _tests(node, read):
            if isinstance(test.of, Time):
                _check_time(node, test)
            known = found.get((test.of, test.op))
            if known and test.op != "not":
                raise QueryError(
                    f"'{test.of.name}' is compared twice in the same way{place(node)}",
                    next="say what is left of both: one IN, or one bound on each side",
                )
            values = (*(known.values if known else ()), *test.values)
            found[test.of, test.op] = replace(test, values=tuple(dict.fromkeys(values)))
    return tuple(found.values())


def _check_time(node: exp.Expr, test: Test) -> None:
    if test.op not in ("gte", "lt") or test.values[0].kind not in ("text", "time"):
        raise QueryError(
            f"the time is bounded from its first instant to before its last{place(node)}",
            next="bucket >= '2026-03-01' AND bucket < '2026-04-01'",
        )


def _parts(node: exp.Expr, kind: type[exp.Connector]) -> Iterator[exp.Expr]:
    """What AND, or OR, holds together, however it is bracketed."""
    node = node.unnest()
    for part in node.flatten() if isinstance(node, kind) else ():
        yield from _parts(part, kind)
    if not isinstance(node, kind):
        yield node


def _tests(node: exp.Expr, read: Callable[[exp.Expr], Source]) -> list[Test]:
    if isinstance(node, exp.Between):
        only(node, "this", "low", "high")
        of, low, high = read(node.this), _value(node.args["low"]), _value(node.args["high"])
        return [Test(of, "gte", (low,)), Test(of, "lte", (high,))]
    if type(node) in COMPARED:
        return [Test(read(node.this), COMPARED[type(node)], (_value(node.expression),))]
    if isinstance(node, exp.Like):
        only(node, "this", "expression")
        return [Test(read(node.this), "prefix", (_prefix(node),))]
    return [_among(node, read)]


def _among(node: exp.Expr, read: Callable[[exp.Expr], Source]) -> Test:
    """A test that a column is one of some values, or none of them."""
    node = node.unnest()
    if isinstance(node, exp.EQ | exp.NEQ):
        found = Test(read(node.this), "in", (_value(node.expression),))
        return _negated(found) if isinstance(node, exp.NEQ) else found
    if isinstance(node, exp.In):
        only(node, "this", "expressions")
        if not 0 < len(node.expressions) <= MOST_VALUES:
            raise QueryError(f"IN holds 1 to {MOST_VALUES:,} values{place(node)}", next="ask in several statements")
        return Test(read(node.this), "in", tuple(map(_value, node.expressions)))
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return Test(read(node.this), "in", (NULL,))
    if isinstance(node, exp.Not) and isinstance(node.this.unnest(), AMONG):
        found = _among(node.this, read)
        if found.op == "in":
            return _negated(found)
    if isinstance(node, exp.Or):
        parts = [*_parts(node, exp.Or)]
        return _either(node, [_among(part, read) for part in parts] if all(isinstance(p, AMONG) for p in parts) else [])
    raise refused(
        node, f"{called(node)} as a condition",
        next="=, <>, <, <=, >, >=, BETWEEN, IN, LIKE 'abc%' and IS NULL of a column and values, with AND between them",
    )  # fmt: skip


def _either(node: exp.Or, tests: list[Test]) -> Test:
    """One test for several of which one must hold: `in` with all values, or `not` with null let in again.

    Raises:
        QueryError: there is none, or `tests` are none at all.
    """
    of = {test.of for test in tests}
    others = [test for test in tests if test.op == "not"]
    values = dict.fromkeys(v for test in tests if test.op == "in" for v in test.values)
    if len(of) != 1 or len(others) > 1 or (others and (set(values) != {NULL} or others[0].values == (NULL,))):
        raise QueryError(
            f"OR is only for values of one column{place(node)}",
            why="each row of an answer is of one group, asked for with all that holds of it",
            next="a = 1 OR a IS NULL; ask each side of another OR in a statement of its own",
        )
    if not others:
        return Test(tests[0].of, "in", tuple(values))
    return replace(others[0], values=tuple(v for v in others[0].values if v != NULL))


def _negated(test: Test) -> Test:
    return replace(test, op="not", values=tuple(dict.fromkeys((*test.values, NULL))))


def _prefix(node: exp.Like) -> Value:
    pattern = _value(node.expression)
    if pattern.kind != "text" or not re.fullmatch(r"[^%_\\]*%", pattern.text or "", re.DOTALL):
        raise refused(node, "LIKE of this", next="LIKE 'abc%' with one % at its end; = for a whole text")
    return replace(pattern, text=(pattern.text or "")[:-1])


def _value(node: exp.Expr) -> Value:
    node = node.unnest()
    sign = "-" if isinstance(node, exp.Neg) else ""
    number = node.this if sign else node
    if isinstance(number, exp.Literal) and not number.is_string and NUMBER.fullmatch(number.this):
        return Value(sign + number.this, "number")
    if isinstance(node, exp.Literal) and node.is_string:
        return Value(node.this, "text")
    if isinstance(node, exp.Boolean):
        return Value("true" if node.this else "false", "boolean")
    if isinstance(node, exp.Null):
        raise refused(node, "a comparison with NULL", why="it is never true", next="IS NULL, or IS NOT NULL")
    if isinstance(node, exp.Cast) and (found := _time(node)):
        return found
    raise refused(node, f"{called(node)} as a value", next="a text, a number, TRUE, FALSE, DATE '…' or TIMESTAMP '…'")


def _time(node: exp.Cast) -> Value | None:
    """`DATE '2026-03-01'`, or TIMESTAMP with a time in the zone of the statement."""
    only(node, "this", "to")
    text, kind = node.this.this if isinstance(node.this, exp.Literal) and node.this.is_string else "", node.args["to"]
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    plain = moment.tzinfo is None
    day = plain and len(text) == len("2026-03-01")
    if (kind.is_type("date") and day) or (kind.is_type("timestamp") and plain):
        return Value(text, "time")
    return None
