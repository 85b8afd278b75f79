"""What a measure is: states that are prepared from rows and merged, and how they are presented.

    rows ──prepare──▶ state ──merge──▶ state ──present──▶ answer
           (Spark)            (Spark, DuckDB, Python)   (Arrow)

Merging is associative and commutative, the empty state (null, or 0 for a count) is neutral, and preparing any split of
the rows and merging equals preparing them whole. `check_laws` in tests/shared holds every measure to that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:  # a declaration needs no Arrow, and `dovetail check` is to be quick
    import pyarrow as pa


class StateKind(Protocol):
    """One way of folding rows into a mergeable value. Expressions are SQL, so serving needs no Spark to know them."""

    @property
    def name(self) -> str: ...

    def prepare(self, expr: str, where: str | None) -> str:
        """A Spark SQL aggregate over rows."""

    def merge(self, column: str) -> str:
        """A SQL aggregate over states, the same for Spark and DuckDB, before the cast to the state's own type."""

    def merge_values(self, values: Sequence[Any]) -> Any:
        """The same merge over Python values; None is the empty state."""


@dataclass(frozen=True)
class State:
    """A stored column: a kind, the row expression it folds and the rows it takes.

    Two measures that need the same state share the column, whose name depends on nothing else.
    """

    kind: StateKind
    expr: str = ""
    where: str | None = None

    @property
    def column(self) -> str:
        key = hashlib.sha256(f"{self.kind.name}|{self.expr}|{self.where or ''}".encode()).hexdigest()[:8]
        return f"{self.kind.name}_{key}"

    @property
    def prepared(self) -> str:
        return self.kind.prepare(self.expr, self.where)

    def as_json(self) -> dict[str, str | None]:
        return {"kind": self.kind.name, "expr": self.expr, "where": self.where}


Present: TypeAlias = "Callable[..., pa.Array]"


@dataclass(frozen=True)
class Measure:
    """An aggregate a view declares: one or more states and how they become an answer.

    `present` takes one Arrow array per state (equal lengths) and gives one of the same length; None presents the only
    state as it is. `name` is how the measure is declared (`avg`), from which serving finds `present` again.
    """

    name: str
    states: tuple[State, ...]
    present: Present | None = None
    result: Callable[..., pa.DataType] | None = None

    def result_type(self, *state_types: pa.DataType) -> pa.DataType:
        """The Arrow type of the answer, given those of the states."""
        return self.result(*state_types) if self.result else state_types[0]

    def as_json(self) -> dict[str, Any]:
        return {"measure": self.name, "states": [s.as_json() for s in self.states]}
