"""What a measure is: states that are prepared from rows and merged, and how they are presented.

    rows ──prepare──▶ state ──merge──▶ state ──present──▶ answer
           (Spark)            (Spark, DuckDB, Python)   (Arrow)

Merging is associative and commutative, the empty state (null, or 0 for a count) is neutral, and preparing any split of
the rows and merging equals preparing them whole. `dovetail.testing.check_measure` holds every measure to that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dovetail.shared.caller import caller
from dovetail.shared.errors import DeclarationError

if TYPE_CHECKING:  # a declaration needs no Arrow, and `dovetail check` is to be quick
    import pyarrow as pa

EVENT_TIME = "event_time()"
"""Stands in a state's `by` for the source's event time until a view is declared."""


@dataclass(frozen=True)
class StateKind:
    """One way of folding rows into a mergeable value. Expressions are SQL, so serving needs no Spark to know them.

    Its fields are its parameters. Attributes of the class:
        name: in column names and bundles.
        numeric: whether it takes numbers only.
        placed: whether it needs each row's position in the log.
    """

    name: ClassVar[str]
    placed: ClassVar[bool] = False
    numeric: ClassVar[bool] = False

    def prepare(self, state: State) -> str:
        """A Spark SQL aggregate over rows."""
        raise NotImplementedError

    def merge(self, column: str) -> str:
        """A DuckDB aggregate over states."""
        raise NotImplementedError

    def merge_in_order(self, column: str) -> str:
        """The same for states that are not `exact`: equal to the last digit for the same states."""
        return self.merge(column)

    def exact(self, stored: pa.DataType) -> bool:
        """Whether the order of merging, states stored as that type, never shows in an answer's last digit."""
        return True

    def merge_in_spark(self, column: str) -> str:
        """A Spark SQL aggregate over states."""
        return self.merge(column)

    def agree(self, one: str, other: str) -> str:
        """A Spark SQL condition: two merges of the same rows, as near to one another as the kind promises."""
        return f"{one} <=> {other}"

    def merge_values(self, values: Sequence[Any]) -> Any:
        """The same merge over Python values; None is the empty state."""
        raise NotImplementedError

    def netted(self, state: State) -> tuple[State, ...]:
        """The sums and counts that tell its state where rows take others back; none where such cannot."""
        return ()

    def net(self, given: Sequence[pa.Array], taken: Sequence[pa.Array]) -> pa.Array:
        """Its state of the rows that are left, from those of `netted` over rows given and rows taken back."""
        raise NotImplementedError


class GatheredKind(StateKind):
    """A kind whose merge SQL cannot say: DuckDB gathers the states of each group, and `collected` merges them."""

    def merge(self, column: str) -> str:
        return f"list({column}) FILTER (WHERE {column} IS NOT NULL)"

    def collected(self, lists: pa.ListArray) -> pa.Array:
        """The merge of each list of states that `merge` gathered."""
        import pyarrow as pa

        return pa.array([self.merge_values(states or ()) for states in lists.to_pylist()], lists.type.value_type)


@dataclass(frozen=True)
class State:
    """A stored column: a kind, the row expression it folds, the rows it takes, and for some what orders them.

    Two measures that need the same state share the column, whose name depends on nothing else.
    """

    kind: StateKind
    expr: str = ""
    where: str | None = None
    by: str = ""

    @cached_property
    def column(self) -> str:
        parts = [self.kind.name, self.expr, self.where or ""]
        parts += [self.by] if self.by else []
        parts += [json.dumps(asdict(self.kind), sort_keys=True)] if asdict(self.kind) else []
        return f"{self.kind.name}_{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:8]}"

    @property
    def prepared(self) -> str:
        return self.kind.prepare(self)

    @property
    def taken(self) -> str:
        """`expr` for the rows that `where` takes, null for the others."""
        return f"CASE WHEN {self.where} THEN {self.expr} END" if self.where else self.expr

    @property
    def known(self) -> str:
        """A SQL condition: `where` takes the row, and it has a value."""
        return " AND ".join([f"({self.expr}) IS NOT NULL", *([f"({self.where})"] if self.where else [])])

    @property
    def texts(self) -> tuple[str, ...]:
        """The SQL that the user wrote."""
        return tuple(t for t in (self.expr, self.where, self.by) if t)

    def as_json(self) -> dict[str, Any]:
        stored: dict[str, Any] = {"kind": self.kind.name, "expr": self.expr, "where": self.where}
        stored |= {"by": self.by} if self.by else {}
        return stored | ({"with": asdict(self.kind)} if asdict(self.kind) else {})


