"""The shape of what is fed: its columns and their types, held against what it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

Shape: TypeAlias = Mapping[str, Collection[str]]
"""Column to the types it was seen with; to none where that cannot be told."""

OPTIONAL = "nothing"
"""A type of a field that some JSON object lacks: it may be gone from all of the next ones."""
_KINDS: Mapping[type, str] = {str: "text", bool: "truth value", list: "list", dict: "object"}


def of_documents(documents: Iterable[Mapping[str, Any]]) -> Shape:
    """The fields of some JSON objects.

    >>> of_documents([{"a": 1, "b": None}, {"a": "x"}])
    {'a': ['number', 'text'], 'b': ['nothing']}
    """
    found, seen, total = dict[str, set[str]](), Counter[str](), 0
    for document in documents:
        total += 1
        seen.update(document.keys())
        for name, value in document.items():
            kinds = found.setdefault(name, set())
            if value is not None:
                kinds.add(_KINDS.get(type(value), "number"))
    return {name: sorted(kinds | ({OPTIONAL} if seen[name] < total else set())) for name, kinds in found.items()}


def changes(known: Shape, now: Shape) -> list[str]:
    """What `now` lacks of the columns that are known, or has of other types; a column more changes nothing.

    >>> changes({"a": ["text"], "b": ["number"]}, {"b": ["text"], "c": ["text"]})
    ['column a is gone', 'column b is text: it was number']
    """
    gone = [f"column {name} is gone" for name, types in known.items() if name not in now and OPTIONAL not in types]
    other = []
    for name, types in known.items():
        was, is_ = ({*kinds} - {OPTIONAL} for kinds in (types, now.get(name, ())))
        if was and is_ and not was & is_:
            other.append(f"column {name} is {' or '.join(sorted(is_))}: it was {' or '.join(sorted(was))}")
    return gone + other


def joined(known: Shape, now: Shape, columns: Collection[str]) -> dict[str, list[str]]:
    """What is known after `now`, of the source's columns: what it ignores may change."""
    names = [name for name in {**known, **now} if name in columns]
    return {name: sorted({*known.get(name, ()), *now.get(name, ())}) for name in names}
