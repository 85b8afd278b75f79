"""Structs to columns, and arrays to rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dovetail.shared.caller import place
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep, kind_of
from dovetail.shared.transforms.sql import identifier

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField, StructType


def flatten(columns: str | Sequence[str] | None = None, *, separator: str = "_") -> Step:
    """Nested structs to columns: `address.city` becomes `address_city`, in the place of its struct.

    Structs inside structs too; arrays and maps stay as they are. The fields of a null struct are null. Two columns of
    one name are refused.

    Args:
        columns: which ones; all structs where not given.
        separator: stands between the names.

    Example:
        >>> orders = spark.createDataFrame(
        ...     [(7, ("Nantes", ("FR",)))], "id int, address struct<city string, country struct<code string>>"
        ... )
        >>> orders.transform(dv.transforms.flatten()).show()
        +---+------------+--------------------+
        | id|address_city|address_country_code|
        +---+------------+--------------------+
        |  7|      Nantes|                  FR|
        +---+------------+--------------------+
    """
    given = Given("flatten", place())
    if not isinstance(separator, str) or not separator:
        raise given.refuse(f"separator={separator!r} is no text that could stand between names")
    named = None if columns is None else given.columns(columns)
    return Flatten(columns=named, separator=separator, where=given.where)


@dataclass(frozen=True, kw_only=True)
class Flatten(RowStep):
    name: ClassVar[str] = "flatten"
    columns: tuple[str, ...] | None
    separator: str

    def applied(self, rows: DataFrame) -> DataFrame:
        every = rows.schema.fields
        structs = [f for f in every if kind_of(f.dataType) == "struct"]
        chosen = structs if self.columns is None else self.found(rows, self.columns, kinds=["struct"])
        flat = [path for f in every for path in (_leaves(f) if f in chosen else [(f.name,)])]
        return self.selected(rows, [(self.separator.join(path), identifier(*path)) for path in flat])


def explode_items(column: str, *, keep_empty: bool = False, prefix: str = "") -> Step:
    """An array to rows: one for each item, with all other columns repeated.

    Items that are structs give a column for each field, in the place of the array; other items keep its name. A null
    item is a row with nulls. Two columns of one name are refused.

    Args:
        column: the array.
        keep_empty: whether an empty or null array gives one row, with nulls, or none.
        prefix: is put before the names of the fields.

    Example:
        >>> orders = spark.createDataFrame(
        ...     [(7, [("S18", 2), ("S24", 1)]), (8, [])], "id int, items array<struct<product string, quantity int>>"
        ... )
        >>> orders.transform(dv.transforms.explode_items("items", keep_empty=True)).show()
        +---+-------+--------+
        | id|product|quantity|
        +---+-------+--------+
        |  7|    S18|       2|
        |  7|    S24|       1|
        |  8|   NULL|    NULL|
        +---+-------+--------+
    """
    given = Given("explode_items", place())
    if not isinstance(prefix, str):
        raise given.refuse(f"prefix={prefix!r} is no text")
    keep = given.one_of("keep_empty", keep_empty, (False, True))
    return ExplodeItems(column=given.column(column), keep_empty=keep, prefix=prefix, where=given.where)


@dataclass(frozen=True, kw_only=True)
class ExplodeItems(RowStep):
    name: ClassVar[str] = "explode_items"
    column: str
    keep_empty: bool
    prefix: str

    def applied(self, rows: DataFrame) -> DataFrame:
        [array] = self.found(rows, [self.column], kinds=["array"])
        item = array.dataType.elementType  # type: ignore[attr-defined]  # an array, as `found` saw
        nested = kind_of(item) == "struct"
        made = [f"{self.prefix}{field}" for field in item.names] if nested else [array.name]
        others = {column: identifier(column) for column in rows.columns if column != array.name}
        self.check_distinct([*others, *made])
        exploded = f"{'inline' if nested else 'explode'}{'_outer' if self.keep_empty else ''}({identifier(array.name)})"
        others[array.name] = f"{exploded} AS ({', '.join([identifier(m) for m in made])})"
        return rows.selectExpr(*[others[column] for column in rows.columns])


def _leaves(column: StructField, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths to what is no struct."""
    path = (*above, column.name)
    if kind_of(column.dataType) != "struct":
        yield path
        return
    struct: StructType = column.dataType  # type: ignore[assignment]
    for inner in struct.fields:
        yield from _leaves(inner, path)
