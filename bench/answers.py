"""Answers: keyed merged answers over HTTP against a bare FastAPI route that returns the same rows as a dict.

Four clients with a connection each, random keys, commits arriving all the while; and the same for a group-by.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bench.layers import Bed, bed, free_port, percentile

CLIENTS, SECONDS, ROUNDS = 4, 5, 3
SHOPS, PRODUCTS = 40, 50
HISTORY, RATE = 60_000, 200
VIEWS = """
import dovetail as dv

events = dv.source(
    "events", schema="shop string, product string, at timestamp, quantity int, price decimal(10,2)", event_time="at"
)
sales = dv.view(
    "sales", source=events, keys=["shop", "product"], bucket="1h",
    measures={"rows": dv.count(), "revenue": dv.sum("quantity * price"), "mean": dv.avg("price"),
              "most": dv.max("quantity")},
)
"""


def run(folder: Path) -> list[dict[str, Any]]:
    keys = [(f"s{s}", f"p{p}") for s in range(SHOPS) for p in range(PRODUCTS)]
    keyed = [f"/v1/views/sales/query?by=shop,product&where.shop={s}&where.product={p}" for s, p in keys]
    grouped = ["/v1/views/sales/query?by=product&measures=revenue&order_by=-revenue&limit=10"]
    with bed(folder, VIEWS) as it:
        _fill(it)
        answers = {path: httpx.get(f"http://127.0.0.1:{it.port}{path}").json() for path in keyed}
        port = free_port()
        bare = _start_bare(folder, {f"{s}|{p}": answers[path] for (s, p), path in zip(keys, keyed, strict=True)}, port)
        writer = _start_writer(it)
        try:
            questions = {
                "bare FastAPI route, same rows as a dict": (port, [f"/q?shop={s}&product={p}" for s, p in keys]),
                "dovetail, keyed merged answer": (it.port, keyed),
                "dovetail, group-by of all": (it.port, grouped),
            }
            rounds = {what: list[tuple[int, list[float]]]() for what in questions}
            for _ in range(ROUNDS):  # in turn, so that a slow minute of the machine meets all alike
                for what, (at, paths) in questions.items():
                    rounds[what].append(_load(at, paths))
        finally:
            writer.kill()
            bare.kill()
    rows = [_row(what, measured) for what, measured in rounds.items()]
    for row in rows:
        row["of bare"] = row["requests/s"] / rows[0]["requests/s"]
    return rows


def _row(what: str, rounds: list[tuple[int, list[float]]]) -> dict[str, Any]:
    seconds = [s for _, latencies in rounds for s in latencies]
    rate = sorted(n / SECONDS for n, _ in rounds)[len(rounds) // 2]
    return {"what": what, "requests/s": rate, **{f"p{p} ms": percentile(seconds, p) * 1000 for p in (50, 99)}}


def _fill(it: Bed) -> None:
    """History through Kafka and the speed layer, a batch over most of it, and the server up."""
    topic = it.project.source("events").topic
    it.processes.start("speed", "speed", "events", "--json")
    it.processes.start("archive", "archive", "events", "--json")
    it.processes.start("serve", "serve")
    produce(it.log.bootstrap, topic, HISTORY)
    end = it.log.extent(topic).end.as_json()
    for layer, key in (("speed", "to"), ("archive", "claim")):
        child = it.processes.children[layer]
        it.processes.wait(
            layer, lambda c=child, k=key: all(c.last.get(k, {}).get(p, 0) >= o for p, o in end.items()), seconds=300
        )  # type: ignore[misc]
    it.processes.children.pop("archive").stop()
    subprocess.run([sys.executable, "-m", "dovetail", "batch", "sales"], cwd=it.folder, check=True, capture_output=True)
    it.processes.wait("serving", lambda: _is_ready(it.port), seconds=60)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _start_writer(it: Bed) -> subprocess.Popen[bytes]:
    topic = it.project.source("events").topic
    code = f"from bench.answers import produce; produce({it.log.bootstrap!r}, {topic!r}, 10**9, rate={RATE})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent.parent)


def _start_bare(folder: Path, rows: dict[str, Any], port: int) -> subprocess.Popen[bytes]:
    file = folder / "rows.json"
    file.write_text(json.dumps(rows))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bare", str(file), str(port)], cwd=Path(__file__).parent.parent
    )
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    return process


def produce(bootstrap: str, topic: str, count: int, *, rate: float = 0) -> None:
    """Sends `count` sales of random shops and products, at `rate` a second where given."""
    from dovetail.shared.log import Log

    producer, dice, began = Log(bootstrap, {}).producer(), random.Random(7), time.monotonic()
    for n in range(count):
        value = {
            "shop": f"s{dice.randrange(SHOPS)}", "product": f"p{dice.randrange(PRODUCTS)}",
            "at": f"2026-11-{dice.randrange(1, 15):02}T{dice.randrange(24):02}:10:00Z",
            "quantity": dice.randrange(1, 50), "price": f"{dice.randrange(1000)}.25",
        }  # fmt: skip
        producer.produce(topic, key=value["shop"], value=json.dumps(value))
        producer.poll(0)
        if rate:
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
        elif n % 10_000 == 0:
            producer.flush(30)
    producer.flush(30)


def _load(port: int, paths: list[str]) -> tuple[int, list[float]]:
    """The requests answered in SECONDS by CLIENTS processes, and each one's seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(CLIENTS) as pool:
        results = pool.starmap(_client, [(port, paths, seed) for seed in range(CLIENTS)])
    latencies = [s for result in results for s in result]
    return len(latencies), latencies


def _client(port: int, paths: list[str], seed: int) -> list[float]:
    """One kept-alive connection, one request after the other; light, so that the server is what is measured."""
    dice, latencies, held = random.Random(seed), list[float](), b""
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + SECONDS
        while (began := time.perf_counter()) < end:
            connection.sendall(dice.choice(requests))
            held = _one_answer(held, lambda: connection.recv(65536))
            latencies.append(time.perf_counter() - began)
    return latencies


def _one_answer(held: bytes, receive: Callable[[], bytes]) -> bytes:
    while (split := held.find(b"\r\n\r\n")) < 0:
        held += receive()
    head = held[:split].lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"not an answer: {held[:300]!r}")
    start = head.index(b"content-length: ") + 16
    length = int(head[start:].split(b"\r\n")[0])
    while len(held) < split + 4 + length:
        held += receive()
    return held[split + 4 + length :]
