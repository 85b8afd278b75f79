"""What of a view the one who asks may see, as it goes into a plan: rows, masks of columns, the least group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from dovetail.serving.fields import from_object
from dovetail.serving.shape import Shape, quoted, sql_type
from dovetail.serving.where import Condition, read
from dovetail.shared.errors import QueryError, UsageError
from dovetail.shared.grants import Grant, Mask

STARS = "***"
"""What stands for the hidden characters of a text of which the last are seen."""
HASHED = 16
"""Characters of a hash: 64 bits."""


@dataclass(frozen=True)
class Seen:
    """Only rows that `only` holds for, on what is stored; columns in the form of their masks; no group of fewer records
    than `floor`. `salt` keys the hashes; it shows in nothing but the digest."""

    only: tuple[Condition, ...] = ()
    masks: Mapping[str, Mask] = field(default_factory=dict)
    floor: int = 0
    salt: str = ""

    @property
    def whole(self) -> bool:
        return not (self.only or self.masks or self.floor)

    @cached_property
    def digest(self) -> str:
        """Equal where the same is seen."""
        masks = sorted((name, str(mask)) for name, mask in self.masks.items())
        return blake2b(repr((self.only, masks, self.floor, self.salt)).encode(), digest_size=16).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Seen({self.digest})"

    def plain(self, key: Mapping[str, Any]) -> bool:
        """Whether what is seen of a group of keys is all of it as it is stored."""
        return not (self.masks or self.floor) and all(c.name in key and c.holds(key[c.name]) for c in self.only)

    def type(self, shape: Shape, name: str) -> pa.DataType:
        """The type of a key or attribute as it is seen."""
        mask, kind = self.masks.get(name), shape.grouping_type(name)
        return pa.string() if mask is not None and mask.kind == "hash" else kind

    def hides(self, measure: str) -> bool:
        """Whether a measure, or that which a part is of, is shown as null."""
        return measure.partition(".")[0] in self.masks

    def column(self, shape: Shape, name: str, column: str) -> tuple[str, list[Any]]:
        """SQL of a column as it is seen, and the values that are bound in it."""
        mask, kind = self.masks.get(name), shape.grouping_type(name)
        if mask is None:
            return column, []
        match mask.kind:
            case "null":
                return f"CAST(NULL AS {sql_type(kind)})", []
            case "hash":
                hashed = f"left(sha256(concat(?, CAST({column} AS VARCHAR))), {HASHED})"
                return f"CASE WHEN {column} IS NOT NULL THEN {hashed} END", [self.salt]
            case "last":
                tail = f"CASE WHEN length({column}) > {mask.n} THEN right({column}, {mask.n}) ELSE '' END"
                return f"CASE WHEN {column} IS NOT NULL THEN concat('{STARS}', {tail}) END", []
            case "bucket":
                n = f"CAST({mask.n} AS {sql_type(kind)})"
                return f"CAST({column} - ((({column} % {n}) + {n}) % {n}) AS {sql_type(kind)})", []
            case "clear":
                return column, []


ALL = Seen()


def seen_by(grant: Grant, shape: Shape, salt: str, sensitive: Mapping[str, str] = {}) -> Seen:
    """What a grant lets be seen of a view, whose sensitive keys are masked where the grant says nothing of them.

    Raises:
        QueryError: the grant names what the view has not, or masks what cannot be masked so. Nothing is shown then.
    """
    columns = {**{key: mask for key, mask in sensitive.items() if key in shape.keys}, **grant.columns}
    if grant.whole and not columns:
        return ALL
    try:
        only = _only(shape, grant.rows)
        masks = {
            name: mask
            for given, text in columns.items()
            for name, mask in _masks(shape, given, text).items()
            if mask.kind != "clear"
        }
    except UsageError as error:
        raise QueryError(
            f"what you may see of {shape.view} cannot be told", why="your grant does not fit it",
            next=f"ask who gave the grant {grant.name}",
        ) from error  # fmt: skip
    return Seen(only, masks, grant.floor, salt if any(m.kind == "hash" for m in masks.values()) else "")


def _only(shape: Shape, rows: Mapping[str, Any]) -> tuple[Condition, ...]:
    given = from_object({"where": dict(rows)}).where
    for name in given:
        if name not in shape.keys and shape.attribute(name) is None:
            raise UsageError(f"{shape.view} has no key {name}")
    return tuple(c for name in given for c in read(name, given[name], shape.grouping_type(name), tz="UTC"))


def _masks(shape: Shape, given: str, text: str) -> dict[str, Mask]:
    """A mask under every name that its column may be asked for by."""
    mask = Mask.parse(text)
    if given in shape.measures:
        if mask.kind not in ("null", "clear"):
            raise UsageError(f"{given} is a measure: only null hides one")
        return {given: mask}
    if given in shape.keys:
        names = [given]
    elif found := shape.attribute(given):
        names = [
            n
            for n, a in shape.attributes.items()
            if (a.dimension.name, a.column) == (found.dimension.name, found.column)
        ]
    else:
        raise UsageError(f"{shape.view} has no column {given}")
    kind = shape.grouping_type(given)
    if mask.kind == "last" and not pa.types.is_string(kind):
        raise UsageError(f"{given} is no text: last(n) is of texts")
    if mask.kind == "bucket" and not (pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise UsageError(f"{given} is no whole or decimal number: bucket(n) is of these")
    if mask.kind == "hash" and pa.types.is_floating(kind):
        raise UsageError(f"{given} is a floating number, which has no one way to be written")
    return dict.fromkeys(names, mask)


def unmasked(name: str) -> str:
    """What a stored key is called where its mask has taken its name."""
    return quoted(f"_of {name}")
