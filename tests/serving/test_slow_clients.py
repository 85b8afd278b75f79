"""Clients that are slow, or gone: nobody waits for them, they hold no more than allowed, nothing is done for nobody."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from serving_stand import Client, Stand, ViewSpec, event, serve

from dovetail.serving import connections

LARGE = "by=country&limit=100000"
ENDLESS = "SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b"


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    return spec


@contextmanager
def asking(serving: Client, sent: str) -> Iterator[socket.socket]:
    """A connection that sends this, and takes as little as the system lets it before it is read."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", serving.http.base_url.port))
        connection.sendall(sent.encode())
        yield connection


def get(query: str) -> str:
    return f"GET /v1/views/sales/query?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def reset(connection: socket.socket) -> None:
    """Closes it as a machine that goes down would."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def received(connection: socket.socket) -> int:
    """Bytes up to the end, which may come before that of the answer."""
    n = 0
    try:
        while some := connection.recv(1 << 16):
            n += len(some)
    except ConnectionResetError:
        pass
    return n


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /v1/views HTTP/1.1\r\nHost: ",
        "POST /v1/views/sales/query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{",
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /health HTTP/1.1\r\n",
    ],
    ids=["nothing", "half of the headers", "half of a body", "half of a second request"],
)
def test_a_request_that_does_not_come_is_not_waited_for(
    sales: ViewSpec, serving: Client, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    began = time.monotonic()
    with asking(serving, sent) as connection:
        received(connection)
    assert 0.2 < time.monotonic() - began < 4, "sooner than an idle connection would be closed"


def test_who_waits_for_an_answer_is_not_taken_for_one_who_sends_slowly(
    sales: ViewSpec, serving: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.2)
    serving.rows("sales")
    for _ in range(2):  # also on a connection that is used again
        assert serving.get("sales", at_least=99, timeout=0.6).status_code == 503


def test_who_lets_wait_longest_is_dropped_when_unread_answers_hold_too_much(tmp_path: Path, stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:0900}") for n in range(5_000)])
    with serve(tmp_path, stand, limits={"unread_megabytes": 3}) as serving, ExitStack() as stack:
        whole = len(serving.answered("sales", by="country", limit=100_000).content)
        assert whole > 5_000_000  # more than what the system takes off our hands
        slow = []
        for _ in range(5):
            slow.append(stack.enter_context(asking(serving, get(LARGE))))
            slow[-1].recv(1)  # it is being sent
        assert serving.get("sales", measures="lines").status_code == 200
        found = [received(connection) + 1 for connection in slow]
        assert found[-1] > whole
        assert all(n < whole for n in found[:3]), found


@pytest.mark.parametrize("ends", [socket.socket.close, reset], ids=["closed", "reset"])
def test_what_is_looked_up_for_who_has_gone_is_ended(
    sales: ViewSpec, serving: Client, monkeypatch: pytest.MonkeyPatch, ends: Any
) -> None:
    began, ended = threading.Event(), threading.Event()

    def endless(_shape: Any, _plan: Any, _tables: Any, cursor: duckdb.DuckDBPyConnection) -> None:
        began.set()
        try:
            cursor.execute(ENDLESS).fetchall()
        except duckdb.InterruptException:
            ended.set()
            raise

    serving.rows("sales")
    with monkeypatch.context() as patch:
        patch.setattr("dovetail.serving.view.groups", endless)
        with asking(serving, get("by=country")) as connection:
            assert began.wait(10)
            ends(connection)
        assert ended.wait(5), "long before limits.seconds"
    assert serving.rows("sales", by="country")


@pytest.mark.long
def test_who_goes_while_waiting_for_a_turn_is_never_looked_up_for(
    sales: ViewSpec, serving: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, looks = threading.Event(), list[Any]()

    def slow(_shape: Any, plan: Any, *_: Any) -> None:
        looks.append(plan.limit)
        free.wait(10)
        raise duckdb.InterruptException

    serving.rows("sales")
    monkeypatch.setattr("dovetail.serving.view.groups", slow)
    with ExitStack() as stack:
        for n in range(1, 5):  # as many as are looked up at once
            stack.enter_context(asking(serving, get(f"by=country&limit={n}")))
        serving.until(lambda: len(looks) == 4)
        for n in range(5, 9):
            with asking(serving, get(f"by=country&limit={n}")):
                time.sleep(0.05)
        time.sleep(0.3)
        free.set()
        serving.until(lambda: serving.http.get("/health").status_code == 200)
        time.sleep(0.3)
    assert sorted(looks) == [1, 2, 3, 4]


def test_an_answer_that_is_cut_off_by_its_asker_harms_nobody(
    sales: ViewSpec, stand: Stand, serving: Client, caplog: pytest.LogCaptureFixture
) -> None:
    stand.commit([event(country=f"{n:0900}") for n in range(5_000)])
    serving.rows("sales", measures="lines")
    for _ in range(5):
        with asking(serving, get(LARGE)) as connection:
            connection.recv(1_000)
            reset(connection)
    assert serving.rows("sales", measures="lines") == [{"lines": 5_001}]
    assert caplog.text == ""
