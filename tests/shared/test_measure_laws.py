"""Every built-in measure keeps the laws and equals a truth in plain Python, over nasty rows."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import measures_truth as truth
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings

import dovetail as dv
from dovetail.testing import check_measure, rows, same

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java

SCHEMA = "i int, n bigint, m decimal(10,2), x double, s string, d date, t timestamp, b boolean"
EDGES = [-100, 0, 0.5, 1000]


def random_rows(seed: int, count: int) -> list[dict[str, Any]]:
    """Rows with repeats, nulls, extremes, NaN and infinities, the same for a seed."""
    r = random.Random(seed)
    day = dt.datetime(2026, 3, 29, tzinfo=dt.UTC)

    def maybe(value: Any) -> Any:
        return None if r.random() < 0.15 else value

    return [
        {
            "i": maybe(r.choice([0, 1, -1, 7, 2**31 - 1, -(2**31)])),
            "n": maybe(r.randrange(-(2**45), 2**45)),
            "m": maybe(Decimal(r.randrange(-(10**9), 10**9)).scaleb(-2)),
            "x": maybe(r.choice([r.gauss(50, 200), r.expovariate(1e-3), 0.0, 1e-12, -1e9])),
            "s": maybe(r.choice(["", "a", "A", "é", "e\u0301", "null", " a", "z" * 40, "\U0001f600"])),
            "d": maybe((day + dt.timedelta(days=r.randrange(5))).date()),
            "t": maybe(day + dt.timedelta(minutes=r.randrange(300))),
            "b": maybe(r.random() < 0.5),
        }
        for _ in range(count)
    ]


Truth = Callable[[Any], Any]
EXACT: dict[str, tuple[dv.Measure, Truth]] = {
    "count": (dv.count(), len),
    "count where": (dv.count(where="b"), lambda rs: sum(r["b"] is True for r in rs)),
    "sum of int": (dv.sum("i"), lambda rs: truth.total(truth.known(rs, "i"))),
    "sum of bigint": (dv.sum("n"), lambda rs: truth.total(truth.known(rs, "n"))),
    "sum of decimal": (dv.sum("m"), lambda rs: truth.total(truth.known(rs, "m"))),
    "sum of double": (dv.sum("x"), lambda rs: truth.total(truth.known(rs, "x"))),
    "sum where": (dv.sum("n", where="b"), lambda rs: truth.total(truth.known([r for r in rs if r["b"]], "n"))),
    **{
        f"{name} of {c}": (
            make(c),
            lambda rs, c=c, pick=pick: pick(truth.known(rs, c), key=truth.key, default=None),
        )
        for name, make, pick in (("min", dv.min, min), ("max", dv.max, max), ("any_value", dv.any_value, min))
        for c in ("i", "n", "m", "x", "s", "d", "t")
    },
    "avg of int": (dv.avg("i"), lambda rs: truth.mean(truth.known(rs, "i"))),
    "avg of decimal": (dv.avg("m"), lambda rs: truth.mean(truth.known(rs, "m"))),
    "avg of double": (dv.avg("x"), lambda rs: truth.mean(truth.known(rs, "x"))),
    "variance of int": (dv.variance("i"), lambda rs: truth.variance(truth.known(rs, "i"))),
    "variance of decimal": (dv.variance("m"), lambda rs: truth.variance(truth.known(rs, "m"))),
    "variance of a population": (
        dv.variance("x", population=True),
        lambda rs: truth.variance(truth.known(rs, "x"), free=0),
    ),
    "stddev": (dv.stddev("x"), lambda rs: truth.stddev(truth.known(rs, "x"))),
    "first": (dv.first("s", by="t"), lambda rs: truth.at(rs, "s", "t", last=False)),
    "last": (dv.last("m", by="t"), lambda rs: truth.at(rs, "m", "t", last=True)),
    "last by a date": (dv.last("t", by="d"), lambda rs: truth.at(rs, "t", "d", last=True)),
    "last that is known": (
        dv.last("s", by="t", ignore_nulls=True),
        lambda rs: truth.at(rs, "s", "t", last=True, where=lambda r: r["s"] is not None),
    ),
    "last where": (
        dv.last("n", by="t", where="b"),
        lambda rs: truth.at(rs, "n", "t", last=True, where=lambda r: r["b"]),
    ),
    "top_k of decimal": (dv.top_k("m", k=3), lambda rs: truth.largest(rs, "m", 3)),
    "top_k of double": (dv.top_k("x", k=5), lambda rs: truth.largest(rs, "x", 5)),
    "top_k of text": (dv.top_k("s", k=2), lambda rs: truth.largest(rs, "s", 2)),
    "collect_set of text": (dv.collect_set("s"), lambda rs: truth.distinct(truth.known(rs, "s"), 100)),
    "collect_set that overflows": (dv.collect_set("d", limit=2), lambda rs: truth.distinct(truth.known(rs, "d"), 2)),
    "collect_set of timestamps": (dv.collect_set("t"), lambda rs: truth.distinct(truth.known(rs, "t"), 100)),
    "bool_or": (dv.bool_or("b"), lambda rs: max(truth.known(rs, "b"), default=None)),
    "bool_and": (dv.bool_and("i > 0"), lambda rs: min((v > 0 for v in truth.known(rs, "i")), default=None)),
    "histogram": (dv.histogram("x", edges=EDGES), lambda rs: truth.bins(truth.known(rs, "x"), EDGES)),
    "histogram of decimal": (dv.histogram("m", edges=EDGES), lambda rs: truth.bins(truth.known(rs, "m"), EDGES)),
    "ratio": (
        dv.ratio(dv.sum("n"), dv.count(where="b")),
        lambda rs: truth_ratio(truth.total(truth.known(rs, "n")), sum(r["b"] is True for r in rs)),
    ),
    "measure": (
        dv.measure(n=dv.count(), s=dv.sum("i"), present=lambda n, s: pc.subtract(s, n)),
        lambda rs: None if not truth.known(rs, "i") else sum(truth.known(rs, "i")) - len(rs),
    ),
    "geometric_mean": (dv.geometric_mean("x", where="x < 1e9"), lambda rs: geometric(truth.known(rs, "x"))),
}


def left(rows: Any) -> list[dict[str, Any]]:
    """The rows that no other takes back."""
    taken = [r["id"] for r in rows if r["sign"] == -1]
    return [r for r in rows if r["sign"] == 1 and r["id"] not in taken]


def of_left(column: str, then: Truth, where: Callable[[Any], bool] = lambda r: True) -> Truth:
    return lambda rs: then(truth.known([r for r in left(rs) if where(r)], column))


S: dict[str, Any] = {"sign": "sign"}
SIGNED: dict[str, tuple[dv.Measure, Truth]] = {
    "variance of decimal": (dv.variance("m", **S), of_left("m", truth.variance)),
    "count where": (dv.count(where="b", **S), lambda rs: sum(r["b"] is True for r in left(rs))),
    "sum of decimal": (dv.sum("m", **S), of_left("m", truth.total)),
    "sum of bigint where": (dv.sum("n", where="b", **S), of_left("n", truth.total, lambda r: r["b"])),
    "sum of double": (dv.sum("x", where="abs(x) < 1e6", **S), of_left("x", truth.total, lambda r: small(r["x"]))),
    "avg of decimal": (dv.avg("m", **S), of_left("m", truth.mean)),
    "avg of double": (dv.avg("x", where="abs(x) < 1e6", **S), of_left("x", truth.mean, lambda r: small(r["x"]))),
    "variance of bigint": (dv.variance("n", **S), of_left("n", truth.variance)),
    "stddev of int": (dv.stddev("i", **S), of_left("i", truth.stddev)),
    "stddev of double": (
        dv.stddev("x", where="abs(x) < 1e6", **S),
        of_left("x", truth.stddev, lambda r: small(r["x"])),
    ),
    "histogram": (dv.histogram("m", edges=EDGES, **S), of_left("m", lambda values: truth.bins(values, EDGES))),
    "geometric_mean": (dv.geometric_mean("x", where="x < 1e9", **S), of_left("x", lambda values: geometric(values))),
    "ratio": (
        dv.ratio(dv.sum("n", **S), dv.count(where="b", **S)),
        lambda rs: truth_ratio(truth.total(truth.known(left(rs), "n")), sum(r["b"] is True for r in left(rs))),
    ),
}


def small(x: float | None) -> bool:
    return x is not None and abs(x) < 1e6


def signed_rows(seed: int, count: int, *, taken: float = 0.6) -> list[dict[str, Any]]:
    """Rows of which some take back others, in any order; and some that do neither."""
    r = random.Random(seed)
    given = [{**row, "id": n, "sign": 1} for n, row in enumerate(random_rows(seed, count))]
    back = [{**row, "sign": -1} for row in given if r.random() < taken]
    rows = [*given, *back, *({**row, "id": -1, "sign": 0} for row in given[:3])]
    r.shuffle(rows)
    return rows


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "variance of decimal" else [pytest.mark.long]) for n in SIGNED]
)
def test_signed_it_keeps_the_laws_and_equals_the_truth_of_what_is_left(name: str, spark: SparkSession) -> None:
    measure, expect = SIGNED[name]
    schema = f"{SCHEMA}, id int, sign int"
    for seed, count, taken in ((1, 40, 0.6), (2, 8, 1.0))[: 2 if name in QUICK else 1]:
        given = signed_rows(seed, count, taken=taken)
        check_measure(measure, given, schema=schema, spark=spark, expect=expect, seed=seed)


@pytest.mark.long
@pytest.mark.parametrize("sign", [2, -2, None])
def test_a_sign_that_is_none_raises(sign: int | None, spark: SparkSession) -> None:
    with pytest.raises(Exception, match="a sign that is not -1, 0 or 1"):
        check_measure(dv.count(sign="sign"), [{"sign": 1}, {"sign": sign}], schema="sign int", spark=spark)


def truth_ratio(over: Any, under: Any) -> float | None:
    return None if over is None or not under else over / under


def geometric(values: list[float]) -> float | None:
    logs = [math.log(v) for v in values if 0 < v < 1e9]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


# One of each kind here; every type of each in the long tests.
QUICK = [
    "count where", "sum of decimal", "sum of double", "min of x", "max of s", "avg of decimal", "variance of decimal",
    "stddev", "first", "last that is known", "top_k of double", "collect_set that overflows", "bool_and", "histogram",
    "ratio", "measure", "geometric_mean",
]  # fmt: skip
CASES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in EXACT]


@pytest.mark.parametrize("name", CASES)
def test_it_keeps_the_laws_and_equals_the_truth(name: str, spark: SparkSession) -> None:
    measure, expect = EXACT[name]
    for seed, count in ((1, 60), (2, 0)):
        check_measure(measure, random_rows(seed, count), schema=SCHEMA, spark=spark, expect=expect, seed=seed)


NASTY = {
    "sum of double": dv.sum("x"),
    "stddev": dv.stddev("x"),
    "first": dv.first("s", by="x"),
    "top_k": dv.top_k("x", k=3, by="i"),
    "collect_set": dv.collect_set("s", limit=3),
    "approx_distinct": dv.approx_distinct("s"),
    "approx_quantiles": dv.approx_quantiles("x"),
    "approx_top_k": dv.approx_top_k("s", k=3),
}


@pytest.mark.long
@pytest.mark.parametrize("name", NASTY)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_rows=rows("i int, x double, s string"))
def test_nothing_nasty_breaks_the_laws(name: str, given_rows: list[dict[str, Any]], spark: SparkSession) -> None:
    check_measure(NASTY[name], given_rows, schema="i int, x double, s string", spark=spark)


def test_values_of_rows_with_the_largest_by_come_with_what_ordered_them(spark: SparkSession) -> None:
    given = [{"s": "a", "i": 1}, {"s": "b", "i": 3}, {"s": None, "i": 3}, {"s": "c", "i": None}, {"s": "d", "i": 2}]
    answer = check_measure(dv.top_k("s", k=3, by="i"), given, schema="s string, i int", spark=spark)
    assert answer == [{"by": 3, "value": "b"}, {"by": 3, "value": None}, {"by": 2, "value": "d"}]


@pytest.mark.long
def test_distinct_values_lie_within_the_bounds(spark: SparkSession) -> None:
    given = [{"n": i % 5_000} for i in range(20_000)]
    measure = dv.approx_distinct("n")
    check_measure(measure, given, schema="n bigint", spark=spark, expect=lambda _: 5_000, within=near(0.05))


def near(share: float) -> Callable[[Any, Any], bool]:
    return lambda answer, true: abs(answer - true) <= share * true


@pytest.mark.parametrize("error", [0.01, *(pytest.param(e, marks=pytest.mark.long) for e in (0.002, 0.1))])
def test_quantiles_are_within_the_error_of_the_value_of_that_rank(error: float, spark: SparkSession) -> None:
    quantiles = (0, 0.01, 0.5, 0.95, 0.99, 1)
    measure = dv.approx_quantiles("x", error=error, quantiles=quantiles)

    def within(answer: Any, values: list[float]) -> bool:
        true = {p: truth.quantile(values, float(p[1:]) / 100) for p in answer}
        return all(abs(answer[p] - v) <= error * abs(v) * (1 + 1e-9) + 1e-9 for p, v in true.items())

    for seed, count in ((1, 400), (2, 1)):
        given = [r for r in random_rows(seed, count) if r["x"] != 1e-12]
        values = truth.known(given, "x")
        assert values or count == 1
        check_measure(
            measure, given, schema=SCHEMA, spark=spark, expect=lambda _, v=values: v,
            within=within if values else lambda answer, _: set(answer.values()) == {None},
        )  # fmt: skip


def test_quantiles_know_infinity_and_nan(spark: SparkSession) -> None:
    given = [{"x": v} for v in (-math.inf, -1.0, 0.0, 1.0, math.inf, math.nan)]
    measure = dv.approx_quantiles("x", quantiles=(0, 0.4, 0.8, 1))
    answer = check_measure(measure, given, schema="x double", spark=spark)
    assert same(answer, {"p0": -math.inf, "p40": 0.0, "p80": math.inf, "p100": math.nan})


def test_the_most_frequent_values_are_exact_while_few_are_tracked(spark: SparkSession) -> None:
    given = random_rows(5, 300)
    expect = [{"value": v, "count": n, "low": n} for v, n in truth.frequent(truth.known(given, "s"), 4)]
    check_measure(dv.approx_top_k("s", k=4), given, schema=SCHEMA, spark=spark, expect=lambda _: expect)


@pytest.mark.long
def test_frequent_values_among_many_lie_between_their_bounds(spark: SparkSession) -> None:
    given = [{"s": str(int(random.Random(i).expovariate(0.01)))} for i in range(5_000)]
    true = dict(truth.frequent([r["s"] for r in given], 5_000))
    measure = dv.approx_top_k("s", k=5, tracked=64)
    answer = check_measure(measure, given, schema="s string", spark=spark)
    assert len(answer) == 5
    assert all(item["low"] <= true[item["value"]] <= item["count"] for item in answer)
    assert all(item["count"] - item["low"] <= 3.5 / 64 * len(given) for item in answer)
    assert any(item["low"] < item["count"] for item in answer)
