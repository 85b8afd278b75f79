"""What transforms of the library have in common when rows come."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dovetail.shared.errors import UserCodeError, engine_message, unknown
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.sql import KINDS, identifier

if TYPE_CHECKING:  # a declaration is also read where there is no Spark
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType, StructField


class RowStep(Step):
    """A step that finds columns and puts others in their place."""

    def __call__(self, rows: DataFrame) -> DataFrame:
        from pyspark.errors import PySparkException

        self.check_whole()
        try:
            return self.applied(rows)
        except PySparkException as error:
            raise self.refusal(engine_message(error, rows.columns)) from error

    @abstractmethod
    def applied(self, rows: DataFrame) -> DataFrame:
        """What becomes of `rows`; the engine's own errors are told in this project's words."""

    def found(self, rows: DataFrame, names: Iterable[str], *, kinds: Iterable[str] = ()) -> list[StructField]:
        """The columns of these names, found as Spark does, without regard to case.

        Args:
            kinds: of which they must be, as `kind_of` has them; any where it is empty.

        Raises:
            UserCodeError: one is not there, or of another kind.
        """
        there = {f.name.lower(): f for f in rows.schema.fields}
        fields = []
        for name in names:
            if name.lower() not in there:
                raise self.refusal(unknown("column", name, [f.name for f in there.values()]))
            fields.append(there[name.lower()])
        for f in fields:
            if kinds and kind_of(f.dataType) not in kinds:
                raise self.refusal(f"column '{f.name}' is {f.dataType.simpleString()}: it takes {' or '.join(kinds)}")
        return fields

    def replaced(self, rows: DataFrame, made: Mapping[str, str]) -> DataFrame:
        """The rows with columns made by these SQL expressions: in place of those they replace, new ones at the end."""
        by_name = {name.lower(): (name, sql) for name, sql in made.items()}
        kept = [by_name.pop(name.lower(), (name, identifier(name))) for name in rows.columns]
        return self.selected(rows, [*kept, *by_name.values()])

    def selected(self, rows: DataFrame, columns: Iterable[tuple[str, str]]) -> DataFrame:
        """The rows with these columns only: name and SQL expression, in order."""
        listed = list(columns)
        self.check_distinct([name for name, _ in listed])
        # The bracket is on a line of its own, so that a comment at the end of an expression does not swallow it.
        return rows.selectExpr(*[sql if sql == identifier(n) else f"({sql}\n) AS {identifier(n)}" for n, sql in listed])

    def check_distinct(self, names: Iterable[str]) -> None:
        """Raises UserCodeError where two columns would have one name."""
        seen: set[str] = set()
        for name in names:
            if name.lower() in seen:
                raise self.refusal(f"two columns would be called '{name}'")
            seen.add(name.lower())

    def refusal(self, what: str) -> UserCodeError:
        return UserCodeError(f"{self.name}: {what}", where=str(self.where))


def kind_of(found: DataType) -> str:
    """The kind of a column: `text`, `number`, … as in `sql.KINDS`; empty for any other."""
    return KINDS.get(found.typeName(), "")
