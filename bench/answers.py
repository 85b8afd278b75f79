"""Answers: keyed merged answers over HTTP against a bare FastAPI route that returns the same rows as a dict.

Eight clients with a connection each, random keys, commits arriving all the while; and the same for a group-by. A second
control is FastAPI over PostgreSQL, where finished rows lie ready under a covering index and nothing changes them.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.layers import Bed, bed, free_port
from bench.load import figures, get, load

CLIENTS, SECONDS, ROUNDS = 8, 5, 3
SHOPS, PRODUCTS = 40, 50
HISTORY, RATE = 60_000, 200
HERE = Path(__file__).parent.parent
NO_POSTGRES = (
    "FastAPI over PostgreSQL is left out: apt-get install postgresql, or any PostgreSQL with initdb on the path"
)
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
    routes = [f"/q?shop={s}&product={p}" for s, p in keys]
    with bed(folder, VIEWS) as it, ExitStack() as stack:
        _fill(it)
        answers = [httpx.get(f"http://127.0.0.1:{it.port}{path}").json() for path in keyed]
        questions = {
            "bare FastAPI route, same rows as a dict": (stack.enter_context(_bare(folder, keys, answers)), routes),
            "dovetail, keyed merged answer": (it.port, keyed),
            "dovetail, group-by of all": (it.port, grouped),
        }
        if (port := stack.enter_context(_covered(answers))) is not None:
            questions["FastAPI over PostgreSQL, covering index"] = port, routes
        stack.enter_context(_writer(it))
        rounds = {what: list[list[float]]() for what in questions}
        for _ in range(ROUNDS):  # in turn, so that a slow minute of the machine meets all alike
            for what, (at, paths) in questions.items():
                rounds[what].append(load(at, [get(path) for path in paths], clients=CLIENTS, seconds=SECONDS))
    rows = [_row(what, measured) for what, measured in rounds.items()]
    return [{**row, "of bare": row["requests/s"] / rows[0]["requests/s"]} for row in rows]


def _row(what: str, rounds: list[list[float]]) -> dict[str, Any]:
    rate = median(len(taken) / SECONDS for taken in rounds)
    return {"what": what, "requests/s": rate, **figures([one for taken in rounds for one in taken])}


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


@contextmanager
def _writer(it: Bed) -> Iterator[None]:
    topic = it.project.source("events").topic
    code = f"from bench.answers import produce; produce({it.log.bootstrap!r}, {topic!r}, 10**9, rate={RATE})"
    with _running("-c", code):
        yield


@contextmanager
def _bare(folder: Path, keys: list[tuple[str, str]], answers: list[Any]) -> Iterator[int]:
    file, port = folder / "rows.json", free_port()
    file.write_text(json.dumps({f"{s}|{p}": answer for (s, p), answer in zip(keys, answers, strict=True)}))
    with _running("-m", "bench.bare", str(file), str(port), port=port):
        yield port


@contextmanager
def _covered(answers: list[Any]) -> Iterator[int | None]:
    """The port of FastAPI over PostgreSQL with the same rows; None where there is no PostgreSQL."""
    from bench import covered
    from tests.postgres import binaries, postgres

    if binaries() is None:
        print(NO_POSTGRES, file=sys.stderr)
        yield None
        return
    with postgres() as server:
        database, port = f"host=127.0.0.1 port={server.port} user=tester password=secret dbname=postgres", free_port()
        covered.fill(database, [row for answer in answers for row in answer["rows"]])
        with _running("-m", "bench.covered", database, str(port), str(CLIENTS), port=port):
            yield port


@contextmanager
def _running(*arguments: str, port: int | None = None) -> Iterator[None]:
    """A Python process, once it listens at `port` where one is given."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=HERE)
    try:
        while port is not None and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


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
