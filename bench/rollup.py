"""Rollups: 10,000 products' hourly states of 30 days to one row per product line over HTTP, against DuckDB.

The control is DuckDB in this process, doing the same join and group-by on finished values of the same rows. Storage is
written directly: what is measured is serving. And what one merged HyperLogLog state costs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

import dovetail as dv
from bench.layers import free_port
from dovetail.shared import manifest as manifests
from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout

PRODUCTS, HOURS, LINES, ROUNDS = 10_000, 24 * 30, 50, 7
SKETCHED_PRODUCTS, SKETCHED_HOURS = 1_000, 24
T0 = datetime(2026, 3, 1, tzinfo=UTC)
EXACT = {"lines": dv.count(), "revenue": dv.sum("amount"), "most": dv.max("quantity"), "mean": dv.avg("amount")}
ORIGIN = Position({0: 0})


def run(folder: Path) -> list[dict[str, Any]]:
    layout, port = Layout(folder / "data"), free_port()
    (folder / "dovetail.toml").write_text(f"[serving]\nport = {port}\n")
    plain = _exact(layout)
    sketched = _sketched(layout)
    server = subprocess.Popen([sys.executable, "-m", "dovetail", "serve"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        base = f"http://127.0.0.1:{port}/v1/views"
        _wait(f"{base}/exact/query?limit=1")
        _wait(f"{base}/sketched/query?limit=1")
        control = _control(plain)
        asked = _timed(lambda: _rows(f"{base}/exact/query?by=line&measures={','.join(EXACT)}&order_by=line"))
        true = _timed(control)
        if [list(map(str, r.values())) for r in asked[1]] != [list(map(str, r)) for r in true[1]]:
            raise RuntimeError("the rollup and its control differ")
        merged = _timed(lambda: _rows(f"{base}/sketched/query?by=line&measures=buyers"))
    finally:
        server.terminate()
        server.wait()
    rows = PRODUCTS * HOURS
    return [
        {"what": "DuckDB, finished values, in process", "states": rows, "ms": true[0] * 1000, "of control": 1.0},
        {"what": "dovetail, exact measures, HTTP", "states": rows, "ms": asked[0] * 1000,
         "of control": asked[0] / true[0]},
        {"what": f"dovetail, HyperLogLog: {merged[0] / sketched * 1e6:.1f} µs a state", "states": sketched,
         "ms": merged[0] * 1000, "of control": float("nan")},
    ]  # fmt: skip


def _exact(layout: Layout) -> pa.Table:
    rows, dice = PRODUCTS * HOURS, np.random.default_rng(1)
    product = pa.array([f"S{n:05}" for n in range(PRODUCTS)])
    lines = pa.array(dice.integers(1, 20, rows))
    revenue = pa.array(dice.integers(100, 1_000_000, rows)).cast(pa.decimal128(20, 0))
    plain = pa.table(
        {
            "product": product.take(pa.array(np.repeat(np.arange(PRODUCTS), HOURS))),
            "hour": pa.array(np.tile(np.arange(HOURS), PRODUCTS)),
            "lines": lines,
            "revenue": pc.multiply(revenue, pa.scalar(Decimal("0.01"))).cast(pa.decimal128(18, 2)),
            "most": pa.array(dice.integers(1, 100, rows).astype(np.int32)),
        }
    )
    count, total, most = (EXACT[m].states[0].column for m in ("lines", "revenue", "most"))
    states = {count: lines, total: plain["revenue"].cast(pa.decimal128(38, 2)), most: plain["most"]}
    states |= {EXACT["mean"].states[1].column: lines}
    _stored(layout, "exact", EXACT, _keyed(plain, states))
    return plain


def _sketched(layout: Layout) -> int:
    import datasketches

    measures = {"buyers": dv.approx_distinct("buyer")}
    rows = SKETCHED_PRODUCTS * SKETCHED_HOURS

    def sketch(n: int) -> bytes:
        made = datasketches.hll_sketch(12)
        for buyer in range(n % 97, n % 97 + 50 + n % 200):
            made.update(str(buyer))
        state: bytes = made.serialize_compact()
        return state

    plain = pa.table(
        {
            "product": pa.array([f"S{n:05}" for n in np.repeat(np.arange(SKETCHED_PRODUCTS), SKETCHED_HOURS)]),
            "hour": pa.array(np.tile(np.arange(SKETCHED_HOURS), SKETCHED_PRODUCTS)),
        }
    )
    states = {measures["buyers"].states[0].column: pa.array([sketch(n) for n in range(rows)])}
    _stored(layout, "sketched", measures, _keyed(plain, states))
    return rows


def _keyed(plain: pa.Table, states: dict[str, Any]) -> pa.Table:
    start = int(T0.timestamp()) * 1_000_000
    micros = pc.add(pc.multiply(plain["hour"], 3_600_000_000), start)
    bucket = micros.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    return pa.table({"product": plain["product"], "_bucket": bucket, **states, "_rows": pa.repeat(1, len(plain))})


def _stored(layout: Layout, view: str, measures: dict[str, dv.Measure], states: pa.Table) -> None:
    """A view whose one run holds `states`, with the dimension of products."""
    version, source = VersionId(f"{view}@0000000000000000"), f"of_{view}"
    folder = layout.version(version)
    folder.mkdir(parents=True)
    bundle = {
        "format": 1, "version": version, "source": source, "topic": source, "decoder": {}, "keys": ["product"],
        "bucket_seconds": 3600, "measures": {n: m.as_json() for n, m in measures.items()}, "where": "",
        "module": "views", "attribute": view,
    }  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(bundle))
    DeltaStates(layout, source).create(version, states.schema)
    ledger = DeltaLedger(layout.ledger(source))
    for seq, kind in enumerate(("open", "attach")):
        ledger.append(LedgerRow(seq, 0, kind, Range(ORIGIN, ORIGIN), {version: 0} if seq else {}, "t"))  # type: ignore[arg-type]
    made = Run(RunId("bench"), version, -1, 1, Range(ORIGIN, ORIGIN), states.num_rows, states.num_rows)
    write_deltalake(str(layout.run(version, made.id)), states)
    DeltaManifest(layout.manifest(view)).swap(manifests.first(view, (made,), "bench"))
    Joins(layout, view).set(["products"])
    products = {
        "product": [f"S{n:05}" for n in range(PRODUCTS)],
        "line": [f"line {n % LINES:02}" for n in range(PRODUCTS)],
    }
    Versions(layout, "products").add(pa.table(products), key="product")


def _control(plain: pa.Table) -> Callable[[], list[tuple[Any, ...]]]:
    connection = duckdb.connect()
    connection.register("incoming", plain)
    connection.execute("CREATE TABLE facts AS SELECT * FROM incoming ORDER BY product, hour")
    connection.execute(
        f"CREATE TABLE products AS SELECT printf('S%05d', n) AS product, printf('line %02d', n % {LINES}) AS line "
        f"FROM range({PRODUCTS}) AS r(n)"
    )
    question = """
        SELECT line, sum(lines)::BIGINT, sum(revenue), max(most),
               CAST(round(sum(revenue) / sum(lines), 6) AS DECIMAL(38,6))
        FROM facts JOIN products USING (product) GROUP BY line ORDER BY line
    """
    return lambda: connection.execute(question).fetchall()


def _rows(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(url, timeout=60).json()["rows"]
    return found


def _timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """The median seconds of some rounds after a first one, and what came of the last."""
    what()
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = what()
        seconds.append(time.perf_counter() - began)
    return median(seconds), found


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(url, timeout=60).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")
