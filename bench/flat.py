"""Answers as history grows from 1 to 100 days, and as commits above the cut grow from 10 to 10,000.

One client, random keys of 1,000, the same four questions each time. The commits are written as the speed layer writes
them, with its upkeep, while the server follows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

import dovetail as dv
from bench.load import Connection, figures, get
from bench.tables import T0, StoredView, buckets, served
from dovetail.shared.tables import Layout
from dovetail.shared.upkeep import COMMITS_BETWEEN, tidy

DAYS, COMMITS = (1, 10, 100), (10, 100, 1_000, 10_000)
PRODUCTS, REGIONS, ROUNDS = 1_000, 20, 300
COMMITTED = 20
"""State rows of a commit."""
FAST = "with_commits"
MEASURES = {"lines": dv.count(), "revenue": dv.sum("amount"), "most": dv.max("quantity")}


def run(folder: Path) -> list[dict[str, Any]]:
    layout = Layout(folder / "data")
    views = {f"of_{days}_days": days for days in DAYS}
    stored = {name: StoredView(layout, name, MEASURES, facts(24 * days)) for name, days in (views | {FAST: 1}).items()}
    with served(folder, *stored) as port, Connection(port) as http:
        by_days = {days: _measured(http, name, days) for name, days in views.items()}
        by_commits = {}
        for commits in COMMITS:
            _commit(layout, stored[FAST], port, upto=commits)
            by_commits[commits] = _measured(http, FAST, 1)
    return [*_rows("days of history", by_days), *_rows("commits", by_commits)]


def facts(hours: int, products: int = PRODUCTS) -> pa.Table:
    """A state row for each product and hour."""
    return _states(np.repeat(np.arange(products), hours), np.tile(np.arange(hours), products))


def _states(products: Any, hours: Any) -> pa.Table:
    dice, n = np.random.default_rng(1), len(products)
    count, total, most = (m.states[0].column for m in MEASURES.values())
    return pa.table(
        {
            "product": pa.array([f"S{p:05}" for p in products]),
            "region": pa.array([f"region {p % REGIONS:02}" for p in products]),
            "_bucket": buckets(pa.array(hours)),
            count: pa.array(dice.integers(1, 20, n)),
            total: pa.array(dice.integers(1, 9_999, n)).cast(pa.decimal128(38, 2)),
            most: pa.array(dice.integers(1, 100, n)),
            "_rows": pa.repeat(1, n),
        }
    )


def _commit(layout: Layout, view: StoredView, port: int, *, upto: int) -> None:
    """More micro-batches, all of the last day; returns once answers show them."""
    dice = np.random.default_rng(view.seq)
    while view.commits < upto:
        view.commit(_states(dice.choice(PRODUCTS, COMMITTED, replace=False), dice.integers(0, 24, COMMITTED)))
        if view.seq % COMMITS_BETWEEN == 0:
            tidy(layout, view.source)
    httpx.get(f"http://127.0.0.1:{port}/v1/views/{view.name}/query?at_least={view.seq}&timeout=60", timeout=90)
    time.sleep(1)


def _measured(http: Connection, view: str, days: int) -> Mapping[str, list[float]]:
    """By question its seconds."""
    path, last = f"/v1/views/{view}/query?measures=lines,revenue,most", (T0 + timedelta(days=days - 1)).isoformat()
    start, dice = f"start={last.replace('+00:00', 'Z')}", random.Random(days)

    def anew() -> str:
        return f"limit={dice.randrange(2_000, 100_000)}"  # another question, of which nothing is kept

    def key(product: int | None = None) -> str:
        n = dice.randrange(PRODUCTS) if product is None else product
        return f"where.product=S{n:05}&where.region=region%20{n % REGIONS:02}"

    questions: dict[str, Callable[[], str]] = {
        "one key, asked for before": lambda: f"{path}&{key()}",
        "one key, for the first time": lambda: f"{path}&{key()}&{anew()}",
        "one key's last day by hours, for the first time": lambda: f"{path}&{key()}&bucket=1h&{start}&{anew()}",
        "last day of all keys, by region": lambda: f"{path}&by=region&{start}",
    }
    for product in range(PRODUCTS):
        http.timed(get(f"{path}&{key(product)}"))
    taken: dict[str, list[float]] = {what: [] for what in questions}
    for _ in range(ROUNDS):  # in turn
        for what, question in questions.items():
            taken[what].append(http.timed(get(question())))
    return taken


def _rows(of: str, measured: Mapping[int, Mapping[str, list[float]]]) -> list[dict[str, Any]]:
    first = {what: figures(taken)["p50 ms"] for what, taken in next(iter(measured.values())).items()}
    return [
        {
            "what": what,
            "of": f"{n:,} {of}",
            **(found := figures(taken[what])),
            "of the first": found["p50 ms"] / first[what],
        }
        for what in first
        for n, taken in measured.items()
    ]
