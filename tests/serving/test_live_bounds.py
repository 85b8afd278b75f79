"""What streams may cost: so many at a time, one event for a client that is slow, and no waiting for them at the end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest
from httpx_sse import connect_sse
from live_stream import LIVE, open_streams, refused, stream
from serving_stand import Client, Event, Stand, ViewSpec, event, serve, serving_process

from dovetail.serving import live

MANY = 4_000
"""Groups of an answer that is larger than what a connection holds on its way."""


@pytest.fixture(autouse=True)
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    return spec


def large() -> list[Event]:
    return [event(country=f"{n:0300}") for n in range(MANY)]


@contextmanager
def slow(serving: Client, query: str = "by=country&limit=100000&every=50ms") -> Iterator[socket.socket]:
    """A connection that asks for a stream and reads nothing by itself."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", serving.http.base_url.port))
        connection.sendall(f"GET {LIVE}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        yield connection


def seqs(connection: socket.socket, last: int) -> list[int]:
    """Reads the events up to that with the seq `last`; gives the seq of each."""
    found, left = list[int](), b""
    while not found or found[-1] < last:
        received = connection.recv(1 << 20)
        assert received, found
        *whole, left = (left + received).split(b'"receipt":')
        found += [int(part.partition(b'"seq":')[2].partition(b",")[0]) for part in whole[1:]]
        if b'"seq":' in left and b"}\n\n" in left:
            found.append(int(left.partition(b'"seq":')[2].partition(b",")[0]))
            left = b""
    return found


def test_a_slow_client_gets_the_newest_and_no_backlog(stand: Stand, serving: Client) -> None:
    stand.commit(large())
    serving.rows("sales", measures="lines")
    with slow(serving) as late, stream(serving, measures="lines") as prompt:
        prompt.answer()
        for n in range(12):
            stand.commit([event(country=f"{n:0300}")])
            assert prompt.lines()[1] == stand.seq  # every one of them was an event for who reads
        found = seqs(late, stand.seq)
    assert len(found) <= 5
    assert found[-1] == stand.seq


def test_a_client_that_reads_nothing_is_left(stand: Stand, serving: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEND", 0.3)
    monkeypatch.setattr(live, "HEARTBEAT", 0.05)
    stand.commit(large())
    serving.rows("sales", measures="lines")
    with slow(serving), stream(serving) as prompt:
        prompt.answer()
        serving.until(lambda: open_streams(serving) == 2)
        for n in range(4):  # more than the connection takes
            stand.commit([event(country=f"{n:0300}")])
            prompt.answer()
        serving.until(lambda: open_streams(serving) == 1, 30)


def test_streams_are_counted_and_no_more_than_allowed(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL__LIMITS__LIVE_STREAMS", "2")
    with serve(tmp_path, stand) as serving:
        serving.rows("sales")
        with stream(serving) as first, stream(serving, by="country") as second:
            first.answer(), second.answer()
            answer = refused(serving, measures="lines")
            assert (answer.status_code, answer.json()["type"]) == (429, "urn:dovetail:too-many")
            assert answer.headers["retry-after"] == "1"
            assert "2 streams are open" in answer.json()["detail"]
            assert serving.get("sales").status_code == 200
        serving.until(lambda: open_streams(serving) == 0)  # who leaves frees a place
        with stream(serving) as third:
            third.answer()
        assert refused(serving, measures="revenu").status_code == 422
        serving.until(lambda: open_streams(serving) == 0)


def test_a_server_that_stops_ends_its_streams_in_order(stand: Stand, tmp_path: Path) -> None:
    with httpx.Client(timeout=30) as http:
        with serve(tmp_path, stand) as serving:
            serving.rows("sales")
            url = f"{serving.http.base_url}{LIVE}"
            source = http.send(http.build_request("GET", url, params={"every": "60s"}), stream=True)
            lines = source.iter_lines()
            assert next(lines).startswith("id: ")
        assert [line.partition(":")[0] for line in lines] == ["event", "data", ""]


@pytest.mark.long
def test_a_process_that_is_told_to_stop_does_not_wait_for_streams(stand: Stand, tmp_path: Path) -> None:
    with serving_process(tmp_path) as (one, address):
        assert one.stderr is not None
        with httpx.Client(base_url=address, timeout=30) as http:
            Client.until(lambda: http.get("/v1/views/sales/query").status_code == 200, 30)
            with connect_sse(http, "GET", LIVE) as source:
                events = source.iter_sse()
                assert orjson.loads(next(events).data)["rows"]
                one.send_signal(signal.SIGTERM)
                assert [e for e in events if e.data] == []
        assert one.wait(20) in (0, -signal.SIGTERM)
        assert one.stderr.read() == ""