@dataclass(frozen=True)
class Presenter:
    """How merged states become an answer: as they are, unless a subclass says otherwise. Its fields are the options."""

    def present(self, *states: pa.Array) -> pa.Array:
        """One Arrow array per state, equally long and without the nulls that a neutral value stands for, to one."""
        return states[0]

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        """The Arrow type of the answer, given those of the states."""
        return types[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """What may be asked for behind the measure's name: `buyers.low`. Those of a whole family by one example."""
        return ()

    def part(self, name: str) -> Presenter | None:
        """How that part is presented, from the same states; None where there is none of that name."""
        return None

    @property
    def accuracy(self) -> str:
        """How far the answer may be off, and whose statement that is; nothing where it is exact."""
        return ""


@dataclass(frozen=True)
class Measure:
    """An aggregate a view declares: states, and how they are presented.

    `name` is how it is declared (`avg`), from which, with `options`, serving finds the presenter again. `inner` are the
    measures that one is composed of; `code` is the user's function that composes them. `sign` (Spark SQL) says which
    rows take others back; `inner` is then the measure without it.
    """

    name: str
    states: tuple[State, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    inner: tuple[tuple[str, Measure], ...] = ()
    code: Callable[..., Any] | None = field(default=None, compare=False)
    sign: str = ""

    @cached_property
    def presenter(self) -> Presenter:
        if self.sign:
            return PRESENTERS["signed"](measure=self)  # type: ignore[call-arg]
        made = PRESENTERS.get(self.name, Presenter)
        return made(**self.options, **({"measure": self} if self.inner else {}))

    def bound(self, event_time: str | None, *, where: str) -> Measure:
        """With the event time in place of `EVENT_TIME`; raises DeclarationError where there is none."""
        inner = tuple((name, m.bound(event_time, where=where)) for name, m in self.inner)
        if event_time is None and any(s.by == EVENT_TIME for s in self.states):
            raise DeclarationError(
                f"{self.name} goes by time, and the source has none", where=where, next="give the source event_time="
            )
        states = tuple(replace(s, by=f"`{event_time}`") if s.by == EVENT_TIME else s for s in self.states)
        return replace(self, states=states, inner=inner)

    @property
    def placed(self) -> bool:
        """Whether it needs each row's position in the log."""
        return any(s.kind.placed for s in self.states)

    @property
    def composed(self) -> bool:
        """Whether a user's function presents it or a part of it."""
        return self.name == "measure" or any(m.composed for _, m in self.inner)

    @property
    def signs(self) -> Iterator[str]:
        """What tells the signs of rows, in it and in what it is composed of."""
        if self.sign:
            yield self.sign
        for _, measure in self.inner:
            yield from measure.signs

    def coded(self) -> Iterator[Callable[..., Any]]:
        """The user's functions in it."""
        if self.code is not None:
            yield self.code
        for _, measure in self.inner:
            yield from measure.coded()

    def as_json(self) -> dict[str, Any]:
        stored: dict[str, Any] = {"measure": self.name, "states": [s.as_json() for s in self.states]}
        stored |= {"options": dict(self.options)} if self.options else {}
        stored |= {"sign": self.sign} if self.sign else {}
        return stored | ({"inner": {name: m.as_json() for name, m in self.inner}} if self.inner else {})


KINDS: dict[str, type[StateKind]] = {}
PRESENTERS: dict[str, type[Presenter]] = {}

K = TypeVar("K", bound=type[StateKind])
P = TypeVar("P", bound=type[Presenter])


def kind(name: str) -> Callable[[K], K]:
    """Makes a StateKind known under the name that bundles store."""

    def known(made: K) -> K:
        made.name = name
        KINDS[name] = made
        return made

    return known


def presents(*names: str) -> Callable[[P], P]:
    """Makes a Presenter that of the measures of these names."""

    def known(made: P) -> P:
        PRESENTERS.update(dict.fromkeys(names, made))
        return made

    return known


def refused(what: str, *, next: str = "") -> DeclarationError:  # noqa: A002
    """The error for what a measure was given, at the user's line."""
    return DeclarationError(what, where=caller(), next=next)


def measure_from_json(stored: Mapping[str, Any]) -> Measure:
    """The measure a bundle describes: the inverse of `Measure.as_json`, without the user's code."""
    return Measure(
        stored["measure"],
        tuple(_state(s) for s in stored["states"]),
        stored.get("options", {}),
        tuple((name, measure_from_json(m)) for name, m in stored.get("inner", {}).items()),
        sign=stored.get("sign", ""),
    )


def _state(stored: Mapping[str, Any]) -> State:
    made = KINDS[stored["kind"]](**stored.get("with", {}))
    return State(made, stored["expr"], stored["where"], stored.get("by", ""))


def near(one: str, other: str) -> str:
    """A Spark SQL condition: two doubles are equal within 1e-9 relative, which sums in another order are."""
    return f"({one} <=> {other} OR coalesce(abs({one} - {other}) <= 1e-9D * greatest(abs({one}), abs({other})), false))"


def sort_key(value: Any) -> Any:
    """Orders Python values as SQL does: NaN after every number, structs by their fields, null after all."""
    if value is None:
        return (2,)
    if isinstance(value, Mapping):
        return (0, *(sort_key(v) for v in value.values()))
    return (1,) if isinstance(value, float) and value != value else (0, value)
