"""What an SQL statement asks, checked as far as it can be without knowing its views: nothing of its text is run.

One SELECT, from one view, or from two that are joined by the columns that both are grouped by:

    SELECT country, DATE_TRUNC('day', bucket) AS day, MEASURE(revenue) AS revenue, MEASURE(basket.p95)
    FROM sales
    WHERE country IN ('FR', 'DE') AND bucket >= '2026-03-01' AND bucket < '2026-04-01'
    GROUP BY country, DATE_TRUNC('day', bucket)
    HAVING MEASURE(lines) > 100
    ORDER BY revenue DESC LIMIT 10

`bucket` is the time. The zone that DATE_TRUNC may name is that of all times in the statement, as the zone of a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlglot import exp

from dovetail.serving.query import MOST
from dovetail.serving.sql_names import BUCKET, Column, Measure, Names, Source, Time
from dovetail.serving.sql_text import called, only, place, refused, tree
from dovetail.serving.sql_where import Test, conjunction
from dovetail.shared.errors import QueryError

Kind = Literal["inner", "left", "full"]
KINDS: Mapping[tuple[str, str], Kind] = {
    ("", ""): "inner", ("", "INNER"): "inner", ("LEFT", ""): "left", ("LEFT", "OUTER"): "left",
    ("FULL", ""): "full", ("FULL", "OUTER"): "full",
}  # fmt: skip
REMEMBERED = 1_000


@dataclass(frozen=True)
class Statement:
    """A checked statement.

    `views` are the one or two, by what it calls them. `shown` says what each column of the answer is, by its name, in
    order; it is empty where `*` is asked for, which can only be refused well once the columns are known. `order` is
    source and whether descending. `borrowed` are names in GROUP BY that are given in SELECT: they are meant only where
    no column is called so.
    """

    views: tuple[tuple[str, str], ...]
    kind: Kind
    using: tuple[str, ...]
    shown: tuple[tuple[str, Source], ...]
    grouped: tuple[Column | Time, ...]
    where: tuple[Test, ...]
    having: tuple[Test, ...]
    order: tuple[tuple[Source, bool], ...]
    limit: int
    offset: int
    borrowed: tuple[str, ...]

    @property
    def time(self) -> Time | None:
        """The time that it is grouped by."""
        return next((source for source in self.grouped if isinstance(source, Time)), None)

    def measures(self, side: str) -> tuple[str, ...]:
        """Those of one view that are shown, or that leave out or order rows."""
        sources = [*(s for _, s in self.shown), *(t.of for t in self.having), *(s for s, _ in self.order)]
        return tuple(dict.fromkeys(s.name for s in sources if isinstance(s, Measure) and s.side == side))


@lru_cache(maxsize=REMEMBERED)
def statement(text: str) -> Statement:
    """The statement that `text` is.

    Raises:
        QueryError: it asks what cannot be asked: what, at which line and column, and what can be.
    """
    select = tree(text)
    only(select, "expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset")
    views, kind, using = _views(select, text)
    whole = {"inner": [*views], "left": [*views][:1], "full": []}[kind]
    names = Names(views, using, whole)
    star = any(isinstance(part, exp.Star) for node in select.expressions for part in (node, node.this))
    shown = () if star else _shown(names, select)
    grouped, borrowed = _grouped(names, select, dict(shown))
    if not star:
        _check_grouped(select, shown, grouped)
    if using and {source.name for source in grouped} != {*using}:
        raise QueryError(
            "two views are joined by the columns that both are grouped by", next=f"GROUP BY {', '.join(using)}"
        )
    limit, offset = _limit(select)
    return Statement(
        views=tuple(views.items()),
        kind=kind,
        using=using,
        shown=shown,
        grouped=grouped,
        where=conjunction(select.args.get("where"), names.of_row),
        having=conjunction(select.args.get("having"), names.of_answer),
        order=() if star else _order(names, select, shown, grouped),
        limit=limit,
        offset=offset,
        borrowed=borrowed,
    )


def _views(select: exp.Select, text: str) -> tuple[dict[str, str], Kind, tuple[str, ...]]:
    source, joins = select.args.get("from_"), select.args.get("joins") or []
    if source is None:
        raise QueryError("a statement is from a view", next="SELECT … FROM view")
    views = dict([_view(source.this, text)])
    if not joins:
        return views, "inner", ()
    join = joins[0]
    only(join, "this", "side", "kind", "using")
    kind, using = KINDS.get((join.side, join.kind)), tuple(column.name for column in join.args.get("using") or [])
    if len(joins) > 1 or kind is None or not using:
        raise refused(
            joins[-1], f"{' '.join(filter(None, (join.side, join.kind)))} JOIN of this".strip(),
            next="one JOIN, LEFT JOIN or FULL JOIN view USING (columns)",
        )  # fmt: skip
    name, view = _view(join.this, text)
    if name in views:
        raise QueryError(f"two are called {name}", next=f"FROM {view} AS a JOIN {view} AS b USING (…)")
    return {**views, name: view}, kind, using


def _view(node: exp.Expr, text: str) -> tuple[str, str]:
    """What a view is called, and its name."""
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        inner = node.this if isinstance(node, exp.Table) else node
        raise refused(inner, f"{called(inner)} as a table", next="FROM view; GET /v1/views lists them")
    only(node, "this", "alias")
    if text.startswith("'", node.this.meta.get("start", len(text))):
        raise refused(node, f"the text '{node.name}' as a table", next="FROM view; GET /v1/views lists them")
    if alias := node.args.get("alias"):
        only(alias, "this")
    return node.alias_or_name, node.name


def _shown(names: Names, select: exp.Select) -> tuple[tuple[str, Source], ...]:
    found: dict[str, Source] = {}
    for node in select.expressions:
        inner = node.this if isinstance(node, exp.Alias) else node
        source = names.source(inner)
        of_side = f"{source.side}." if isinstance(source, Measure) and names.using else ""
        name = node.alias or of_side + source.name
        if name in found:
            raise QueryError(f"two columns are called '{name}'{place(node)}", next=f'… AS "{name} 2"')
        found[name] = source
    return tuple(found.items())


def _grouped(
    names: Names, select: exp.Select, shown: Mapping[str, Source]
) -> tuple[tuple[Column | Time, ...], tuple[str, ...]]:
    """The columns of GROUP BY, and the names in it that were taken for those given in SELECT."""
    group = select.args.get("group")
    if group is None:
        return (), ()
    only(group, "expressions")
    found, borrowed = list[Column | Time](), list[str]()
    for node in group.expressions:
        name = _plain(node)
        given = shown.get(name) if name != BUCKET else None
        source = given or _position(node, shown) or names.source(node)
        if isinstance(source, Measure) or (isinstance(source, Column) and source.side):
            raise refused(node, f"GROUP BY {source.name}", next="GROUP BY columns of the view, or DATE_TRUNC(…)")
        if given and source.name != name:
            borrowed.append(name)
        found.append(source)
    if len({source for source in found if isinstance(source, Time)}) > 1:
        raise QueryError("two times cannot be grouped by at once", next="one DATE_TRUNC or TIME_BUCKET")
    return tuple(dict.fromkeys(found)), tuple(borrowed)


def _check_grouped(select: exp.Select, shown: Sequence[tuple[str, Source]], grouped: Sequence[Column | Time]) -> None:
    for node, (name, source) in zip(select.expressions, shown, strict=True):
        if isinstance(source, Measure) or source in grouped:
            continue
        if isinstance(source, Time):
            raise QueryError(
                f"'{name}' is not the time that is grouped by{place(node)}",
                next="DATE_TRUNC or TIME_BUCKET, written alike in SELECT and GROUP BY",
            )
        raise QueryError(
            f"'{source.name}' is not in GROUP BY{place(node)}",
            next=f"GROUP BY {source.name}; MEASURE({source.name}) if it is a measure",
        )


def _order(
    names: Names, select: exp.Select, shown: Sequence[tuple[str, Source]], grouped: Sequence[Column | Time]
) -> tuple[tuple[Source, bool], ...]:
    order, columns = select.args.get("order"), dict(shown)
    found: dict[Source, bool] = {}
    for node in order.expressions if order else ():
        only(node, "this", "desc", "nulls_first")
        if node.args.get("nulls_first"):
            raise refused(node, "NULLS FIRST", next="leave it out: nulls come last")
        source = columns.get(_plain(node.this)) or _position(node.this, columns) or names.source(node.this)
        if not isinstance(source, Measure) and source not in grouped:
            raise QueryError(f"'{source.name}' is not in GROUP BY{place(node)}", next="ORDER BY what is in the answer")
        found.setdefault(source, bool(node.args.get("desc")))
    return tuple(found.items())


def _limit(select: exp.Select) -> tuple[int, int]:
    """The most rows, and how many are left out before them."""
    given = [select.args.get(name) for name in ("limit", "offset")]
    for node in given:
        if node is not None and not isinstance(node, exp.Limit | exp.Offset):
            raise refused(node, next="LIMIT n OFFSET n")
        if node is not None:
            only(node, "expression")
    limit, offset = (_number(node.expression) if node else None for node in given)
    if limit == 0 or (limit or 1) + (offset or 0) > MOST:
        raise QueryError(
            f"rows 1 to {MOST:,} can be asked for with LIMIT and OFFSET", next="leave out rows in WHERE or HAVING"
        )
    return limit or MOST, offset or 0


def _position(node: exp.Expr, shown: Mapping[str, Source]) -> Source | None:
    """The column of SELECT that a number in GROUP BY or ORDER BY stands for; None for what is no number."""
    if not isinstance(node, exp.Literal):
        return None
    n = _number(node)
    if not 1 <= n <= len(shown):
        raise QueryError(f"there is no column {n} in SELECT{place(node)}", next=f"1 to {len(shown)}, or its name")
    return [*shown.values()][n - 1]


def _number(node: exp.Expr) -> int:
    if not isinstance(node, exp.Literal) or node.is_string or not node.this.isdecimal() or len(node.this) > 9:
        raise refused(node, f"{called(node)} here", next="a whole number")
    return int(node.this)


def _plain(node: exp.Expr) -> str:
    """The name that a node is nothing but; empty for anything else."""
    return node.name if isinstance(node, exp.Column) and len(node.parts) == 1 else ""
