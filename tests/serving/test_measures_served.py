"""Every measure, folded by Spark and asked over HTTP: from batch alone, from speed alone, and merged at random cuts."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from serving_stand import Event, Stand, ViewSpec, serve

import dovetail as dv
from dovetail.shared.duration import bucket_seconds
from dovetail.shared.engine import arrow
from dovetail.shared.fold import fold
from dovetail.shared.versions import Bundle

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java

GROUPS, RECORDS = 200, 4_000
SCHEMA = "slice int, g int, i int, m decimal(10,2), x double, s string, d date, t timestamp, b boolean, "
SCHEMA += "_partition int, _offset bigint"
T0 = dt.datetime(2026, 3, 29, tzinfo=dt.UTC)
EDGES = [0, 50, 1_000]
source = dv.source("records", schema="t timestamp, s string", event_time="t")
MEASURES: dict[str, dv.Measure] = {
    "rows": dv.count(), "true": dv.count(where="b"), "total": dv.sum("m"), "ints": dv.sum("i"), "doubles": dv.sum("x"),
    "least": dv.min("d"), "most": dv.max("s"), "mean": dv.avg("m"), "mean_int": dv.avg("i"),
    "spread": dv.variance("x"), "deviation": dv.stddev("m"), "first": dv.first("s"), "last": dv.last("m"),
    "largest": dv.top_k("m", k=3), "largest_names": dv.top_k("s", k=2, by="i"), "bins": dv.histogram("x", edges=EDGES),
    "set": dv.collect_set("s", limit=4), "any": dv.any_value("i"), "some": dv.bool_or("b"), "all": dv.bool_and("b"),
    "share": dv.ratio(dv.count(where="b"), dv.count()), "growth": dv.geometric_mean("x"),
    "distinct": dv.approx_distinct("s"), "quantiles": dv.approx_quantiles("x"), "frequent": dv.approx_top_k("s", k=2),
}  # fmt: skip


def records() -> list[Event]:
    r = random.Random(7)

    def maybe(value: Any) -> Any:
        return None if r.random() < 0.1 else value

    return [
        {
            "g": r.randrange(GROUPS),
            "i": maybe(r.randrange(-50, 50)),
            "m": maybe(Decimal(r.randrange(-(10**6), 10**6)).scaleb(-2)),
            "x": maybe(r.lognormvariate(3, 2)),
            "s": maybe(f"s{int(r.expovariate(0.1))}"),
            "d": maybe((T0 + dt.timedelta(days=r.randrange(9))).date()),
            "t": T0 + dt.timedelta(minutes=r.randrange(50)),
            "b": maybe(r.random() < 0.5),
            "_partition": n % 2,
            "_offset": n // 2,
        }
        for n in range(RECORDS)
    ]


ALL = records()


@dataclass
class Cut:
    """Where the records are parted: below `run` lies a batch run, above it commits up to each of `ends`."""

    run: int
    ends: tuple[int, ...]

    @property
    def spans(self) -> list[tuple[int, int]]:
        return [*zip((0, self.run, *self.ends), (self.run, *self.ends), strict=False)]


r = random.Random(1)
CUTS = {
    "batch alone": Cut(RECORDS, ()),
    "speed alone": Cut(0, (RECORDS // 3, RECORDS)),
    **{
        f"cut at {c}": Cut(c, (r.randrange(c + 1, RECORDS), RECORDS))
        for c in sorted(r.sample(range(1, RECORDS - 1), 5))
    },
}


@dataclass
class SparkSpec(ViewSpec):
    """A view whose states are Spark's, folded beforehand for every slice."""

    states: pa.Table = field(default_factory=lambda: pa.table({}))

    @property
    def groups(self) -> pa.Schema:
        return self.states.drop_columns(["slice"]).schema

    def fold(self, events: Sequence[Event]) -> pa.Table:
        found = self.states.filter(pa.compute.equal(self.states["slice"], events[0]["slice"] if events else -1))
        return found.drop_columns(["slice"])


@pytest.fixture(scope="module")
def states(spark: SparkSession) -> tuple[dv.View, pa.Table]:
    """The states of each span of records that any cut parts them into, by Spark's fold."""
    spans = enumerate(span for cut in CUTS.values() for span in cut.spans)
    return folded(spark, [{**e, "slice": n} for n, (a, b) in spans for e in ALL[a:b]])


