"""The same client for code that awaits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import anyio
import httpx
from httpx_sse import aconnect_sse

from dovetail.client import calls
from dovetail.client.answer import Answer
from dovetail.client.calls import Call
from dovetail.client.live import Feed, ended
from dovetail.client.patience import Outcome, Patience
from dovetail.client.question import Length, Question, Value
from dovetail.client.receipt import Receipt
from dovetail.client.server import Server

T = TypeVar("T")


def connect_async(
    url: str, key: str | None = None, *,
    retries: int = 3, patience: float = 30.0, transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncClient:  # fmt: skip
    """As `connect`: nothing is sent before the first question, so nothing is to be awaited here."""
    return AsyncClient(Server(url, key), Patience(retries, patience), transport)


class AsyncClient:
    """As `Client`, whose methods say more."""

    def __init__(self, server: Server, patience: Patience, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._server, self._patience = server, patience
        self._http = httpx.AsyncClient(transport=transport, **server.options)

    async def query(self, view: str, **asked: Unpack[Question]) -> Answer:
        return await self._result(calls.query(view, asked))

    async def pages(self, view: str, **asked: Unpack[Question]) -> AsyncGenerator[Answer, None]:
        while True:
            answer = await self.query(view, **asked)
            yield answer
            if answer.receipt.next is None:
                return
            asked["cursor"] = answer.receipt.next

    async def lookup(self, view: str, keys: Iterable[Mapping[str, Value]], **asked: Unpack[Question]) -> Answer:
        return await self._result(calls.lookup(view, keys, asked))

    async def sql(self, statement: str) -> Answer:
        return await self._result(calls.sql(statement))

    async def live(self, view: str, *, every: Length = None, **asked: Unpack[Question]) -> AsyncGenerator[Answer, None]:
        """As `Client.live`; leave it early within `contextlib.aclosing`, as every asynchronous generator."""
        feed = Feed(view, asked, every, self._patience, self._server.url)
        while True:
            broken: Outcome = ended()
            try:
                async with aconnect_sse(self._http, "GET", feed.path, **feed.options) as source:
                    if source.response.status_code == 204:
                        return
                    if feed.opened(source.response):
                        async with aclosing(source.aiter_sse()) as events:
                            async for event in events:
                                if news := feed.news(event):
                                    answer = feed.typed(news)
                                    if answer is None:
                                        answer = feed.learnt(await self.query(view, **asked), news)
                                    yield answer
                    else:
                        await source.response.aread()
                        broken = source.response
            except httpx.TransportError as error:
                broken = error
            await anyio.sleep(feed.wait(broken))

    async def views(self) -> list[dict[str, Any]]:
        return await self._result(calls.views())

    async def view(self, name: str) -> dict[str, Any]:
        return await self._result(calls.view(name))

    async def receipt(self, name: str) -> Receipt:
        return await self._result(calls.receipt(name))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._server.url}>"

    async def _result(self, call: Call[T]) -> T:
        attempts = self._patience.attempts()
        while True:
            outcome = await self._sent(call)
            wait = attempts.wait(outcome)
            if wait is None:
                return call.result(outcome, self._server.url)
            await anyio.sleep(wait)

    async def _sent(self, call: Call[T]) -> Outcome:
        try:
            return await self._http.send(call.request(self._http))
        except httpx.TransportError as error:
            return error
