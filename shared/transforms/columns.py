"""Columns under other names, of other types, and worked out from others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dovetail.shared import rowwise
from dovetail.shared.caller import place
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep
from dovetail.shared.transforms.sql import identifier

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def rename(columns: Mapping[str, str]) -> Step:
    """Gives columns other names; their order and all else stays.

    All are renamed at once, so two may swap their names. Two columns of one name are refused.

    Args:
        columns: old name to new name.

    Example:
        >>> orders = spark.createDataFrame([(7, "Ada")], "orderNumber int, who string")
        >>> orders.transform(dv.transforms.rename({"orderNumber": "order_number", "who": "customer"})).show()
        +------------+--------+
        |order_number|customer|
        +------------+--------+
        |           7|     Ada|
        +------------+--------+
    """
    given = Given("rename", place())
    pairs = given.pairs(columns, "{'old': 'new'}")
    given.once([given.new_column(new) for _, new in pairs])
    return Rename(columns=tuple(sorted(pairs)), where=given.where)


@dataclass(frozen=True, kw_only=True)
class Rename(RowStep):
    name: ClassVar[str] = "rename"
    columns: tuple[tuple[str, str], ...]

    def applied(self, rows: DataFrame) -> DataFrame:
        olds = [f.name for f in self.found(rows, [old for old, _ in self.columns])]
        new = dict(zip(olds, [new for _, new in self.columns], strict=True))
        names = [new.get(column, column) for column in rows.columns]
        self.check_distinct(names)
        return rows.toDF(*names)


def cast(types: Mapping[str, str], *, strict: bool = False) -> Step:
    """Gives columns other types; a value that does not fit becomes null, or raises.

    What fits is what Spark's `try_cast` says: blanks around a number are left out, `'1.5'` is no int, a number out of
    range does not fit, decimals are rounded half up, a time without a zone is in UTC. Null stays null.

    Args:
        types: column to Spark type, as in `"decimal(10,2)"`.
        strict: raise at the first value that does not fit. One such record then makes the whole transform fail.

    Example:
        >>> lines = spark.createDataFrame([("12", "9.999"), ("1.5", "")], "quantity string, price string")
        >>> lines.transform(dv.transforms.cast({"quantity": "int", "price": "decimal(10,2)"})).show()
        +--------+-----+
        |quantity|price|
        +--------+-----+
        |      12|10.00|
        |    NULL| NULL|
        +--------+-----+
    """
    given = Given("cast", place())
    pairs = given.pairs(types, "{'price': 'decimal(10,2)'}")
    kinds = [(column, given.type(kind, subject=column)) for column, kind in pairs]
    return Cast(types=tuple(sorted(kinds)), strict=given.one_of("strict", strict, (False, True)), where=given.where)


@dataclass(frozen=True, kw_only=True)
class Cast(RowStep):
    name: ClassVar[str] = "cast"
    types: tuple[tuple[str, str], ...]
    strict: bool

    def applied(self, rows: DataFrame) -> DataFrame:
        function = "cast" if self.strict else "try_cast"
        fields = self.found(rows, [column for column, _ in self.types])
        pairs = zip(fields, self.types, strict=True)
        return self.replaced(rows, {f.name: f"{function}({identifier(f.name)} AS {kind})" for f, (_, kind) in pairs})


def derive(columns: Mapping[str, str]) -> Step:
    """Makes columns by Spark SQL expressions, or replaces them.

    In the order given: an expression sees what those before it made. `dovetail check` reads the SQL and refuses what
    cannot be worked out row by row, such as `sum(…)`, `rand()` and `current_timestamp`.

    Args:
        columns: name to expression.

    Example:
        >>> lines = spark.createDataFrame([(3, 2.5), (4, None)], "quantity int, price double")
        >>> amounts = dv.transforms.derive({"amount": "quantity * price", "large": "amount > 5"})
        >>> lines.transform(amounts).show()
        +--------+-----+------+-----+
        |quantity|price|amount|large|
        +--------+-----+------+-----+
        |       3|  2.5|   7.5| true|
        |       4| NULL|  NULL| NULL|
        +--------+-----+------+-----+
    """
    given = Given("derive", place())
    pairs = given.pairs(columns, "{'amount': 'quantity * price'}")
    for column, expression in pairs:
        given.new_column(column)
        if not isinstance(expression, str) or not expression.strip():
            raise given.refuse(f"{column}: {expression!r} is no SQL expression")
    return Derive(columns=pairs, where=given.where)


@dataclass(frozen=True, kw_only=True)
class Derive(RowStep):
    name: ClassVar[str] = "derive"
    columns: tuple[tuple[str, str], ...]

    def applied(self, rows: DataFrame) -> DataFrame:
        for together in self._stages():
            rows = self.replaced(rows, together)
        return rows

    def flaws(self, project: Path) -> Iterator[str]:
        yield from super().flaws(project)
        for _, expression in self.columns:
            for what, reason in rowwise.sql_reasons(expression):
                yield f"{what} in {expression!r}: {reason}"

    def _stages(self) -> list[dict[str, str]]:
        """The expressions, those together that name none of each other's columns: fewer steps for the engine."""
        stages: list[dict[str, str]] = [{}]
        for column, expression in self.columns:
            if any(re.search(rf"(?<!\w){re.escape(made)}(?!\w)", expression, re.I) for made in stages[-1]):
                stages.append({})
            stages[-1][column] = expression
        return stages
