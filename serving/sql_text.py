"""SQL text to the tree of one SELECT, and the refusal of what a tree holds that cannot be asked, with its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from sqlglot import Dialect, Token, TokenType, exp, parser
from sqlglot.errors import ParseError, TokenError

from dovetail.shared.errors import QueryError

LONGEST = 8 << 10
"""Bytes of a statement."""
DEEPEST = 8
"""Brackets within one another."""
FORM = (
    "SELECT columns, MEASURE(name) FROM view WHERE … GROUP BY columns, DATE_TRUNC('day', bucket) "
    "HAVING MEASURE(name) > … ORDER BY … LIMIT …"
)
WORDS: dict[type[exp.Expr], str] = {
    exp.Subquery: "a subquery", exp.Select: "a subquery", exp.Window: "a window function", exp.Star: "*",
    exp.Column: "a column", exp.Literal: "a literal", exp.Tuple: "a row of values", exp.Placeholder: "a parameter",
    exp.Parameter: "a parameter", exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Neg: "-",
}  # fmt: skip
PARTS = {
    "db": "a schema", "columns": "a list of columns", "sample": "TABLESAMPLE", "locks": "FOR UPDATE",
    "query": "a subquery", "negate": "NOT LIKE", "limit_options": "PERCENT or WITH TIES", "method": "JOIN of this",
}  # fmt: skip
"""What people call the parts of a node, where that is not their name."""
T = TokenType
ONCE = {T.SELECT, T.FROM, T.JOIN, T.USING, T.WHERE, T.GROUP_BY, T.HAVING, T.ORDER_BY, T.LIMIT, T.OFFSET}
NEVER = {T.UNION, T.EXCEPT, T.INTERSECT, T.LATERAL, T.UNNEST, T.PIVOT, T.UNPIVOT, T.WITH, T.STRUCT}
SYMBOLS = {
    T.L_PAREN, T.R_PAREN, T.COMMA, T.DOT, T.SEMICOLON, T.EQ, T.NEQ, T.LT, T.LTE, T.GT, T.GTE, T.PLUS, T.DASH, T.STAR,
    T.SLASH,
}  # fmt: skip
"""The words that come at most once, those that never come, and every symbol there is. A clause within a clause, and
some operators in a row, are what the parser needs minutes for."""
OF_PARSER = (ValueError, TypeError, AttributeError, LookupError, AssertionError)
"""What the parser raises beside its own errors for some of what it cannot read."""


class Asking(Dialect):
    """SQL of no vendor: nulls come last where nothing else is said, and every function stands as it is written."""

    NULL_ORDERING = "nulls_are_last"

    class Parser(parser.Parser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}


def tree(text: str) -> exp.Select:
    """The one SELECT that `text` is.

    Raises:
        QueryError: it is anything else, or cannot be read, with the place where.
    """
    if len(text.encode(errors="replace")) > LONGEST:
        raise QueryError(f"a statement is at most {LONGEST:,} bytes long", next="ask for less in one statement")
    try:
        tokens = Asking().tokenize(text)
        _check_form(tokens)
        found = Asking().parser().parse(tokens, text)[0]
    except ParseError as error:
        raise _unread(error) from None
    except OF_PARSER:
        raise QueryError("the statement is not understood", next=FORM) from None
    except TokenError:
        raise QueryError("the statement ends within a text, a name or a comment", next="close it") from None
    except RecursionError:
        raise QueryError("the statement is nested too deeply", next="ask in a plainer way") from None
    if not isinstance(found, exp.Select):
        raise refused(found or exp.Select())
    return found


def refused(node: exp.Expr, what: str = "", *, why: str = "", next: str = "") -> QueryError:  # noqa: A002
    """The error for a part of a statement that is none of what can be asked."""
    return QueryError(f"{what or called(node)} cannot be asked{place(node)}", why=why, next=next or FORM)


def only(node: exp.Expr, *known: str) -> None:
    """Raises QueryError where a node says more than the parts of it that are `known`."""
    for name, value in node.args.items():
        if value and name not in known:
            first = value[0] if isinstance(value, list) else value
            raise refused(first if isinstance(first, exp.Expr) else node, PARTS.get(name, name.strip("_").upper()))


def place(node: exp.Expr) -> str:
    """Where the first name or value of a node stands: ` (line 1, column 8)`; empty where it has none."""
    known = [part.meta for part in node.walk() if "line" in part.meta]
    if not known:
        return ""
    first = min(known, key=lambda meta: int(meta["start"]))
    return f" (line {first['line']}, column {first['col'] - (first['end'] - first['start'])})"


def called(node: exp.Expr) -> str:
    """What people call a node: `CASE`, `READ_CSV()`, `a subquery`."""
    if isinstance(node, exp.Anonymous):
        return f"{node.name.upper()}()"
    return WORDS.get(type(node)) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def _check_form(tokens: Sequence[Token]) -> None:
    """Refuses what no statement is, before it is parsed."""
    if not tokens or tokens[0].token_type != T.SELECT:
        said = f"{tokens[0].text.upper()} cannot be asked (line 1, column 1)" if tokens else "there is no statement"
        raise QueryError(said, why="a statement begins with SELECT", next=FORM)
    depth, seen = 0, set[T]()
    for n, token in enumerate(tokens):
        kind, name = token.token_type, " ".join(token.text.upper().split())
        depth += (kind == T.L_PAREN) - (kind == T.R_PAREN)
        if depth > DEEPEST:
            raise QueryError(
                f"more than {DEEPEST} brackets within one another cannot be asked{_at(token)}", next="leave some out"
            )
        if kind == T.SEMICOLON and n + 1 < len(tokens):
            raise QueryError(f"a second statement cannot be asked{_at(tokens[n + 1])}", next="one statement at a time")
        symbol = kind not in (T.STRING, T.IDENTIFIER) and not re.match(r"[\w$@#]", name)
        if kind in NEVER or kind in seen or (symbol and kind not in SYMBOLS):
            what = "a subquery" if kind == T.SELECT else f"a second {name}" if kind in seen else name
            raise QueryError(f"{what} cannot be asked{_at(token)}", next=FORM)
        seen |= {kind} & ONCE


def _at(token: Token) -> str:
    return f" (line {token.line}, column {token.col - (token.end - token.start)})"


def _unread(error: ParseError) -> QueryError:
    first = error.errors[0]
    found, column = first["highlight"] or "", first["col"] - max(len(first["highlight"] or ""), 1) + 1
    return QueryError(
        f"this is not understood at {found!r} (line {first['line']}, column {column})",
        why=re.sub(r"<class '[\w.]*\.(\w+)'>", lambda m: m[1].upper(), first["description"]),
        next=FORM,
    )
