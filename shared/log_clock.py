"""How long ago a commit is in the time of the log, told by the ledger alone.

No machine's clock is asked, and a few records that are far ahead, or far behind, move nothing: the log stands where the
middle one of the last commits' newest timestamps says.
"""

from __future__ import annotations

from collections import deque

from dovetail.shared.ledger import LedgerRow

LATELY = 16
"""Commits whose newest timestamps tell where the log stands."""
AHEAD_MS = 60 * 60 * 1000
"""How far ahead producers' clocks may come to be. Brokers refuse what is further ahead, where nothing else is set
(`message.timestamp.after.max.ms`)."""


class LogClock:
    """Reads the rows of a ledger in their order, and says which commits are remembered.

    A record that comes up to a horizon late must find what it repeats, and that may have been a horizon late, too: a
    commit is forgotten when the log has gone on by twice the horizon, and AHEAD_MS, since it surely held the commit.

    Attributes:
        since: the seq of the first commit that is remembered, by the commit that comes next.
    """

    def __init__(self, horizon: int) -> None:
        self.since, self._kept_ms = 0, 2 * horizon + AHEAD_MS
        self._lately, self._now = deque[int](maxlen=LATELY), 0
        self._stood = deque[tuple[int, int]]()
        """By seq of each commit that is remembered where the log stood with it."""

    def passed(self, row: LedgerRow) -> None:
        """Takes note that `row` is published."""
        if row.newest is None:
            return
        self._lately.append(row.newest)
        if len(self._lately) == LATELY:
            self._now = max(self._now, sorted(self._lately)[LATELY // 2 - 1])
        self._stood.append((row.seq, self._now))
        while len(self._stood) >= LATELY and self._stood[LATELY - 1][1] < self._now - self._kept_ms:
            self.since = self._stood.popleft()[0] + 1
