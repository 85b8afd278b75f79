"""How a column is seen that a source calls sensitive: `dv.mask.hash()`."""

from __future__ import annotations

from collections.abc import Mapping

from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.grants import Mask
from dovetail.shared.rule_arguments import FLOATING, WHOLE, base_type

__all__ = ["bucket", "hash", "last", "null"]


def hash() -> Mask:  # noqa: A001  its name is what users write
    """A keyed hash, equal for equal values, so that groups stay apart and can be counted.

    >>> str(hash())
    'hash'
    """
    return Mask("hash")


def last(n: int) -> Mask:
    """The last `n` characters of a longer text.

    Raises:
        UsageError: n is not 1 or more.
    """
    return Mask.parse(f"last({n})")


def null() -> Mask:
    """Nothing.

    >>> str(null())
    'null'
    """
    return Mask("null")


def bucket(n: int) -> Mask:
    """A whole or decimal number, down to a multiple of `n`.

    Raises:
        UsageError: n is not 1 or more.
    """
    return Mask.parse(f"bucket({n})")


def checked(given: Mapping[str, Mask], columns: Mapping[str, str], where: str) -> dict[str, Mask]:
    """The masks of columns, each of a type that can be masked so; raises DeclarationError for another."""
    for column, mask in given.items():
        if column not in columns:
            raise DeclarationError(f"sensitive: {unknown('column', column, columns)}", where=where)
        if not isinstance(mask, Mask) or mask.kind == "clear":
            raise DeclarationError(
                f"sensitive: {mask!r} is no mask of {column}",
                where=where,
                next="dv.mask.hash(), last(4), null() or bucket(10)",
            )
        kind = base_type(columns[column])
        fits = {
            "last": kind == "string",
            "bucket": kind in WHOLE or kind == "decimal",
            "hash": kind not in FLOATING,
        }
        if not fits.get(mask.kind, True):
            raise DeclarationError(
                f"sensitive: column {column} is of type {columns[column]}, not for {mask}", where=where
            )
    return dict(given)
