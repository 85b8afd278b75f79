"""Lookups: a hundred keys in one request against one key in one request, by one client, the keys random of 10,000.

Once over keys that were asked for before, which are answered from what is kept, and once over keys that nobody has
asked for, for which the database is looked into.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from bench.flat import MEASURES, REGIONS, facts
from bench.load import Connection, figures, post
from bench.tables import StoredView, served
from dovetail.shared.tables import Layout

PRODUCTS, HOURS, MANY, ROUNDS = 10_000, 24 * 7, 100, 600


def run(folder: Path) -> list[dict[str, Any]]:
    StoredView(Layout(folder / "data"), "sales", MEASURES, facts(HOURS, PRODUCTS))
    dice = random.Random(1)
    with served(folder, "sales") as port, Connection(port) as http:
        for first in range(0, PRODUCTS, MANY):
            http.timed(_question([*range(first, first + MANY)]))
        taken: dict[tuple[str, int], list[float]] = {}
        for n in range(ROUNDS):  # in turn
            for keys in (1, MANY):
                some = dice.sample(range(PRODUCTS), keys)
                taken.setdefault(("asked for before", keys), []).append(http.timed(_question(some)))
            for keys in (1, MANY) if n % 10 == 0 else ():
                some = dice.sample(range(PRODUCTS), keys)
                asked = _question(some, start=f"2026-03-0{1 + n // 10 % 3}T{n // 30:02}:00:00Z")
                taken.setdefault(("for the first time", keys), []).append(http.timed(asked))
    ones = {when: figures(seconds)["p50 ms"] for (when, keys), seconds in taken.items() if keys == 1}
    return [
        {"what": f"{keys} keys, {when}", **(found := figures(seconds)), "of one key": found["p50 ms"] / ones[when]}
        for (when, keys), seconds in sorted(taken.items())
    ]


def _question(products: list[int], **more: str) -> bytes:
    keys = [{"product": f"S{n:05}", "region": f"region {n % REGIONS:02}"} for n in products]
    return post("/v1/views/sales/lookup", {"keys": keys, **more})
