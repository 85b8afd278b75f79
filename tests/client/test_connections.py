"""The client over real sockets that refuse, break and stay silent; and what its import costs."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import anyio
import pytest

import dovetail
from dovetail.client import Unreachable

VIEWS = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{"views": []}'
CUT = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.settimeout(20)
        yield found


def url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def serve(listener: socket.socket, *answers: bytes) -> threading.Thread:
    """Gives one answer to each connection, and closes it; an empty one resets it."""

    def run() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if not answer:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_connection_that_is_reset_or_cut_is_made_again(listener: socket.socket) -> None:
    server = serve(listener, b"", CUT, VIEWS)
    with dovetail.connect(url(listener)) as client:
        assert client.views() == []
    server.join()


def test_the_same_asynchronously(listener: socket.socket) -> None:
    async def ask() -> None:
        async with dovetail.connect_async(url(listener)) as client:
            assert await client.views() == []

    server = serve(listener, b"", CUT, VIEWS)
    anyio.run(ask)
    server.join()


def test_a_port_that_nobody_listens_on_is_named(listener: socket.socket) -> None:
    where = url(listener)
    listener.close()
    with dovetail.connect(where, retries=1) as client, pytest.raises(Unreachable, match=where) as raised:
        client.views()
    assert "refused" in raised.value.why
    assert "dovetail serve" in raised.value.next


@pytest.mark.parametrize(
    ("code", "loaded"),
    [("import dovetail", "set()"), ("import dovetail; dovetail.connect('http://there')", "{'httpx', 'pyarrow'}")],
)
def test_the_client_is_loaded_when_it_is_used_and_brings_no_engine_along(code: str, loaded: str) -> None:
    heavy = "{'httpx', 'pyarrow', 'pandas', 'polars', 'pyspark', 'delta', 'duckdb', 'fastapi'}"
    said = f"import sys; {code}; print({{*sorted({heavy} & {{*sys.modules}})}})"
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.strip()
    assert eval(found) == eval(loaded)
