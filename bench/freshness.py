"""Freshness: from a record's acknowledgement by Kafka to the merged HTTP answer that counts it.

The control is what people write by hand: `foreachBatch` with Spark's Delta append of the same aggregates, and a reader
that tails that table; once as the manuals set Spark up, once with Dovetail's own settings. Each runs alone, with the
same load; probes are numbered records in one partition, and one is visible when the largest number answered reaches
its own.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.layers import Bed, bed, percentile

RATE, PROBES_PER_S = 1000, 5
WARM_S, MEASURED_S = 30, 60
SCHEMA = "key string, at timestamp, amount decimal(10,2), probe bigint"
VIEWS = f'''
import dovetail as dv

events = dv.source("events", schema="{SCHEMA}", event_time="at")
totals = dv.view(
    "totals", source=events, keys=["key"], bucket="1h",
    measures={{"rows": dv.count(), "amount": dv.sum("amount"), "newest": dv.max("probe")}},
)
'''


def run(folder: Path) -> list[dict[str, Any]]:
    with bed(folder, VIEWS) as it:
        ours = _ours(it)
        it.processes.close()
        plain, tuned = _control(it, "plain"), _control(it, "tuned")
    rows = [
        _row("dovetail, merged HTTP answer", ours),
        _row("control: foreachBatch + Spark's Delta append", plain),
        _row("the same with Dovetail's Spark settings", tuned),
    ]
    for row in rows:
        row["p50 of dovetail's"] = row["p50 ms"] / rows[0]["p50 ms"]
    return rows


def _row(what: str, seconds: list[float]) -> dict[str, Any]:
    figures = {f"p{p} ms": percentile(seconds, p) * 1000 for p in (50, 95, 99)}
    return {"what": what, **figures, "probes": len(seconds)}


def _ours(it: Bed) -> list[float]:
    it.processes.start("speed", "speed", "events", "--json")
    it.processes.start("serve", "serve")
    it.processes.wait("speed", it.processes.children["speed"].ready.is_set, seconds=180)
    connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=30)
    question = "/v1/views/totals/query?measures=newest&where.key=probe"

    def newest() -> int:
        try:
            connection.request("GET", question)
            rows = json.loads(connection.getresponse().read()).get("rows", [])
        except (OSError, http.client.HTTPException):
            connection.close()
            return -1
        return int(rows[0]["newest"] or -1) if rows else -1

    return _measure(it, newest)


def _control(it: Bed, settings: str) -> list[float]:
    from deltalake import DeltaTable

    table = it.folder / f"control-{settings}"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.handwritten", it.log.bootstrap, str(table), SCHEMA, settings],
        cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    state: dict[str, Any] = {"table": None, "seen": set(), "newest": -1}

    def newest() -> int:
        import pyarrow.parquet as pq

        if state["table"] is None:
            if not DeltaTable.is_deltatable(str(table)):
                return -1
            state["table"] = DeltaTable(str(table))
        state["table"].update_incremental()
        files = set(state["table"].file_uris())
        for file in files - state["seen"]:
            values = [
                v
                for v in pq.read_table(file, columns=["newest"], partitioning=None)["newest"].to_pylist()
                if v is not None
            ]
            state["newest"] = max([state["newest"], *values])
        state["seen"] = files
        return int(state["newest"])

    try:
        return _measure(it, newest)
    finally:
        process.terminate()
        process.wait(30)


def _measure(it: Bed, newest: Callable[[], int]) -> list[float]:
    """Seconds from acknowledgement to visibility of each probe after the warm-up."""
    acknowledged: dict[int, float] = {}
    stop = threading.Event()
    first = int(time.time() * 1000)
    producer = threading.Thread(target=_produce, args=(it, acknowledged, stop, first))
    producer.start()
    visible: dict[int, float] = {}
    reached = first - 1
    end = None
    while end is None or time.monotonic() < end:
        now_newest, now = newest(), time.monotonic()
        for probe in range(reached + 1, now_newest + 1):
            visible[probe] = now
        reached = max(reached, now_newest)
        if end is None and reached >= first:
            end = now + WARM_S + MEASURED_S
        time.sleep(0.01)
    stop.set()
    producer.join()
    began = end - MEASURED_S
    return [visible[p] - acknowledged[p] for p in visible if p in acknowledged and acknowledged[p] >= began]


def _produce(it: Bed, acknowledged: dict[int, float], stop: threading.Event, first: int) -> None:
    producer, began, sent, probe = it.log.producer(), time.monotonic(), 0, first
    topic = it.project.source("events").topic

    def note(number: int) -> Callable[[Any, Any], None]:
        return lambda error, _message: None if error else acknowledged.setdefault(number, time.monotonic())

    while not stop.is_set():
        now = time.monotonic() - began
        at = datetime.now(UTC).isoformat()
        while sent < now * RATE:
            value = {"key": f"k{sent % 500}", "at": at, "amount": "1.25", "probe": None}
            producer.produce(topic, key=f"k{sent % 500}", value=json.dumps(value))
            sent += 1
        while probe - first < now * PROBES_PER_S:
            value = {"key": "probe", "at": at, "amount": "0", "probe": probe}
            producer.produce(topic, key="probe", value=json.dumps(value), on_delivery=note(probe))
            probe += 1
        producer.poll(0.002)
    producer.flush(10)
