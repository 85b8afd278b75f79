"""What the last diff of a view found: figures for those who look later, and nothing of any group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dovetail.shared import notes
from dovetail.shared.ledger import VersionId
from dovetail.shared.tables import Layout


@dataclass(frozen=True)
class LastDiff:
    """Two versions compared up to `seq`; `at` is in seconds since 1970, `within` the share that was let pass.

    `measures` tells of each how many groups differ, and the totals `before` and `after` as text, null for no number.
    """

    before: VersionId
    after: VersionId
    seq: int
    at: float
    within: float
    groups: int
    gone: int
    new: int
    measures: Mapping[str, Mapping[str, Any]]


def keep(layout: Layout, view: str, found: LastDiff) -> None:
    notes.keep(layout.last_diff(view), asdict(found))


def last(layout: Layout, view: str) -> LastDiff | None:
    """The last diff; None where there was none that this Dovetail can read."""
    return notes.last(layout.last_diff(view), LastDiff)
