"""How a column is seen that a source calls sensitive: `dv.mask.hash()`."""

from __future__ import annotations

from dovetail.shared.grants import Mask

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
