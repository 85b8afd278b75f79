"""When a request that failed is sent again: every one only reads, so all are safe to repeat."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeAlias

import httpx

Outcome: TypeAlias = httpx.Response | httpx.TransportError
REPEATED = (429, 503)
BROKEN = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
FIRST, LONGEST = 0.25, 8.0
"""Seconds to wait before the first retry and at most, where the server does not say; half of it is left to chance."""


@dataclass(frozen=True)
class Patience:
    """So many retries of one question, the last begun within so many seconds of its first attempt."""

    retries: int = 3
    seconds: float = 30.0
    now: Callable[[], float] = time.monotonic
    statuses: Container[int] = REPEATED
    """Those of responses after which it is tried again."""

    def attempts(self) -> Attempts:
        return Attempts(self)


class Attempts:
    """The attempts at one question."""

    def __init__(self, patience: Patience) -> None:
        self._patience, self._retries = patience, 0
        self._began = patience.now()

    def wait(self, outcome: Outcome, *, least: float = 0.0) -> float | None:
        """Seconds until the next attempt, `least` or more; None where the outcome stands."""
        if not self._repeatable(outcome) or self._retries >= self._patience.retries:
            return None
        seconds = max(least, _asked_for(outcome) or self._backoff())
        self._retries += 1
        late = self._patience.now() - self._began + seconds > self._patience.seconds
        return None if late else seconds

    def _backoff(self) -> float:
        longest = min(FIRST * 2.0**self._retries, LONGEST)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret

    def _repeatable(self, outcome: Outcome) -> bool:
        if isinstance(outcome, httpx.Response):
            return outcome.status_code in self._patience.statuses
        return isinstance(outcome, BROKEN)


def _asked_for(outcome: Outcome) -> float | None:
    """The seconds of Retry-After; a date counts from that of the response, for this machine's clock may be off."""
    text = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
    if text.isascii() and text.isdecimal():
        return float(text)
    then = _date(text)
    if then is None or isinstance(outcome, httpx.TransportError):
        return None
    sent = _date(outcome.headers.get("date", "")) or datetime.now(UTC)
    return max((then - sent).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
