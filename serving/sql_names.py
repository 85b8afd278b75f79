"""What the names in a statement stand for: columns, the time, and measures of the views that it calls by theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dovetail.serving.sql_text import called, only, place, refused
from dovetail.shared.errors import QueryError, unknown

UNITS = {
    "second": "1s", "minute": "1m", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo", "quarter": "1q",
    "year": "1y",
}  # fmt: skip
BUCKET = "bucket"
"""What the time is called in statements and in answers."""


@dataclass(frozen=True)
class Column:
    """A key or a column of a dimension; of one `side` of a join, or of no one in particular."""

    name: str
    side: str = ""


@dataclass(frozen=True)
class Measure:
    """A measure, or a part of one, of the view that the statement calls `side`."""

    name: str
    side: str


@dataclass(frozen=True)
class Time:
    """The time in buckets as a question writes them, the stored ones where empty, in a zone."""

    bucket: str = ""
    tz: str = "UTC"

    name, side = BUCKET, ""


Source = Column | Measure | Time


@dataclass(frozen=True)
class Names:
    """The names of a statement.

    Args:
        views: the views by what it calls them.
        using: the columns that it joins two by; empty where there is one.
        whole: the sides of which the join leaves no row without its own columns.
    """

    views: Mapping[str, str]
    using: Sequence[str]
    whole: Sequence[str]

    def source(self, node: exp.Expr) -> Source:
        """What a column or a call stands for; raises QueryError for what is neither."""
        node = node.unnest()
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            return self.of_row(node)
        if isinstance(node, exp.Anonymous) and node.name.upper() == "MEASURE":
            return self.of_answer(node)
        if isinstance(node, exp.Anonymous) and node.name.upper() in ("DATE_TRUNC", "TIME_BUCKET"):
            return self._time(node)
        if isinstance(node, exp.Binary | exp.Unary | exp.Anonymous | exp.Func):
            raise refused(
                node, why="measures are computed from records: what can be asked for is declared with the view",
                next="MEASURE(name); declare a measure for what is not there yet, such as dv.ratio",
            )  # fmt: skip
        raise refused(node)

    def of_row(self, node: exp.Expr) -> Column | Time:
        """The column that a condition in WHERE is on."""
        node = node.unnest()
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            raise refused(node, f"{called(node)} in WHERE", next="WHERE column = value; HAVING MEASURE(name) > value")
        side, name = self._split(node)
        if not self.using:
            return Time() if name == BUCKET else Column(name)
        if name == BUCKET and not side:
            return Time()
        if side and side not in self.whole:
            raise QueryError(
                f"{side}.{name}: rows that have none of {side} are in the answer too{place(node)}",
                next=f"JOIN without {'LEFT' if self.whole else 'FULL'}, or name no column of {side} but in MEASURE()",
            )
        if name not in self.using and (not side or name == BUCKET):
            raise QueryError(
                f"'{name}' is of which view?{place(node)}", next=" or ".join(f"{side}.{name}" for side in self.views)
            )
        return Column(name) if name in self.using else Column(name, side)

    def of_answer(self, node: exp.Expr) -> Measure:
        """The measure that a condition in HAVING is on."""
        node = node.unnest()
        if not isinstance(node, exp.Anonymous) or node.name.upper() != "MEASURE":
            raise refused(node, f"{called(node)} in HAVING", next="HAVING MEASURE(name) > value; columns go into WHERE")
        given = node.expressions[0].unnest() if len(node.expressions) == 1 else None
        if not isinstance(given, exp.Column) or isinstance(given.this, exp.Star):
            raise refused(node, "MEASURE() of this", next="MEASURE(name), or of a part of one: MEASURE(name.p95)")
        side, name = self._split(given)
        if self.using and not side:
            raise QueryError(
                f"MEASURE({name}) is of which view?{place(node)}",
                next=" or ".join(f"MEASURE({side}.{name})" for side in self.views),
            )
        return Measure(name, side)

    def _split(self, node: exp.Column) -> tuple[str, str]:
        """The side that a column is said to be of, the only one where there is one, and the rest of its name."""
        only(node, "this", "table", "db", "catalog")
        parts = [part.name for part in node.parts]
        side = parts.pop(0) if len(parts) > 1 and parts[0] in self.views else ""
        return side or ("" if self.using else next(iter(self.views))), ".".join(parts)

    def _time(self, node: exp.Anonymous) -> Time:
        name, given = node.name.upper(), node.expressions
        texts = [
            str(part.this) for part in (*given[:1], *given[2:]) if isinstance(part, exp.Literal) and part.is_string
        ]
        form = "DATE_TRUNC('day', bucket, 'Europe/Paris') or TIME_BUCKET('6h', bucket, 'Europe/Paris')"
        on_time = len(given) in (2, 3) and isinstance(given[1], exp.Column) and self.of_row(given[1]) == Time()
        if not on_time or len(texts) < len(given) - 1:
            raise refused(node, f"{name}() of this", next=form)
        width, *zone = texts
        if name == "DATE_TRUNC":
            if width.lower() not in UNITS:
                raise QueryError(unknown("unit", width, UNITS), next=form)
            width = UNITS[width.lower()]
        return Time(width, *zone)
