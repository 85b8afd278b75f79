"""Reads the arguments of the factories, or says what is wrong with them and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dovetail.shared import ddl
from dovetail.shared.caller import Place
from dovetail.shared.errors import DeclarationError

T = TypeVar("T")


@dataclass(frozen=True)
class Given:
    """The arguments of one call of the factory `step`."""

    step: str
    where: Place

    def refuse(self, what: str, *, next: str = "") -> DeclarationError:  # noqa: A002
        return DeclarationError(f"{self.step}: {what}", where=str(self.where), next=next)

    def columns(self, given: str | Sequence[str]) -> tuple[str, ...]:
        """The names of one column or of several."""
        if not isinstance(given, str | Sequence):
            raise self.refuse(f"{given!r} is neither the name of a column nor a list of names")
        names = (given,) if isinstance(given, str) else tuple(given)
        if not names:
            raise self.refuse("no column is named")
        return self.once([self.column(name) for name in names])

    def column(self, given: object) -> str:
        """The name of a column."""
        if not isinstance(given, str) or not given.strip():
            raise self.refuse(f"{given!r} is not the name of a column")
        return given

    def new_column(self, given: object) -> str:
        """The name of a column that is made."""
        if self.column(given).startswith("_"):
            raise self.refuse(f"column '{given}': names that begin with _ are Dovetail's own")
        return str(given)

    def once(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names, where no two are the same to Spark, which does not regard case."""
        seen: dict[str, str] = {}
        for name in names:
            if name.lower() in seen:
                raise self.refuse(f"column '{name}' is named twice")
            seen[name.lower()] = name
        return tuple(seen.values())

    def pairs(self, given: Mapping[str, T], example: str) -> tuple[tuple[str, T], ...]:
        """A mapping by column, in its order."""
        if not isinstance(given, Mapping):
            raise self.refuse(f"{given!r} is no mapping: write {example}")
        if not given:
            raise self.refuse(f"nothing is given: write {example}")
        self.columns(list(given))
        return tuple(given.items())

    def type(self, given: object, *, subject: str) -> str:
        """A Spark type; in lower case, but for the names of fields."""
        if not isinstance(given, str):
            raise self.refuse(f"{subject}: {given!r} is no type: write it as text, as in 'decimal(10,2)'")
        kind = ddl.type_of(given, subject=f"{self.step}: {subject}", where=str(self.where))
        return kind if "<" in kind else kind.lower()

    def one_of(self, argument: str, given: Any, allowed: Sequence[T]) -> T:
        """One of the allowed values."""
        if given not in allowed:
            raise self.refuse(f"{argument}={given!r} is none of {', '.join([repr(a) for a in allowed])}")
        return next(a for a in allowed if a == given)
