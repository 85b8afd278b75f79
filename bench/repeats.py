"""Repeats: how fast the speed layer drains a topic when each record's id is looked up, against the same without an id.

Every source reads the same topic. Rounds take turns, so that a slow minute of the machine meets both alike.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from bench.layers import Bed, bed, produce
from dovetail.shared.ledger_table import DeltaLedger

RECORDS, ROUNDS, AGAIN = 600_000, 3, 50
"""One record in AGAIN comes again."""
SOURCE = """
{name} = dv.source(
    "{name}", topic="events", schema="id bigint, shop string, at timestamp, price decimal(10,2)", event_time="at"{id}
)
of_{name} = dv.view(
    "of_{name}", source={name}, keys=["shop"], bucket="1h", measures={{"rows": dv.count(), "revenue": dv.sum("price")}}
)
"""


def run(folder: Path) -> list[dict[str, Any]]:
    kinds = {"plain": "", "deduplicated": ', event_id="id"'}
    names = [(kind, f"{kind}{n}") for n in range(ROUNDS) for kind in kinds]
    views = "import dovetail as dv\n" + "".join(SOURCE.format(name=name, id=kinds[kind]) for kind, name in names)
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    with bed(folder, views) as it:
        _send(it)
        for kind, name in names:
            rates[kind].append(_drained(it, name))
    plain, looked_up = (statistics.median(rates[kind]) for kind in kinds)
    return [
        {"what": "no event_id", "records/s": int(plain), "of control": 1.0},
        {"what": "event_id, 2 % repeats", "records/s": int(looked_up), "of control": looked_up / plain},
    ]


def _send(it: Bed) -> None:
    producer = it.log.producer()
    for n in range(RECORDS):
        value = {"id": n if n % AGAIN else n // 2, "shop": f"s{n % 97}", "at": "2026-11-01T10:00:00Z", "price": "1.25"}
        produce(producer, "events", value)
    producer.flush(60)


def _drained(it: Bed, source: str) -> float:
    """Records a second between the first commit and the last: the job's start is not part of it."""
    end = it.log.extent("events").end.as_json()
    it.processes.start(source, "speed", source, "--json")
    child = it.processes.children[source]
    it.processes.wait(source, lambda: all(child.last.get("to", {}).get(p, 0) >= o for p, o in end.items()), seconds=600)
    it.processes.children.pop(source).stop()
    first, *later = [r for r in DeltaLedger(it.project.layout.ledger(source)).rows() if r.kind == "commit"]
    if sum(r.books.consumed for r in (first, *later)) != RECORDS or not later:
        raise RuntimeError("the topic was not drained in several commits: the figure would be of something else")
    return sum(r.books.consumed for r in later) / (later[-1].at - first.at)
