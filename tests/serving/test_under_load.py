"""Questions asked while everything moves: every answer is the truth of the seq that its receipt names."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import httpx
from serving_stand import Client, Stand, ViewSpec, event

COUNTRIES, PRODUCTS = ["FR", "DE", "IT"], [1, 2, 3]


def ask(address: httpx.URL, stop: threading.Event, seed: int, seen: list[tuple[str, int, str, Any]]) -> None:
    r = random.Random(seed)
    with httpx.Client(base_url=address, timeout=30) as http:
        while not stop.is_set():
            country, product = r.choice(COUNTRIES), r.choice(PRODUCTS)
            one = {"where.country": country, "where.product": product, "measures": "lines,pieces"}
            every = {"by": "country,product", "measures": "lines,pieces"}
            kind = r.choice(["one", "every"])
            answer = http.get("/v1/views/sales/query", params=one if kind == "one" else every)
            assert answer.status_code == 200, answer.text
            said = answer.json()
            what = f"{country}{product}" if kind == "one" else kind
            seen.append((what, said["receipt"]["seq"], "+".join(said["receipt"]["runs"]), said["rows"]))


def test_every_answer_is_the_truth_of_its_seq_through_commits_promotes_prunes_and_compactions(
    stand: Stand, serving: Client
) -> None:
    spec = stand.attach(ViewSpec("sales"))
    counted: Counter[tuple[str, int]] = Counter()
    truth = {stand.seq: dict(counted)}
    r = random.Random(3)

    def commit() -> None:
        events = [event(country=r.choice(COUNTRIES), product=r.choice(PRODUCTS)) for _ in range(15)]
        for e in events:
            counted[e["country"], e["product"]] += 1
        truth[stand.seq + 1] = dict(counted)  # before it can be seen
        stand.commit(events)

    commit()
    serving.rows("sales")
    stop, seen = threading.Event(), list[tuple[str, int, str, Any]]()
    askers = [
        threading.Thread(target=ask, args=(serving.http.base_url, stop, seed, seen), daemon=True) for seed in range(4)
    ]
    for asker in askers:
        asker.start()
    for step in range(24):
        commit()
        if step % 4 == 1:
            stand.batch("sales", full=step % 8 == 5)
        if step % 8 == 3:
            stand.prune("sales")
            stand.states.compact([spec.version])
            stand.ledger.compact()
    assert serving.rows("sales", measures="lines") == [{"lines": 25 * 15}]
    serving.until(lambda: len({runs for _, _, runs, _ in seen}) > 3)
    stop.set()
    for asker in askers:
        asker.join(30)

    assert len(seen) > 50
    for what, seq, _, rows in seen:
        at = truth[max(s for s in truth if s <= seq)]
        if what == "every":
            assert rows == [
                {"country": c, "product": p, "lines": n, "pieces": 2 * n} for (c, p), n in sorted(at.items())
            ]
        else:
            n = at.get((what[:2], int(what[2])), 0)
            assert rows == [{"lines": n, "pieces": 2 * n if n else None}]
