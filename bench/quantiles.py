"""Why `approx_quantiles` counts in bins: DDSketch against KLL and t-digest, on the same values in the same states.

Prepared by Spark where it has a function for it; merged as serving would. `off by` is the largest relative difference
from the true p50, p95 and p99 of all values; `answers` are how many different ones merging in another order gave.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasketches
import pyarrow as pa

from dovetail.shared import engine, settings
from dovetail.shared.measures import approx_quantiles
from dovetail.shared.measures.quantiles import Binned, Quantiles

ROWS, GROUPS, QUANTILES, ORDERS = 3_000_000, 720, (0.5, 0.95, 0.99), 10
Merge = Callable[[pa.Array], list[float]]


def run(folder: Path) -> list[dict[str, Any]]:
    (folder / "dovetail.toml").write_text("")
    spark = engine.start(settings.load(folder), "bench", conf={"spark.sql.shuffle.partitions": "2"})
    values = spark.range(ROWS).selectExpr(f"id % {GROUPS} AS g", "exp(randn(7) * 2) AS x").cache()
    column = values.toArrow()["x"].combine_chunks()
    true = [sorted(column.to_pylist())[int(q * (ROWS - 1))] for q in QUANTILES]
    state = approx_quantiles("x").states[0]

    def prepared(aggregate: str) -> tuple[float, pa.Array]:
        grouped = values.groupBy("g").agg(_expr(aggregate))
        grouped.toArrow()
        began = time.perf_counter()
        states = grouped.toArrow()["s"]
        return time.perf_counter() - began, states.combine_chunks()

    rows = []
    for what, aggregate, merge in (
        ("DDSketch, 1 %", state.prepared, _bins),
        ("KLL, k = 200", "kll_sketch_agg_double(x, 200)", _kll),
    ):
        rows.append(_row(what, *prepared(aggregate), merge, true))
    spark.stop()
    by_group: list[Any] = [datasketches.tdigest_double(200) for _ in range(GROUPS)]
    for n, x in enumerate(column.to_pylist()):
        by_group[n % GROUPS].update(x)
    digests = pa.array([digest.serialize() for digest in by_group])
    rows.append(_row("t-digest, k = 200", float("nan"), digests, _tdigest, true))
    return rows


def _expr(aggregate: str) -> Any:
    from pyspark.sql import functions as F

    return F.expr(f"{aggregate} AS s")


def _row(what: str, seconds: float, states: pa.Array, merge: Merge, true: list[float]) -> dict[str, Any]:
    began = time.perf_counter()
    found = merge(states)
    merged = time.perf_counter() - began
    answers = {tuple(found)}
    for seed in range(ORDERS):
        answers.add(tuple(merge(states.take(random.Random(seed).sample(range(GROUPS), GROUPS)))))
    off = max(abs(a - t) / t for answer in answers for a, t in zip(answer, true, strict=True))
    return {
        "what": what, "prepare s": seconds, "bytes a state": states.nbytes // GROUPS,
        "merge µs a state": merged / GROUPS * 1e6, "off by": f"{off:.2%}", "answers": len(answers),
    }  # fmt: skip


def _bins(states: pa.Array) -> list[float]:
    gathered = pa.ListArray.from_arrays(pa.array([0, len(states)], pa.int32()), states)
    merged = Binned(0.01).collected(gathered)
    return list(Quantiles(0.01, QUANTILES).present(merged)[0].as_py().values())


def _kll(states: pa.Array) -> list[float]:
    merged = datasketches.kll_doubles_sketch(200)
    for each in states.to_pylist():
        merged.merge(datasketches.kll_doubles_sketch.deserialize(each))
    return [merged.get_quantile(q) for q in QUANTILES]


def _tdigest(states: pa.Array) -> list[float]:
    merged = datasketches.tdigest_double(200)
    for each in states.to_pylist():
        merged.merge(datasketches.tdigest_double.deserialize(each))
    return [merged.get_quantile(q) for q in QUANTILES]
