"""A server in memory that answers as it is told, and a clock that only sleeping moves."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx
import orjson
import pyarrow as pa
from anyio.from_thread import BlockingPortal

RECEIPT: dict[str, Any] = {
    "id": "s1.3.0011aabb", "view": "sales", "version": "sales@0123456789abcdef", "runs": ["origin", "run2"],
    "cut": {"0": 1, "1": 1}, "position": {"0": 1, "1": 2}, "seq": 3, "quarantined": 0, "failed": 0, "gaps": [],
    "complete": True, "approximate": [], "dimensions": {}, "behind": {"records": 4, "seconds": 0.4},
}  # fmt: skip
ARROW = "application/vnd.apache.arrow.stream"


class Double:
    """Gives the responses it was told, in order, raises those that are errors, and keeps the requests."""

    def __init__(self) -> None:
        self.responses: deque[httpx.Response | Exception] = deque()
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def tell(self, *responses: httpx.Response | Exception) -> None:
        self.responses.extend(responses)

    def bodies(self) -> list[Any]:
        return [orjson.loads(r.content) for r in self.requests if r.method == "POST"]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        found = self.responses.popleft()
        if isinstance(found, Exception):
            raise found
        return found


class Clock:
    """Says how long was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Awaited:
    """An asynchronous client as if it were the other."""

    def __init__(self, portal: BlockingPortal, client: Any) -> None:
        self._portal, self._client = portal, client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def ask(*given: Any, **asked: Any) -> Any:
            found = self._portal.start_task_soon(self._made, method, given, asked).result()
            return self._iterated(found) if inspect.isasyncgen(found) else found

        return ask

    @staticmethod
    async def _made(method: Callable[..., Any], given: Sequence[Any], asked: dict[str, Any]) -> Any:
        found = method(*given, **asked)
        return await found if inspect.isawaitable(found) else found

    def _iterated(self, generator: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._portal.call(generator.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(generator.aclose)


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Server-sent events, and after what happens meanwhile the end, or an error."""

    def __init__(self, events: Sequence[str], error: Exception | None, meanwhile: Callable[[], object]) -> None:
        self._events, self._error, self._meanwhile = events, error, meanwhile

    def __iter__(self) -> Iterator[bytes]:
        for event in self._events:
            yield event.encode()
        self._meanwhile()
        if self._error:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def answer(rows: pa.Table | None = None, **receipt: Any) -> httpx.Response:
    """An answer as the server sends it in Arrow."""
    return httpx.Response(200, content=stream(rows, **receipt), headers={"content-type": ARROW})


def stream(rows: pa.Table | None = None, **receipt: Any) -> bytes:
    table = pa.table({"lines": [1]}) if rows is None else rows
    sink, said = pa.BufferOutputStream(), orjson.dumps(RECEIPT | receipt)
    with pa.ipc.new_stream(sink, table.schema.with_metadata({"dovetail.receipt": said})) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def problem(kind: str, status: int, **headers: str) -> httpx.Response:
    body = {"type": f"urn:dovetail:{kind}", "title": "No", "status": status, "detail": f"it is {kind}", "next": "do so"}
    return httpx.Response(
        status, content=orjson.dumps(body), headers={"content-type": "application/problem+json", **headers}
    )


def events(
    *sent: str, error: Exception | None = None, meanwhile: Callable[[], object] = lambda: None
) -> httpx.Response:
    stream = Stream(sent, error, meanwhile)
    return httpx.Response(200, stream=stream, headers={"content-type": "text/event-stream"})


def event(rows: Sequence[dict[str, Any]], **receipt: Any) -> str:
    """An answer as the server sends it when it changes."""
    told = RECEIPT | receipt
    return f"id: {told['id']}\ndata: {orjson.dumps({'rows': rows, 'receipt': told}).decode()}\n\n"
