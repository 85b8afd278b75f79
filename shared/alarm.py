"""Too much in quarantine: looks back over the newest commits, and stops the one that goes on with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dovetail.shared.commit import Folded
from dovetail.shared.declare import Source
from dovetail.shared.errors import RuleBroken
from dovetail.shared.ledger import LedgerStore
from dovetail.shared.position import Range, RecordId

LEAST = 1_000
"""Records below which no share of them is told."""
MOST = 20
"""Commits that are looked back over, at most."""


@dataclass(frozen=True)
class Recent:
    """The newest commits: as few as hold LEAST records, MOST at most."""

    commits: int
    consumed: int
    quarantined: int

    def above(self, limit: float) -> bool:
        """Whether a larger share than `limit` went to quarantine; not where they hold fewer than LEAST records."""
        return self.consumed >= LEAST and self.quarantined > limit * self.consumed

    def __str__(self) -> str:
        return (
            f"{self.quarantined:,} of {self.consumed:,} records ({self.quarantined / self.consumed:.1%})"
            f" of the last {f'{self.commits} commits' if self.commits > 1 else 'commit'}"
        )


def recent(newest_first: Iterable[tuple[int, int]]) -> Recent:
    """Sums up (consumed, quarantined) of commits, the newest first, as far as they are needed."""
    commits = consumed = quarantined = 0
    for n, bad in newest_first:
        if consumed >= LEAST or commits == MOST:
            break
        commits, consumed, quarantined = commits + 1, consumed + n, quarantined + bad
    return Recent(commits, consumed, quarantined)


class Alarm:
    """Stops commits of one source when more than the share `limit` goes to quarantine."""

    def __init__(self, source: Source, ledger: LedgerStore, limit: float) -> None:
        self._source, self._ledger, self._limit = source, ledger, limit
        self._before: list[tuple[int, int]] = []
        self._seq: int | None = None

    def check(self, folded: Folded, span: Range) -> None:
        """Raises RuleBroken where `folded`, which is to follow the ledger's end, adds to what is too much already."""
        if not folded.books.quarantined:
            return
        self._look_back()
        now = (folded.books.consumed, folded.books.quarantined)
        found = recent([now, *reversed(self._before)])
        if not found.above(self._limit):
            return
        (reason, n), *_ = Counter(folded.quarantined["reason"].to_pylist()).most_common(1)
        first = min(
            (p, o)
            for p, o, r in zip(
                *(folded.quarantined[c].to_pylist() for c in ("partition", "offset", "reason")), strict=True
            )
            if r == reason
        )
        raise RuleBroken(
            f"{self._source.name}: {found} go to quarantine, more than {100 * self._limit:.4g}%",
            where="speed.stop_if_quarantined in dovetail.toml",
            why=f"of {span}, which is not committed, {n:,} for the reason '{reason}', the first {RecordId(*first)}",
            next=f"dovetail quarantine list {self._source.name}",
        )

    def _look_back(self) -> None:
        """Brings `_before`, the newest commits in order, up to the ledger's end."""
        last = self._ledger.last()
        if last is None or last.seq == self._seq:
            return
        after = last.seq - 4 * MOST if self._seq is None else self._seq
        rows = [r for r in self._ledger.rows(after=max(after, -1)) if r.kind == "commit"]
        self._before = [*self._before, *((r.books.consumed, r.books.quarantined) for r in rows)][-MOST:]
        self._seq = last.seq
