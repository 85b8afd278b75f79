"""Who asked and has gone needs no answer: what is being looked up for them is ended, and what waits is not begun."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from dovetail.serving.problems import TooMuch

T = TypeVar("T")
GONE = "who asked has gone"


@dataclass
class Asker:
    """Whoever waits for an answer."""

    receive: Receive
    gone: bool = False

    async def leaves(self) -> None:
        """Returns when they have closed the connection. The request has been read before."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.gone = True


ASKER: ContextVar[Asker | None] = ContextVar("asker", default=None)
"""Of the request that is being answered; None where several wait for the same. Threads that look for it know it too."""


class Awaited:
    """ASGI middleware that makes known who waits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        before = ASKER.set(Asker(receive))
        try:
            await self._app(scope, receive, send)
        finally:
            ASKER.reset(before)


async def unless_gone(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives; it is cancelled when who waits for it goes.

    Raises:
        TooMuch: they have gone, so that nobody hears of it.
    """
    asker = ASKER.get()
    if asker is None:
        return await work()
    with anyio.CancelScope() as scope:  # a thread in it is waited for, which Deadlines interrupts
        watching = asyncio.create_task(asker.leaves())
        watching.add_done_callback(lambda done: None if done.cancelled() else scope.cancel())
        try:
            return await work()
        finally:
            watching.cancel()
    raise TooMuch(GONE)
