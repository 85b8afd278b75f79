"""The user's file and line, for what a declaration has to say."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Place:
    """A line of a file, from 1; said as `views.py:12`."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}"


def place() -> Place:
    """The first frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return Place(Path(frame.f_code.co_filename), frame.f_lineno)


def caller() -> str:
    """The same as text: `views.py:12`."""
    return str(place())
