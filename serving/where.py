"""What rows must be: conditions on keys and on columns of dimensions, and on the measures of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving.values import typed
from dovetail.shared.errors import QueryError, unknown

Op = Literal["in", "not", "lt", "lte", "gt", "gte", "prefix"]
COMPARED: Mapping[str, str] = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
OPS = tuple(op for op in get_args(Op) if op != "in")
"""Those that are named in a question; equality has no name."""
MANY = 50
"""Values beyond which a statement has them as a list: each `?` takes the database 30 µs to make a plan of."""
Given = Mapping[str, Sequence[str | None]]
"""The values of one key as they came, by operator."""


@dataclass(frozen=True)
class Condition:
    """What `name` must be. Of `in` one of the values, of `not` none of them; None stands for null.

    What is null is neither above nor below anything, and begins with nothing; but it is not `FR`: `in` and `not` of the
    same values share out all rows.
    """

    name: str
    op: Op
    values: tuple[Any, ...]

    def sql(self, column: str) -> str:
        """SQL with a `?` for each of `bound`."""
        if self.op == "prefix":
            return f"starts_with({column}, ?)"
        if self.op in COMPARED:
            return f"{column} {COMPARED[self.op]} ?"
        within = f"{column} IN ({self._places})" if self.bound else "FALSE"
        if self.op == "in":
            return f"({within} OR {column} IS NULL)" if None in self.values else f"({within})"
        if None in self.values:
            return f"({column} IS NOT NULL AND NOT ({within}))"
        return f"({column} IS NULL OR NOT ({within}))"

    @property
    def bound(self) -> list[Any]:
        """What is bound: each value, or many of them as one list."""
        values = [value for value in self.values if value is not None]
        return [values] if self.op in ("in", "not") and len(values) > MANY else values

    @property
    def _places(self) -> str:
        return "SELECT unnest(?)" if isinstance(self.bound[0], list) else ", ".join("?" * len(self.bound))

    def holds(self, value: Any) -> bool:
        """Whether it holds for one value, as SQL has it."""
        if value is None:
            return None in self.values if self.op == "in" else self.op == "not" and None not in self.values
        (found,) = self.mask(pa.chunked_array([[value]])).to_pylist()
        return bool(found)

    def mask(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which rows of a column as held in memory it holds for; null never does."""
        if self.op == "prefix":
            return pc.starts_with(column, pattern=self.values[0])
        if self.op in COMPARED:
            return _COMPARE[self.op](column, pa.scalar(self.values[0], column.type))
        within = pc.is_in(column, value_set=pa.array(self.values, column.type))
        return within if self.op == "in" else pc.invert(within)


def read(name: str, given: Given, kind: pa.DataType, *, tz: str, of: str = "where") -> list[Condition]:
    """The conditions on one key or measure, each value of its type.

    Raises:
        QueryError: a value is not of that type, or the operator asks what it does not have.
    """
    if pa.types.is_nested(kind):
        raise QueryError(f"{of}.{name}: lists and structs cannot be compared", next=f"leave out {of}.{name}")
    found = []
    for op in sorted(given):
        values, label = given[op], f"{of}.{name}" + ("" if op == "in" else f".{op}")
        if op not in get_args(Op):
            raise QueryError(unknown(f"operator of {of}.{name}", op, OPS), next=f"{of}.{name}.gte=…")
        if not values:
            raise QueryError(f"{label} has no value", next="give one, or null")
        if op not in ("in", "not"):
            _check_one(label, op, values, kind)
        known = {None if v is None else typed(v, kind, key=label, tz=tz) for v in values}
        ordered = tuple(sorted(known, key=lambda v: (v is None, v if v is not None else 0)))
        found.append(Condition(name, cast(Op, op), ordered))
    return found


def split(name: str) -> tuple[str, str]:
    """A key and an operator from the name of a parameter: `price.gte` is of `price`.

    >>> split("price.gte"), split("price"), split("a.b")
    (('price', 'gte'), ('price', 'in'), ('a.b', 'in'))
    """
    key, dot, op = name.rpartition(".")
    return (key, op) if dot and op in OPS else (name, "in")


def _check_one(label: str, op: str, values: Sequence[str | None], kind: pa.DataType) -> None:
    if len(values) > 1 or values[0] is None:
        told = ", ".join("null" if v is None else f"'{v}'" for v in values)
        raise QueryError(
            f"{label} takes one value, not {told}", why="null is neither above nor below" if None in values else "",
            next=f"{label}=…",
        )  # fmt: skip
    if op == "prefix" and not pa.types.is_string(kind):
        raise QueryError(f"{label}: only a text has a prefix", next=f"{label.removesuffix(f'.{op}')}.gte=…")
    if pa.types.is_boolean(kind) or pa.types.is_binary(kind):
        raise QueryError(
            f"{label}: of two values of this type none is the larger", next=f"{label.removesuffix(f'.{op}')}=…"
        )


_COMPARE: Mapping[str, Callable[..., pa.ChunkedArray]] = {
    "lt": pc.less, "lte": pc.less_equal, "gt": pc.greater, "gte": pc.greater_equal,
}  # fmt: skip
