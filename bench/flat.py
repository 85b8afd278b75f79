"""Answers as history grows from 1 to 100 days, and as commits above the cut grow from 10 to 10,000.

One client, random keys of 1,000, four questions in turn. The control is the same view with one day of history and no
commit, asked in the same rounds. Commits are written as the speed layer writes them, with its upkeep, while the server
follows.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Mapping
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

_numbers = itertools.count()


def run(folder: Path) -> list[dict[str, Any]]:
    layout = Layout(folder / "data")
    views = {f"of_{days}_days": days for days in DAYS}
    stored = {name: StoredView(layout, name, MEASURES, facts(24 * days)) for name, days in (views | {FAST: 1}).items()}
    control = next(iter(views))
    with served(folder, *stored) as port:
        taken = _measured(port, views)
        rows = _rows({f"{days:,} days of history": taken[name] for name, days in views.items()}, taken[control])
        for commits in COMMITS:
            _commit(layout, stored[FAST], port, upto=commits)
            taken = _measured(port, {control: 1, FAST: 1})
            rows += _rows({f"{commits:,} commits": taken[FAST]}, taken[control])
    return sorted(rows, key=lambda row: str(row["what"]))


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


def _measured(port: int, views: Mapping[str, int]) -> dict[str, dict[str, list[float]]]:
    """By view and question the seconds; all are asked in turn. `views` are given with their days of history."""
    taken: dict[str, dict[str, list[float]]] = {view: defaultdict(list) for view in views}
    with Connection(port) as http:  # anew each time: while many commits are written an idle one is closed
        for view in views:
            for product in range(PRODUCTS):
                http.timed(get(_path(view, product)))
        for _ in range(ROUNDS):
            for view, days in views.items():
                for what, path in _questions(view, days, random.randrange(PRODUCTS)).items():
                    taken[view][what].append(http.timed(get(path)))
    return taken


def _questions(view: str, days: int, product: int) -> dict[str, str]:
    last = (T0 + timedelta(days=days - 1)).strftime("%Y-%m-%d")
    anew = f"limit={2_000 + next(_numbers)}"  # another question, of which nothing is kept
    return {
        "one key, asked for before": _path(view, product),
        "one key, for the first time": f"{_path(view, product)}&{anew}",
        "one key's last day by hours, for the first time": f"{_path(view, product)}&bucket=1h&start={last}&{anew}",
        "last day of all keys, by region": f"{_path(view)}&by=region&start={last}",
    }


def _path(view: str, product: int | None = None) -> str:
    key = "" if product is None else f"&where.product=S{product:05}&where.region=region%20{product % REGIONS:02}"
    return f"/v1/views/{view}/query?measures=lines,revenue,most{key}"


def _rows(by_size: Mapping[str, Mapping[str, list[float]]], control: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {"what": what, "of": size, **(found := figures(seconds)), "of one day": found["p50 ms"] / p50}
        for size, taken in by_size.items()
        for what, seconds in taken.items()
        for p50 in [figures(control[what])["p50 ms"]]
    ]
