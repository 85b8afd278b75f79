"""Small facts for people and monitors, a file each, replaced in one step: nothing that an answer depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from dovetail.shared.places import put

T = TypeVar("T")


def keep(path: Path, fields: Mapping[str, Any]) -> None:
    """Puts the note in the place of the one that is there; a reader sees one of the two, whole."""
    put(path, json.dumps(fields).encode())


def read(path: Path) -> dict[str, Any] | None:
    """What was kept last; None where nothing was, or what is there is no note."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def last(path: Path, kind: type[T]) -> T | None:
    """What was kept last of a dataclass; None where there is nothing that this Dovetail can read."""
    found = read(path) or {}
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: found[name] for name in names}) if {*names} <= found.keys() else None
