"""Group-bys over HTTP, against DuckDB in this process on finished values of the same rows.

10,000 products' hourly states of 30 days to one row a product line, joined at question time; 2 million states by a
stored key, by product line and by day. The control has the same threads, sorts its rows as we do, holds one finished
value where we hold states, and answers nobody over a network. And what one merged HyperLogLog state costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import dovetail as dv
from bench.tables import StoredView, buckets, served
from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.tables import Layout

HOURS, LINES, REGIONS, ROUNDS = 24 * 30, 50, 20, 15
WHOLE, TWO_MILLION = 10_000, 2_800
"""Products of the larger and of the smaller view: times HOURS, their state rows."""
SKETCHED_PRODUCTS, SKETCHED_HOURS = 1_000, 24
EXACT = {"lines": dv.count(), "revenue": dv.sum("amount"), "most": dv.max("quantity"), "mean": dv.avg("amount")}
FINISHED = """
    sum(lines)::BIGINT, sum(revenue), max(most), CAST(round(sum(revenue) / sum(lines), 6) AS DECIMAL(38,6))
"""


@dataclass(frozen=True)
class Question:
    """The same question to a view, and in SQL to the control."""

    what: str
    products: int
    url: str
    sql: str

    @property
    def view(self) -> str:
        return f"exact_{self.products}"


QUESTIONS = [
    Question("by product line, of a dimension", WHOLE, "by=line", "line"),
    Question("by product line, of a dimension", TWO_MILLION, "by=line", "line"),
    Question("by region, a stored key", TWO_MILLION, "by=region", "region"),
    Question("by region and day", TWO_MILLION, "by=region&bucket=1d&limit=100000", "region, hour // 24"),
]


def run(folder: Path) -> list[dict[str, Any]]:
    layout = Layout(folder / "data")
    plain = {products: _exact(layout, products) for products in (WHOLE, TWO_MILLION)}
    sketched = _sketched(layout)
    rows: list[dict[str, Any]] = []
    with served(folder, *(q.view for q in QUESTIONS), "sketched") as port, httpx.Client(timeout=60) as http:
        base = f"http://127.0.0.1:{port}/v1/views"
        controls = {products: _control(facts) for products, facts in plain.items()}
        for asked in QUESTIONS:
            control = partial(controls[asked.products], asked.sql)
            get = partial(http.get, f"{base}/{asked.view}/query?measures={','.join(EXACT)}&{asked.url}")
            _compare(get().json()["rows"], control(), asked)
            ours, true = _in_turn(lambda get=get: get().content, control)
            of = {"states": asked.products * HOURS}
            rows.append({"what": f"DuckDB, {asked.what}", **of, "ms": true * 1000, "of control": 1.0})
            rows.append({"what": f"dovetail, {asked.what}", **of, "ms": ours * 1000, "of control": ours / true})
        url = f"{base}/sketched/query?by=line&measures=buyers"
        merged, _ = _in_turn(lambda: http.get(url).content, lambda: None)
    what = f"dovetail, HyperLogLog: {merged / sketched * 1e6:.1f} µs a state"
    return [*rows, {"what": what, "states": sketched, "ms": merged * 1000, "of control": float("nan")}]


def _exact(layout: Layout, products: int) -> pa.Table:
    rows, dice = products * HOURS, np.random.default_rng(1)
    of_row = np.repeat(np.arange(products), HOURS)
    lines = pa.array(dice.integers(1, 20, rows))
    revenue = pa.array(dice.integers(100, 1_000_000, rows)).cast(pa.decimal128(20, 0))
    plain = pa.table(
        {
            "product": pa.array([f"S{n:05}" for n in range(products)]).take(pa.array(of_row)),
            "region": pa.array([f"region {n:02}" for n in range(REGIONS)]).take(pa.array(of_row % REGIONS)),
            "hour": pa.array(np.tile(np.arange(HOURS), products)),
            "lines": lines,
            "revenue": pc.multiply(revenue, pa.scalar(Decimal("0.01"))).cast(pa.decimal128(18, 2)),
            "most": pa.array(dice.integers(1, 100, rows).astype(np.int32)),
        }
    )
    count, total, most = (EXACT[m].states[0].column for m in ("lines", "revenue", "most"))
    states = {count: lines, total: plain["revenue"].cast(pa.decimal128(38, 2)), most: plain["most"]}
    states |= {EXACT["mean"].states[1].column: lines}
    _stored(layout, f"exact_{products}", EXACT, _keyed(plain, states), products)
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
    _stored(layout, "sketched", measures, _keyed(plain, states), SKETCHED_PRODUCTS)
    return rows


def _keyed(plain: pa.Table, states: dict[str, Any]) -> pa.Table:
    keys = {name: plain[name] for name in ("product", "region") if name in plain.column_names}
    return pa.table({**keys, "_bucket": buckets(plain["hour"]), **states, "_rows": pa.repeat(1, len(plain))})


def _stored(layout: Layout, view: str, measures: dict[str, dv.Measure], states: pa.Table, products: int) -> None:
    """A view with the dimension of products."""
    StoredView(layout, view, measures, states)
    Joins(layout, view).set(["products"])
    named = {
        "product": [f"S{n:05}" for n in range(products)],
        "line": [f"line {n % LINES:02}" for n in range(products)],
    }
    if products == WHOLE:
        Versions(layout, "products").add(pa.table(named), key="product")


def _control(plain: pa.Table) -> Callable[[str], list[tuple[Any, ...]]]:
    connection = duckdb.connect()
    connection.register("incoming", plain)
    connection.execute("CREATE TABLE facts AS SELECT * FROM incoming ORDER BY product, region, hour")
    connection.execute(
        f"CREATE TABLE products AS SELECT printf('S%05d', n) AS product, printf('line %02d', n % {LINES}) AS line "
        f"FROM range({WHOLE}) AS r(n)"
    )

    def asked(by: str) -> list[tuple[Any, ...]]:
        rows = "facts JOIN products USING (product)" if by == "line" else "facts"
        return connection.execute(f"SELECT {by}, {FINISHED} FROM {rows} GROUP BY ALL ORDER BY ALL").fetchall()

    return asked


def _compare(said: list[dict[str, Any]], true: list[tuple[Any, ...]], asked: Question) -> None:
    grouped = asked.sql.count(",") + 1
    measures = [list(map(str, list(row.values())[grouped:])) for row in said]
    if measures != [list(map(str, row[grouped:])) for row in true]:
        raise RuntimeError(f"{asked.what}: the answer and its control differ")


def _in_turn(*questions: Callable[[], Any]) -> list[float]:
    """The median seconds of each, asked in turn after a first time."""
    taken = [list[float]() for _ in questions]
    for n in range(ROUNDS + 1):
        for seconds, ask in zip(taken, questions, strict=True):
            began = time.perf_counter()
            ask()
            if n:
                seconds.append(time.perf_counter() - began)
    return [median(seconds) for seconds in taken]
