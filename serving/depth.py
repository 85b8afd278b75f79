"""What lies above a view's cut and how old that is, as far as the ledger tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.shared.ledger import LedgerRow, VersionId


@dataclass(frozen=True)
class Depth:
    """The commits above the cut, and the state rows that they hold for the version.

    `cut_at` is when the cut's own ledger row was appended, in seconds since 1970: a run holds nothing that is newer.
    `newest` are the commits that came in with this edition: seq, and the largest Kafka timestamp in milliseconds.
    """

    cut_at: float = 0.0
    commits: int = 0
    state_rows: int = 0
    newest: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, version: VersionId, rows: Sequence[LedgerRow]) -> Depth:
        """That of the ledger from the cut's own row on."""
        return cls(rows[0].at).deeper(version, rows[1:])

    def deeper(self, version: VersionId, rows: Sequence[LedgerRow]) -> Depth:
        """The same with the rows that follow."""
        commits = [row for row in rows if row.kind == "commit"]
        return Depth(
            self.cut_at,
            self.commits + len(commits),
            self.state_rows + sum(row.versions.get(version, 0) for row in commits),
            tuple((row.seq, row.newest) for row in commits if row.newest is not None),
        )
