"""What a server logs of requests made to be logged: one line each, and neither a key nor what was asked."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from urllib.parse import quote

import httpx
import pytest
from access_stand import PEPPER, Place, give, place, some

from dovetail.shared.grants import Grant
from dovetail.shared.logs import JsonLines, TextLines

EVIL = 'x\r\n{"level":"info","message":"all is well"}\x1b[2J\x9b31m\u2028\u202e'
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e]")
CANARY = "canary-4711"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        with place(tmp_path_factory.mktemp("logged"), some()) as found:
            yield found


def ask(http: httpx.Client) -> None:
    """Whatever can be logged of: what is refused, what is not there, what is answered, in path, header and body."""
    for said in asked(http):
        with suppress(httpx.TransportError):  # what a crash leaves unread of a body is in the way of its answer
            said()


def asked(http: httpx.Client) -> Iterator[Callable[[], object]]:
    for path in (f"/{quote(EVIL)}", f"/v1/views/{quote(EVIL)}/query", f"/v1/receipts/{quote(EVIL)}"):
        yield partial(http.get, path)
    for query in (f"where.country={CANARY}", f"where.{quote(EVIL)}={CANARY}", f"start={quote(EVIL)}", f"by={CANARY}"):
        yield partial(http.get, f"/v1/views/sales/query?{query}")
    yield partial(
        http.post, "/v1/sql", json={"sql": f"SELECT country FROM sales WHERE country = '{CANARY}' GROUP BY country"}
    )
    yield partial(
        http.post, "/v1/views/sales/lookup", json={"keys": [{"country": CANARY, "product": 1, "price": "1.5"}]}
    )
    yield partial(http.post, "/v1/views/sales/query", content=EVIL.encode())
    yield partial(
        http.get, "/v1/views", headers={"x-evil": quote(EVIL), "user-agent": "\x1b[2J", "authorization": "Bearer a.b.c"}
    )


@pytest.mark.parametrize("crashes", [False, True])
def test_a_request_writes_no_line_of_its_own_and_no_key_into_the_log(
    server: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, crashes: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    key = give(server.stand.layout, Grant("sales", views=("sales", "x*")))
    with server.with_(f"Bearer {key}") as http:
        if crashes:
            monkeypatch.setattr("dovetail.serving.service.Serving.view", lambda *_: 1 / 0)
        ask(http)
    records = [r for r in caplog.records if not r.name.startswith(("httpcore", "httpx", "asyncio"))]  # the client's own
    failed = [r for r in records if r.levelno >= logging.ERROR]
    assert bool(failed) == crashes, "what is wrong with a question is no error of the server"
    for record in records:
        line = JsonLines().format(record)
        assert not OBEYED.search(line)
        assert isinstance(json.loads(line), dict)
        head, *stack = TextLines().format(record).splitlines()
        assert not OBEYED.search(head)
        assert all(not OBEYED.search(one) for one in stack)
        for said in (line, head, *stack):
            assert key.split("_", 2)[2] not in said
            assert PEPPER not in said
            assert CANARY not in said
    audit = (server.stand.layout.access / "audit.jsonl").read_text()
    assert CANARY not in audit
    assert key.split("_", 2)[2] not in audit
    assert all(isinstance(json.loads(line), dict) for line in audit.splitlines())
