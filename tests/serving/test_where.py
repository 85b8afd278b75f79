"""Conditions on keys and measures: the answers are what plain Python chooses; null is what it says it is."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle import MEASURE, truth
from serving_stand import Client, Event, Stand, ViewSpec, event
from serving_world import COUNTRIES, PRODUCTS, World, by_database, escaped, url

from dovetail.serving import where
from dovetail.serving.fields import from_url
from dovetail.serving.where import MANY, Condition

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("where") / "data")
    for _ in range(4):
        world.step(80)
    yield world
    world.store.stop()


@st.composite
def condition(draw: st.DrawFn) -> tuple[dict[str, Any], Callable[[Event], bool]]:
    """Fields of a question that bound its rows, and the same of an event."""
    key, values = draw(st.sampled_from([("country", COUNTRIES), ("product", PRODUCTS)]))
    ops = ["in", "not", *COMPARE, *(["prefix"] if key == "country" else [])]
    op, name = draw(st.sampled_from(ops)), f"where.{key}"
    if op in ("in", "not"):
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
        label = name if op == "in" else f"{name}.not"
        texts = [escaped(str(v)) for v in chosen if v is not None]
        fields = ({label: ",".join(texts)} if texts else {}) | ({f"{label}.null": "true"} if None in chosen else {})
        return fields, lambda e: (e[key] in chosen) == (op == "in")
    value = draw(st.sampled_from([v for v in values if v is not None]))
    fields = {f"{name}.{op}": escaped(str(value))}
    if op == "prefix":
        return fields, lambda e: e[key] is not None and e[key].startswith(value)
    return fields, lambda e: e[key] is not None and COMPARE[op](e[key], value)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(condition(), min_size=1, max_size=2),
    st.sampled_from([[], ["country"], ["country", "product"]]),
    st.sampled_from([0, MANY]),
)
def test_rows_are_those_that_plain_python_chooses(
    world: World, given: list[tuple[dict[str, Any], Callable[[Event], bool]]], by: list[str], many: int
) -> None:
    fields: dict[str, Any] = {"by": ",".join(by)}
    for each, _ in given:
        # The same parameter again, or its null, goes on with its list: another question.
        assume(not {n.removesuffix(".null") for n in fields} & {n.removesuffix(".null") for n in each})
        fields |= each
    view, names = world.view("sales"), list(MEASURE)
    asked = view.asked(url(fields), lambda: from_url(url(fields)))
    expected = truth(world.stand.events, by=by, measures=names, where=lambda e: all(holds(e) for _, holds in given))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(where, "MANY", many)  # as if there were so many that they are bound as a list
        found = orjson.loads(view.looked_up(asked.plan)[1].json)
        assert by_database(view, asked) == found
    assert [{n: row[n] for n in (*by, *names)} for row in found] == expected


def test_a_value_and_not_that_value_share_out_all_rows(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=c) for c in ("FR", "FR", "DE", None)])

    def lines(**asked: str) -> int:
        return serving.rows("sales", measures="lines", **asked)[0]["lines"]

    assert lines() == lines(where__country="FR") + lines(where__country__not="FR") == 4
    assert lines(where__country__not__null="true") == 3
    assert lines(where__country__gte="A") == 3


def test_having_leaves_rows_out_before_they_are_counted_off(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=c, amount=Decimal(n)) for c, n in (("a", 1), ("b", 5), ("c", 9), ("d", 7))])
    asked = {"by": "country", "measures": "revenue"}
    assert [r["country"] for r in serving.rows("sales", **asked, having__revenue__gte="5")] == ["b", "c", "d"]
    assert [r["country"] for r in serving.rows("sales", **asked, having__revenue="9.00,1.00")] == ["a", "c"]
    assert [r["country"] for r in serving.rows("sales", **asked, having__revenue__not="9.00")] == ["a", "b", "d"]
    cut = serving.answered("sales", **asked, having__revenue__gt="1", limit=2).json()
    assert [r["country"] for r in cut["rows"]] == ["b", "c"]
    assert cut["receipt"]["more"] is True


def test_having_is_asked_anew_of_an_answer_that_a_commit_changes(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country="FR", product=1)])
    one = {"measures": "lines", "where__country": "FR", "where__product": "1"}
    above, below = one | {"having__lines__gte": "2"}, one | {"having__lines__lt": "2"}
    assert (serving.rows("sales", **above), serving.rows("sales", **below)) == ([], [{"lines": 1}])
    stand.commit([event(country="FR", product=1)])
    assert (serving.rows("sales", **above), serving.rows("sales", **below)) == ([{"lines": 2}], [])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("INTEGER", [2**31 - 1, -5]), ("BIGINT", [2**62, 1]), ("DECIMAL(12,2)", [Decimal("10.25"), Decimal("-3")]),
        ("VARCHAR", ["", "a,b", "ä", "\u202e"]), ("BOOLEAN", [True]), ("DATE", [dt.date(2026, 3, 1)]),
        ("BLOB", [b"\0x", b""]), ("DOUBLE", [1.5, -0.0, float("inf")]), ("FLOAT", [0.10000000149011612]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("op", ["in", "not"])
@pytest.mark.parametrize("null", [True, False])
def test_many_values_are_found_as_few_are(
    kind: str, values: list[Any], op: Any, null: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition = Condition("x", op, (*values, *([None] if null else [])))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (n INTEGER, x {kind})")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [[n, x] for n, x in enumerate([*values, None])])
        connection.execute("INSERT INTO t SELECT 99, max(x) FROM t WHERE x <> (SELECT x FROM t WHERE n = 0)")

        def found() -> list[tuple[Any, ...]]:
            statement = f"SELECT n FROM t WHERE {condition.sql('x')} ORDER BY n"
            return connection.execute(statement, condition.bound).fetchall()

        one_by_one = found()
        monkeypatch.setattr(where, "MANY", 0)
        assert len(condition.bound) == 1
        assert found() == one_by_one
