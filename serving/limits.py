"""How much one may send and ask for at a time: each limit has its setting, and who meets it is told its name."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from dovetail.serving.problems import Kind, Problem, TooMany, problem
from dovetail.shared.grants import Principal
from dovetail.shared.sections import LimitSettings

LONGEST_URL, LARGEST_HEADERS = 8 * 1024, 16 * 1024
"""Bytes of a path with its query, and of all headers."""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""That this process may use."""
REMEMBERED = 10_000
"""Askers of whom it is known how much they asked for lately."""


@dataclass
class _Account:
    """What one asker has left: requests that may be made at once, refilled as time goes by, and those under way."""

    left: float
    at: float
    turns: anyio.Semaphore
    under_way: int = 0


@dataclass
class Fair:
    """Lets each asker make so many requests a second, and have so many under way; for the event loop's thread."""

    settings: LimitSettings
    _accounts: OrderedDict[str, _Account] = field(default_factory=OrderedDict)

    @contextmanager
    def admitted(self, who: Principal) -> Iterator[None]:
        """Counts a request while the block runs.

        Raises:
            TooMany: there were too many; with the seconds after which the next one is let in.
        """
        account, rate = self._account(who.name), self.settings.requests_per_second
        if account.under_way >= self.settings.requests_at_once:
            raise TooMany(f"{account.under_way} requests of yours are under way: limits.requests_at_once", after=1)
        if account.left < 1:
            wait = (1 - account.left) / rate
            raise TooMany(f"more than {rate} requests a second: limits.requests_per_second", after=wait)
        account.left -= 1
        account.under_way += 1
        try:
            yield
        finally:
            account.under_way -= 1

    def turn(self, who: Principal) -> anyio.Semaphore:
        """Lets in so many looks of one asker at a time: so nobody has to wait for all that another asks for."""
        return self._account(who.name).turns

    def _account(self, name: str) -> _Account:
        now, rate = time.monotonic(), self.settings.requests_per_second
        found = self._accounts.pop(name, None) or _Account(
            2.0 * rate, now, anyio.Semaphore(self.settings.lookups_at_once)
        )
        found.left, found.at = min(2.0 * rate, found.left + (now - found.at) * rate), now
        self._accounts[name] = found
        if len(self._accounts) > REMEMBERED and not next(iter(self._accounts.values())).under_way:
            self._accounts.popitem(last=False)
        return found


@dataclass
class Lane:
    """Lets in few at a time, and one more for each that takes long; for the event loop's thread."""

    most: int
    longest: float
    """Seconds after which one that is still in it holds nobody up."""

    def __post_init__(self) -> None:
        self._places = anyio.Semaphore(self.most)

    @property
    def crowded(self) -> bool:
        """Whether more wait for a place than there are."""
        return self._places.statistics().tasks_waiting > self.most

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a place, and has it while the block runs, but for no longer than `longest`."""
        await self._places.acquire()
        left = ExitStack()  # closed a second time it does nothing
        left.callback(self._places.release)
        overdue = asyncio.get_running_loop().call_later(self.longest, left.close)
        try:
            yield
        finally:
            overdue.cancel()
            left.close()


class Bounded:
    """ASGI middleware that answers requests which are too long before anything of them is looked at."""

    def __init__(self, app: ASGIApp, on_problem: Callable[[Kind], None] = lambda _: None) -> None:
        self._app, self._on_problem = app, on_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = _too_long(scope) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
            return
        self._on_problem(refused.kind)
        await refused(scope, receive, send)


def _too_long(scope: Scope) -> Problem | None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_URL:
        return URL_TOO_LONG
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return HEADERS_TOO_LARGE if headers > LARGEST_HEADERS else None


URL_TOO_LONG = problem(
    "too-large", "More was sent than is read", 414, f"the path and its query are longer than {LONGEST_URL} bytes",
    "POST the question as JSON",
)  # fmt: skip
HEADERS_TOO_LARGE = problem(
    "too-large", "More was sent than is read", 431, f"the headers are larger than {LARGEST_HEADERS} bytes"
)
