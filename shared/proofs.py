"""What the last recount of a source found: told by `status`, and by `/metrics` to whoever is to be woken."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dovetail.shared import notes
from dovetail.shared.tables import Layout


@dataclass(frozen=True)
class Proved:
    """A recount up to `seq` of the share `sample` of the groups; `at` is in seconds since 1970."""

    seq: int
    at: float
    sample: float
    lost: int
    doubled: int
    holds: bool


def keep(layout: Layout, source: str, proved: Proved) -> None:
    notes.keep(layout.proof(source), asdict(proved))


def last(layout: Layout, source: str) -> Proved | None:
    """The last recount; None where there was none that this Dovetail can read."""
    return notes.last(layout.proof(source), Proved)
