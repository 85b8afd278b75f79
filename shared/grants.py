"""What may be seen: grants of views with their rows, columns and the least size of a group, and who holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

from dovetail.shared.errors import UsageError, unknown

Role = Literal["read", "share", "operate", "promote", "admin"]
"""read asks views; share makes links that show an answer to others; operate sees metrics and standing; promote changes
what answers; admin gives grants and keys."""
MaskKind = Literal["hash", "last", "null", "bucket", "clear"]
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
EVERY = "*"
_MASK = re.compile(r"(hash|null|clear)|(last|bucket)\(([1-9][0-9]{0,8})\)")


@dataclass(frozen=True)
class Mask:
    """The form in which a column is seen, before anything else is done with it.

    `hash`: a keyed hash, equal for equal values. `last(n)`: the last n characters of a longer text. `null`: nothing.
    `bucket(n)`: a whole or decimal number, down to a multiple of n. `clear`: as it is, also where the source calls the
    column sensitive.

    >>> str(Mask.parse("last(4)"))
    'last(4)'
    """

    kind: MaskKind
    n: int = 0

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Raises UsageError for what is no mask."""
        found = _MASK.fullmatch(text)
        if found is None:
            raise UsageError(f"'{text}' is no mask", next="hash, null, last(4), bucket(10) or clear")
        return cls(cast(MaskKind, found[1] or found[2]), int(found[3] or 0))

    def __str__(self) -> str:
        return f"{self.kind}({self.n})" if self.n else self.kind


@dataclass(frozen=True)
class Grant:
    """What its holders may do, with which views, and what of them they see.

    `rows` are conditions on keys and columns of dimensions, as `where` of a question's JSON has them; `columns` maps a
    key, a column of a dimension or a measure to its mask. With a `floor`, the records of a stored group (all keys as
    they are seen, and the stored bucket) are in no answer where they are fewer.
    """

    name: str
    roles: tuple[Role, ...] = ("read",)
    views: tuple[str, ...] = ()
    rows: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    floor: int = 0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(f"'{self.name}' is no name of a grant", next="small letters, digits, - and _")
        for role in self.roles:
            if role not in get_args(Role):
                raise UsageError(unknown("role", role, get_args(Role)))
        for mask in self.columns.values():
            Mask.parse(mask)
        if self.floor < 0:
            raise UsageError("a floor is a number of records")

    @property
    def whole(self) -> bool:
        """Whether all of its views is seen as it is."""
        return not (self.rows or self.columns or self.floor)

    def of(self, view: str) -> bool:
        """Whether it is of a view."""
        return EVERY in self.views or view in self.views

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Grant:
        return cls(**{**given, "roles": tuple(given["roles"]), "views": tuple(given["views"])})


ALL = Grant("all", roles=get_args(Role), views=(EVERY,))
"""What everybody on this machine may do where no key is asked for."""


@dataclass(frozen=True)
class Principal:
    """Who asks: a key's or a token's name, and the grants it holds, in the order in which they count; `key` is the id
    of its key, where it has one."""

    name: str
    grants: tuple[Grant, ...]
    key: str = ""

    def may(self, role: Role) -> bool:
        return any(role in grant.roles for grant in self.grants)

    def grant(self, view: str) -> Grant | None:
        """The first of its grants that lets it ask this view; None where none does."""
        return next((g for g in self.grants if "read" in g.roles and g.of(view)), None)

    def operates(self, view: str) -> bool:
        """Whether it sees what is kept from those who only ask this view."""
        return any("operate" in grant.roles and grant.of(view) for grant in self.grants)

    def shares(self, view: str) -> Grant | None:
        """The grant by which it may let others see a view; None where it may not."""
        grant = self.grant(view)
        return grant if self.key and grant and "share" in grant.roles else None


ANYBODY = Principal("anybody", (ALL,))


def ordered(names: Sequence[str], grants: Mapping[str, Grant]) -> tuple[Grant, ...]:
    """The grants of these names that there are."""
    return tuple(grants[name] for name in names if name in grants)