def folded(spark: SparkSession, events: Sequence[Event], *, bucket: str | None = None) -> tuple[dv.View, pa.Table]:
    view = dv.view("served", source=source, keys=["slice", "g"], bucket=bucket, measures=MEASURES)
    seconds = bucket_seconds(bucket) if bucket else None
    bundle = Bundle("served@0", "records", "records", {}, view.keys, seconds, view.measures, "", Path())
    bundle.__dict__["_view"] = view
    columns = [part.split()[0] for part in SCHEMA.split(", ")]
    return view, arrow(fold(spark.createDataFrame([tuple(e[c] for c in columns) for e in events], SCHEMA), bundle))


@pytest.mark.parametrize("name", CUTS)
def test_it_equals_the_truth(name: str, states: tuple[dv.View, pa.Table], tmp_path: Path) -> None:
    view, table = states
    cut, stand = CUTS[name], Stand(tmp_path / "data")
    spec = SparkSpec("served", keys=("g",), bucket=None, measures=dict(view.measures), states=table)
    stand.attach(spec)
    first = sum(len(c.spans) for c in list(CUTS.values())[: list(CUTS).index(name)])
    for n, (a, b) in enumerate(cut.spans):
        events = [{**e, "slice": first + n} for e in ALL[a:b]]
        if events:
            stand.commit(events)
        if n == 0 and events:
            stand.batch("served")
    parts = ",".join([*MEASURES, "distinct.low", "distinct.high", "quantiles.p10", "set.values"])
    with serve(tmp_path, stand) as client:
        answer = client.answered("served", by="g", measures=parts).json()
    grouped: dict[int, list[Event]] = {}
    for e in ALL:
        grouped.setdefault(e["g"], []).append(e)
    assert [row["g"] for row in answer["rows"]] == sorted(grouped)
    within: Counter[str] = Counter()
    for row in answer["rows"]:
        events = grouped[row["g"]]
        assert {k: row[k] for k in EXACT} == {k: true(events) for k, true in EXACT.items()}
        for measure, true in DOUBLES.items():
            assert row[measure] == (None if true(events) is None else pytest.approx(true(events), rel=1e-9)), measure
        within.update(approximate(row, events))
    assert within["distinct"] >= 0.99 * len(grouped)
    assert within["quantiles"] == within["frequent"] == len(grouped)
    assert answer["receipt"]["approximate"] == ["distinct", "quantiles", "frequent"]


