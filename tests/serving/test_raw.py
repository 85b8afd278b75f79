"""Requests that no client library would send: bodies without end, two requests in one, forms and ranges."""

from __future__ import annotations

import ast
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import requires
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from serving_stand import Client, Stand, ViewSpec, event, serve
from starlette.routing import BaseRoute, Route

from dovetail.serving.app import create_app
from dovetail.serving.routes import LARGEST_BODY, Direct
from dovetail.shared.settings import Settings

QUERY = "/v1/views/sales/query"
CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
TAKEN = 16 << 20
"""Bytes that a connection and the server may hold on their way, far below what is offered."""


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("raw")
    stand = Stand(folder / "data")
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    with serve(folder, stand) as client:
        client.rows("sales")
        yield client


@contextmanager
def connected(sales: Client, *lines: str) -> Iterator[socket.socket]:
    """A connection on which a request with these lines has begun."""
    with socket.create_connection(("127.0.0.1", sales.http.base_url.port or 0), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "Host: 127.0.0.1", "", "")).encode())
        yield connection


def answer(connection: socket.socket) -> bytes:
    with suppress(ConnectionResetError):  # what was not read of the body is in the way
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return b""


@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", f"Content-Length: {1 << 40}"])
def test_a_body_without_end_is_refused_after_a_mebibyte(sales: Client, length: str) -> None:
    part, sent = CHUNK if "chunked" in length else b" " * (1 << 16), 0
    with connected(sales, f"POST {QUERY} HTTP/1.1", length) as connection:
        connection.settimeout(0.05)
        head = b""
        while not head and sent < 4 * TAKEN:
            try:
                connection.sendall(part)
                sent += len(part)
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                pass
            with suppress(TimeoutError, ConnectionResetError):
                head = connection.recv(1 << 16) if sent > LARGEST_BODY else b""
    assert head.startswith(b"HTTP/1.1 413 ")
    assert LARGEST_BODY < sent < TAKEN


def test_a_body_that_trickles_in_keeps_nobody_out(sales: Client) -> None:
    with connected(sales, f"POST {QUERY} HTTP/1.1", "Transfer-Encoding: chunked") as slow:
        for _ in range(3):
            slow.sendall(b"1\r\n{\r\n")
            assert sales.http.get(QUERY).status_code == 200
            time.sleep(0.01)


TWO_IN_ONE = [
    ("Content-Length: 4", "Transfer-Encoding: chunked"), ("Content-Length: 4", "Content-Length: 44"),
    ("Transfer-Encoding: xchunked",), ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ("Content-Length: -1",), ("Content-Length: 4x",), ("Content-Length: +4",), ("Transfer-Encoding : chunked",),
    ("Content-Length: 4", " Transfer-Encoding: chunked"), ("X: y\nTransfer-Encoding: chunked",),
]  # fmt: skip
SECOND = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("lines", TWO_IN_ONE, ids=" ".join)
def test_a_length_that_can_be_read_in_two_ways_is_not_read_as_two_requests(
    sales: Client, lines: tuple[str, ...]
) -> None:
    with connected(sales, f"POST {QUERY} HTTP/1.1", *lines, "Connection: close") as connection:
        connection.sendall(SECOND)
        said = answer(connection)
    assert b"dovetail_view_seq" not in said
    assert said.count(b"HTTP/1.1 ") <= 1
    assert not said or said.split()[1][:1] == b"4"


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/9.9", b"GET  / HTTP/1.1", b"\x16\x03\x01\x02\x00", b"GET /\x00 HTTP/1.1", b"get / HTTP/1.1",
              b"GET /\xff\xfe HTTP/1.1", b"PRI * HTTP/2.0", b"\r\n" * 50, b"GET / HTTP/1.1\r\nHost 127.0.0.1"]
)  # fmt: skip
def test_what_is_no_request_ends_a_connection_and_nothing_else(sales: Client, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", sales.http.base_url.port or 0), timeout=30) as connection:
        connection.sendall(first + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        said = answer(connection)
    assert b"Traceback" not in said
    assert not said.startswith(b"HTTP/1.1 5")
    assert sales.http.get("/health").status_code == 200


@pytest.mark.parametrize("ranged", ["bytes=0-1", "bytes=" + ",".join(f"{n}-{n}" for n in range(1_000)), "bytes=-1"])
def test_a_part_of_a_file_cannot_be_asked_for(sales: Client, ranged: str) -> None:
    for path in ("/page.js", "/", QUERY):
        whole, part = sales.http.get(path), sales.http.get(path, headers={"range": ranged})
        assert (part.status_code, len(part.content)) == (200, len(whole.content))
        assert not {"content-range", "accept-ranges"} & {*part.headers}


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/xml", ""]
)
@pytest.mark.parametrize("path", [QUERY, "/v1/views/sales/lookup", "/v1/sql"])
def test_forms_are_not_read(sales: Client, kind: str, path: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"; filename="../a"\r\n\r\n1\r\n--x--\r\n'
    refused = sales.http.post(path, content=body, headers={"content-type": kind})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:dovetail:query")


def test_nothing_is_mounted_and_no_file_is_sent_and_no_form_can_be(tmp_path: Path) -> None:
    routes: list[BaseRoute] = create_app(Settings(folder=tmp_path)).routes
    assert {type(route) for route in routes} <= {APIRoute, Direct, Route}
    words = ("FileResponse", "StaticFiles", "UploadFile", "Form(", "request.form", "RedirectResponse", "Jinja2")
    serving = Path(__file__).parents[2] / "serving"
    found = [f"{f.name}: {w}" for f in serving.rglob("*.py") for w in words if w in f.read_text("utf-8")]
    assert found == []
    assert not [one for one in requires("dovetail") or [] if "multipart" in one]


def test_serving_reads_nothing_that_could_run() -> None:
    names = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "jsonpickle", "subprocess", "ctypes"}
    calls = {"eval", "exec", "compile", "__import__", "open_stream", "open_file", "read_message", "deserialize"}
    found = []
    for file in (Path(__file__).parents[2] / "serving").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {a.name for a in node.names} | {getattr(node, "module", "") or ""}
                found += [f"{file.name}: {m}" for m in modules if m.partition(".")[0] in names]
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
                owner = getattr(getattr(node.func, "value", None), "id", "")
                found += [f"{file.name}: {owner}.{called}"] if called in calls and owner != "re" else []
    assert found == []
