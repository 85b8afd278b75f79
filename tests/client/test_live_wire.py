"""A stream over a real connection, with signs of life, that the server ends now and then. The server is a double."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import islice

import anyio
import orjson
import pyarrow as pa
import pytest
import uvicorn
from client_double import ARROW, RECEIPT, stream
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import dovetail

TYPES = stream(pa.table({"revenue": pa.array([], pa.decimal128(38, 2))}))


async def live(request: Request) -> EventSourceResponse:
    """Two answers a connection, from the one after Last-Event-ID on, with some silence between them."""
    last = int(request.headers.get("last-event-id", "0"))

    async def sent() -> AsyncIterator[dict[str, object]]:
        for n in (last + 1, last + 2):
            await anyio.sleep(0.15)
            document = {"rows": [{"revenue": f"{n}.50"}], "receipt": RECEIPT | {"id": str(n), "seq": n}}
            yield {"id": str(n), "data": orjson.dumps(document).decode(), "retry": 10}

    return EventSourceResponse(sent(), ping=0.05)  # type: ignore[arg-type]


async def query(request: Request) -> Response:
    return Response(TYPES, media_type=ARROW)


@pytest.fixture
def url() -> Iterator[str]:
    routes = [
        Route("/v1/views/sales/live", live),
        Route("/v1/views/sales/query", query, methods=["POST"]),
    ]  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_answers_come_once_each_in_order_over_many_connections(url: str) -> None:
    with dovetail.connect(url) as client:
        found = list(islice(client.live("sales"), 5))
    assert [str(a.rows[0]["revenue"]) for a in found] == ["1.50", "2.50", "3.50", "4.50", "5.50"]
    assert [a.receipt.seq for a in found] == [1, 2, 3, 4, 5]


def test_the_same_asynchronously(url: str) -> None:
    async def ask() -> list[int | None]:
        seqs: list[int | None] = []
        async with dovetail.connect_async(url) as client, aclosing(client.live("sales")) as answers:
            async for answer in answers:
                seqs.append(answer.receipt.seq)
                if len(seqs) == 5:
                    break
        return seqs

    assert anyio.run(ask) == [1, 2, 3, 4, 5]