@pytest.mark.parametrize("one_key", [False, True])
def test_a_window_answers_as_its_time_alone_would(one_key: bool, spark: SparkSession, tmp_path: Path) -> None:
    """Of every measure, with half of the records below the cut and half above, over the days that a clock changes."""
    events = [
        {**e, "g": n % 2, "slice": n % 4 // 2, "t": T0 + dt.timedelta(hours=n % 97)} for n, e in enumerate(ALL[:600])
    ]
    view, table = folded(spark, events, bucket="1h")
    stand = Stand(tmp_path / "data")
    stand.attach(SparkSpec("served", keys=("g",), bucket=3600, measures=dict(view.measures), states=table))
    stand.commit([e for e in events if e["slice"] == 0])
    stand.batch("served")
    stand.commit([e for e in events if e["slice"] == 1])
    asked = {"by": "g", "tz": "Europe/Paris"} | ({"where__g": 1} if one_key else {})
    with serve(tmp_path, stand) as client:
        found = client.rows("served", bucket="1d", window="2d", fill="zero", end="2026-04-05", **asked)
        days = [dt.date(2026, 3, 29) + dt.timedelta(n) for n in range(7)]
        assert [r["bucket"][:10] for r in found if r["g"] == 1] == [str(day) for day in days]
        for row in found:
            day = dt.date.fromisoformat(row.pop("bucket")[:10])
            alone = client.rows("served", start=day - dt.timedelta(1), end=day + dt.timedelta(1), **asked)
            expected = [r for r in alone if r["g"] == row["g"]]
            if day < days[-1]:
                assert [row] == [{**r, **{m: pytest.approx(r[m], rel=1e-9) for m in DOUBLES}} for r in expected]
            else:  # there are no records: a number is 0
                shown = {name: row[name] for name in ("total", "doubles", "distinct", "least")}
                assert (expected, shown) == ([], {"total": "0.00", "doubles": 0, "distinct": 0, "least": None})


def known(events: Sequence[Event], name: str) -> list[Any]:
    return [e[name] for e in events if e[name] is not None]


def place(e: Event) -> tuple[Any, ...]:
    return (e["t"], e["_partition"], e["_offset"])


def money(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def mean(values: list[Decimal]) -> str | None:
    return money((sum(values) / len(values)).quantize(Decimal("0.000001"), "ROUND_HALF_UP")) if values else None


def binned(values: list[float]) -> list[dict[str, Any]]:
    ends = list(zip([None, *EDGES], [*EDGES, None], strict=True))
    inside = lambda v, a, b: (a is None or v >= a) and (b is None or v < b)  # noqa: E731
    return [{"low": a, "high": b, "count": sum(inside(v, a, b) for v in values)} for a, b in ends]


def largest_names(events: Sequence[Event]) -> list[dict[str, Any]]:
    ordered = [e for e in events if e["i"] is not None]
    ordered.sort(key=lambda e: (e["i"], e["s"] is not None, e["s"] or ""), reverse=True)
    return [{"by": e["i"], "value": e["s"]} for e in ordered[:2]]


def distinct(events: Sequence[Event]) -> list[str]:
    return sorted(set(known(events, "s")))


EXACT: dict[str, Callable[[Sequence[Event]], Any]] = {
    "rows": len,
    "true": lambda es: sum(e["b"] is True for e in es),
    "total": lambda es: money(sum(known(es, "m"), Decimal("0.00"))) if known(es, "m") else None,
    "ints": lambda es: sum(known(es, "i")) if known(es, "i") else None,
    "least": lambda es: str(min(known(es, "d"))) if known(es, "d") else None,
    "most": lambda es: max(known(es, "s"), default=None),
    "mean": lambda es: mean(known(es, "m")),
    "mean_int": lambda es: fmean(known(es, "i")) if known(es, "i") else None,
    "first": lambda es: min(es, key=place)["s"],
    "last": lambda es: money(max(es, key=place)["m"]),
    "largest": lambda es: [money(v) for v in sorted(known(es, "m"), reverse=True)[:3]],
    "largest_names": largest_names,
    "bins": lambda es: binned(known(es, "x")),
    "set": lambda es: {"values": distinct(es)[:4], "overflowed": len(distinct(es)) > 4},
    "set.values": lambda es: distinct(es)[:4],
    "any": lambda es: min(known(es, "i"), default=None),
    "some": lambda es: max(known(es, "b"), default=None),
    "all": lambda es: min(known(es, "b"), default=None),
    "share": lambda es: sum(e["b"] is True for e in es) / len(es),
}


def variance(values: list[Any]) -> float | None:
    from statistics import variance as of_sample

    return float(of_sample(values)) if len(values) > 1 else None


def geometric(values: list[float]) -> float | None:
    from statistics import geometric_mean

    return geometric_mean(values) if values else None


DOUBLES: dict[str, Callable[[Sequence[Event]], float | None]] = {
    "doubles": lambda es: sum(known(es, "x")) if known(es, "x") else None,
    "spread": lambda es: variance(known(es, "x")),
    "deviation": lambda es: None if variance(known(es, "m")) is None else variance(known(es, "m")) ** 0.5,
    "growth": lambda es: geometric(known(es, "x")),
}


def approximate(row: dict[str, Any], events: Sequence[Event]) -> Counter[str]:
    """Which of the approximate answers lie within their bounds."""
    values, names = sorted(known(events, "x")), Counter(known(events, "s"))
    at = {p: values[int(q * (len(values) - 1))] for p, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p10", 0.1))}
    said = {**row["quantiles"], "p10": row["quantiles.p10"]}
    return Counter(
        distinct=row["distinct.low"] <= len(names) <= row["distinct.high"] and row["distinct"] > 0,
        quantiles=all(abs(said[p] - v) <= 0.01 * v + 1e-9 for p, v in at.items()),
        frequent=[(f["value"], f["count"]) for f in row["frequent"]]
        == sorted(names.items(), key=lambda item: (-item[1], item[0]))[:2],
    )
