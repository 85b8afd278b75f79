"""Batch: rows a second of a full recompute at three sizes of history, and of an incremental one of constant size.

The incremental figure must stand still while history grows.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.layers import Bed, bed, produce
from dovetail.batch import job
from dovetail.shared import engine

HISTORIES = (250_000, 500_000, 1_000_000)
ADDED = 50_000
VIEWS = """
import dovetail as dv

events = dv.source(
    "events", schema="shop string, product string, at timestamp, quantity int, price decimal(10,2)", event_time="at"
)
sales = dv.view(
    "sales", source=events, keys=["shop", "product"], bucket="1d",
    measures={"rows": dv.count(), "pieces": dv.sum("quantity"), "revenue": dv.sum("quantity * price"),
              "mean": dv.avg("price")},
)
"""


def run(folder: Path) -> list[dict[str, Any]]:
    rows, sent = [], 0
    with bed(folder, VIEWS) as it:
        spark = engine.start(it.project.settings, "bench", heavy=True)
        view = it.project.view("sales")
        it.processes.start("archive", "archive", "events", "--json")
        for history in HISTORIES:
            sent = send(it, sent, history - ADDED)
            job.run(it.project, view, it.log, spark)  # catches the ledger up, and warms the engine
            sent = send(it, sent, history)
            _catch_up(it, spark)
            incremental = _seconds(lambda: job.run(it.project, view, it.log, spark))
            full = _seconds(lambda: job.run(it.project, view, it.log, spark, full=True))
            rows.append(
                {
                    "history": history,
                    "full s": full, "full rows/s": int(history / full),
                    "added": ADDED, "incremental s": incremental, "incremental rows/s": int(ADDED / incremental),
                }
            )  # fmt: skip
        spark.stop()
    return rows


def _catch_up(it: Bed, spark: Any) -> None:
    """What the speed layer would have done meanwhile; not part of a batch's time."""
    from dovetail.batch.master import DeltaMaster
    from dovetail.shared.inforce import open_ledger

    source = it.project.source("events")
    ledger = open_ledger(it.project, source, it.log)
    job.catch_up_if_stopped(it.project, source, ledger, DeltaMaster(it.project.layout, source, spark))


def send(it: Bed, sent: int, total: int) -> int:
    producer, began = it.log.producer(), datetime(2026, 1, 1, tzinfo=UTC)
    topic = it.project.source("events").topic
    for n in range(sent, total):
        value = {
            "shop": f"s{n % 97}", "product": f"p{n % 211}",
            "at": (began + timedelta(seconds=n * 13 % 2_000_000)).isoformat(),
            "quantity": n % 50, "price": f"{n % 1000}.25",
        }  # fmt: skip
        produce(producer, topic, value, key=value["shop"])
    producer.flush(60)
    end = it.log.extent(topic).end.as_json()
    archive = it.processes.children["archive"]
    it.processes.wait(
        "the archive", lambda: all(archive.last.get("claim", {}).get(p, 0) >= o for p, o in end.items()), seconds=600
    )
    return total


def _seconds(work: Any) -> float:
    began = time.monotonic()
    if work() is None:
        raise RuntimeError("there was nothing to compute: the figure would be of nothing")
    return time.monotonic() - began
