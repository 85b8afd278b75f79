"""The client for code that waits."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx
from httpx_sse import connect_sse

from dovetail.client import calls
from dovetail.client.answer import Answer
from dovetail.client.calls import Call
from dovetail.client.live import Feed, ended
from dovetail.client.patience import Outcome, Patience
from dovetail.client.question import Length, Question, Value
from dovetail.client.receipt import Receipt
from dovetail.client.server import Server

T = TypeVar("T")


def connect(
    url: str, key: str | None = None, *,
    retries: int = 3, patience: float = 30.0, transport: httpx.BaseTransport | None = None,
) -> Client:  # fmt: skip
    """A client of the server at `url`; nothing is sent before the first question.

    What fails because the server is not there, is busy or has no answer yet is asked again up to `retries` times, after
    the time that the server says or ever longer ones, as long as that begins within `patience` seconds.

    Args:
        transport: what sends the requests, for a certificate, a proxy or a test of your own.

    Raises:
        ClientError: `url` is no http address, or the key cannot be sent.
    """
    return Client(Server(url, key), Patience(retries, patience), transport)


class Client:
    """Asks one server, from any thread. Every method raises ClientError, or the kind of it that says more."""

    def __init__(self, server: Server, patience: Patience, transport: httpx.BaseTransport | None = None) -> None:
        self._server, self._patience = server, patience
        self._http = httpx.Client(transport=transport, **server.options)

    def query(self, view: str, **asked: Unpack[Question]) -> Answer:
        """Asks a view. The fields are those of `Question`."""
        return self._result(calls.query(view, asked))

    def pages(self, view: str, **asked: Unpack[Question]) -> Generator[Answer, None, None]:
        """The whole of an answer, `limit` rows at a time: pages of one answer, whatever comes meanwhile."""
        while True:
            answer = self.query(view, **asked)
            yield answer
            if answer.receipt.next is None:
                return
            asked["cursor"] = answer.receipt.next

    def lookup(self, view: str, keys: Iterable[Mapping[str, Value]], **asked: Unpack[Question]) -> Answer:
        """Asks for many keys at once: one row for each, in the order given."""
        return self._result(calls.lookup(view, keys, asked))

    def sql(self, statement: str) -> Answer:
        """Asks in SQL."""
        return self._result(calls.sql(statement))

    def live(self, view: str, *, every: Length = None, **asked: Unpack[Question]) -> Generator[Answer, None, None]:
        """The answer to a question now, and the newest whenever its rows change, no more often than `every`, or 100 ms.
        Ends when the server says so, or `close()`d.

        A connection that breaks is made anew; what came meanwhile is in the next answer. Raises Unreachable once that
        has failed as often as a question may.
        """
        feed = Feed(view, asked, every, self._patience, self._server.url)
        while True:
            broken: Outcome = ended()
            try:
                with connect_sse(self._http, "GET", feed.path, **feed.options) as source:
                    if source.response.status_code == 204:
                        return
                    if feed.opened(source.response):
                        for event in source.iter_sse():
                            if news := feed.news(event):
                                answer = feed.typed(news)
                                yield feed.learnt(self.query(view, **asked), news) if answer is None else answer
                    else:
                        source.response.read()
                        broken = source.response
            except httpx.TransportError as error:
                broken = error
            time.sleep(feed.wait(broken))

    def views(self) -> list[dict[str, Any]]:
        """The views that answer."""
        return self._result(calls.views())

    def view(self, name: str) -> dict[str, Any]:
        """Keys, measures and standing of a view."""
        return self._result(calls.view(name))

    def receipt(self, name: str) -> Receipt:
        """The receipt of that id."""
        return self._result(calls.receipt(name))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._server.url}>"

    def _result(self, call: Call[T]) -> T:
        attempts = self._patience.attempts()
        while True:
            outcome = self._sent(call)
            wait = attempts.wait(outcome)
            if wait is None:
                return call.result(outcome, self._server.url)
            time.sleep(wait)

    def _sent(self, call: Call[T]) -> Outcome:
        try:
            return self._http.send(call.request(self._http))
        except httpx.TransportError as error:
            return error
