"""Clients that are light, so that the server is what is measured: each a process with one kept-alive connection."""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.layers import percentile


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: Any) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    return head.encode() + b"\r\n\r\n" + text


def load(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> list[float]:
    """The seconds of each of the requests that `clients` were answered; each sends the next when it has the last."""
    with multiprocessing.get_context("spawn").Pool(clients) as pool:
        results = pool.starmap(client, [(port, requests, seconds, seed) for seed in range(clients)])
    return [one for result in results for one in result]


def client(port: int, requests: Sequence[bytes], seconds: float, seed: int = 0) -> list[float]:
    """The seconds of each of the random requests that one client was answered."""
    dice = random.Random(seed)
    with Connection(port) as connection:
        end, taken = time.perf_counter() + seconds, list[float]()
        while time.perf_counter() < end:
            taken.append(connection.timed(dice.choice(requests)))
    return taken


def figures(taken: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    return {f"p{p} ms": percentile(list(taken), p) * 1000 for p in (50, 99)}


class Connection:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self._socket, self._held = socket.create_connection(("127.0.0.1", port)), b""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def timed(self, request: bytes) -> float:
        """The seconds until the whole answer is there."""
        began = time.perf_counter()
        self._socket.sendall(request)
        self._held = _after_one_answer(self._held, lambda: self._socket.recv(1 << 18))
        return time.perf_counter() - began

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _after_one_answer(held: bytes, receive: Callable[[], bytes]) -> bytes:
    while (split := held.find(b"\r\n\r\n")) < 0:
        held += _more(receive)
    head = held[:split].lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"not an answer: {held[:500]!r}")
    start = head.index(b"content-length: ") + 16
    length = int(head[start:].split(b"\r\n")[0])
    while len(held) < split + 4 + length:
        held += _more(receive)
    return held[split + 4 + length :]


def _more(receive: Callable[[], bytes]) -> bytes:
    found = receive()
    if not found:
        raise RuntimeError("the server has closed the connection")
    return found
