"""A real Trino server says what the API says, and what the records come to."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from statistics import pvariance, stdev
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import MEASURES, STATE_TYPES, T0, Event, ViewSpec, event
from serving_world import some
from trino_server import TrinoServer, running
from trino_stand import MEASURES as MEASURE_NAMES
from trino_stand import Lake, asked, truth

from dovetail.shared import access
from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.errors import DovetailError, ServiceMissing, UsageError
from dovetail.shared.grants import Grant
from dovetail.shared.ledger import new_commit_id
from dovetail.shared.measures import Measure, count, first, last, ratio, stddev, sum_, variance
from dovetail.shared.trino.client import Trino

pytestmark = [pytest.mark.long, pytest.mark.java, pytest.mark.timeout(900)]
IN_FLIGHT = 50
OTHER = ViewSpec("sales", fingerprint="f" * 16, measures={**MEASURES, "revenue": sum_("quantity")})
"""Another version of sales, of which the revenue is another number."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrinoServer]:
    with running(tmp_path_factory.mktemp("trino")) as found:
        yield found


@pytest.fixture
def lake(tmp_path: Path, server: TrinoServer, request: pytest.FixtureRequest) -> Lake:
    folder = tmp_path / f"lake{abs(hash(request.node.name))}"
    folder.mkdir()
    return Lake(folder, server.url)


def test_trino_the_api_and_the_records_agree_before_across_and_after_a_cut(lake: Lake) -> None:
    stand, spec = lake.stand, lake.stand.attach(ViewSpec("sales"))
    with lake.served() as client:

        def agree() -> None:
            true = truth(stand.events, spec)
            assert asked(client) == true
            assert lake.sales() == true

        stand.commit(some(200, seed=1))
        lake.sync()
        agree()  # speed alone
        stand.commit(some(100, seed=2))
        agree()  # what came after the sync, without another
        stand.batch("sales")
        agree()  # a new cut, and Trino's view goes by the old one
        lake.sync()
        agree()
        stand.commit([event(country="late", ordered_at=T0 - dt.timedelta(days=400)), *some(50, seed=3)])
        agree()  # late and other rows above the cut
        stand.write(some(50, seed=4), new_commit_id(), stand.seq + 1)
        agree()  # states that no ledger row names
        stand.commit(some(20, seed=8))
        agree()  # nor when the next attempt has come to their seq
        stand.batch("sales")
        stand.batch("sales", full=True)
        lake.sync()
        agree()
        stand.prune("sales")
        agree()


def test_a_promoted_version_answers_in_trino_with_its_next_sync(lake: Lake) -> None:
    lake.stand.attach(ViewSpec("sales"))
    lake.stand.commit(some(50, seed=5))
    lake.stand.batch("sales")
    lake.sync()
    lake.stand.attach(OTHER, answers=False)
    lake.stand.commit(some(50, seed=6))
    before = lake.rows("SELECT sum(revenue) FROM {s}.sales")
    lake.stand.batch("sales", full=True)
    lake.stand.commit(some(20, seed=7))
    (synced,) = lake.sync()
    assert (synced.version, synced.generation) == (OTHER.version, 2)
    assert lake.rows("SELECT sum(lines), sum(revenue) FROM {s}.sales") == [
        [120, sum(e["quantity"] or 0 for e in lake.stand.events)]
    ]
    assert before == [[sum(e["amount"] or 0 for e in lake.stand.events[:100])]]


def test_each_of_fifty_queries_in_flight_over_a_promote_is_of_one_generation(lake: Lake) -> None:
    lake.stand.attach(ViewSpec("sales"))
    lake.stand.commit(some(60, seed=8))
    lake.stand.batch("sales")
    lake.stand.attach(OTHER, answers=False)
    lake.sync()
    true = {
        (60, sum(e["amount"] or 0 for e in lake.stand.events)): "before",
        (60, sum(e["quantity"] or 0 for e in lake.stand.events)): "after",
    }
    seen, wrong, stop = set[str](), list[Any](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            ((lines, revenue),) = lake.rows("SELECT sum(lines), sum(revenue) FROM {s}.sales")
            if (lines, revenue) in true:
                seen.add(true[lines, revenue])
            else:
                wrong.append((lines, revenue))

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        asking = [pool.submit(ask) for _ in range(IN_FLIGHT)]
        try:
            _until(lambda: "before" in seen or bool(wrong) or any(f.done() for f in asking))
            lake.stand.batch("sales", full=True)
            lake.sync()
            _until(lambda: "after" in seen or bool(wrong) or any(f.done() for f in asking))
        finally:
            stop.set()
        for each in asking:
            each.result()
    assert wrong == []
    assert seen == {"before", "after"}


def test_while_commits_land_every_answer_is_of_a_prefix_of_the_ledger(lake: Lake) -> None:
    lake.stand.attach(ViewSpec("sales"))
    lake.stand.commit([event()])
    lake.sync()
    answers, stop = list[list[Any]](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.extend(lake.rows("SELECT sum(lines), sum(revenue), count(*) FROM {s}.sales"))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            for n in range(60):  # each commit has two groups of its own, so half of one shows
                lake.stand.commit([event(country=f"c{n}"), event(country=f"d{n}")])
                time.sleep(0.05)
        finally:
            stop.set()
        for each in asking:
            each.result()
    assert len({lines for lines, *_ in answers}) > 3
    for lines, revenue, groups in answers:
        assert (lines - 1) % 2 == 0
        assert (revenue, groups) == (lines * Decimal("10.00"), lines)


def test_parts_that_do_not_fit_together_give_the_reason_and_no_number(lake: Lake) -> None:
    spec = lake.stand.attach(ViewSpec("sales"))
    lake.stand.commit([event()])
    lake.sync()
    lake.stand.commit([event()], name_rows=1)
    assert lake.rows("SELECT sum(lines) FROM {s}.sales") == [[1]]  # as if its rows were still to come
    lake.stand.commit([event()])
    _refused(lake, "rows of commits are missing")
    lake.stand.miss(spec.version)
    _refused(lake, "was not in force for every record")


def test_states_that_were_pruned_are_missed_by_the_view_of_before_and_not_after_a_sync(lake: Lake) -> None:
    lake.stand.attach(ViewSpec("sales"))
    lake.stand.commit([event()])
    lake.stand.batch("sales")
    lake.stand.commit([event()])
    lake.sync()
    lake.stand.batch("sales")
    lake.stand.prune("sales")
    lake.stand.commit([event()])
    _refused(lake, "states above its cut have been pruned")
    lake.sync()
    assert lake.rows("SELECT sum(lines) FROM {s}.sales") == [[3]]


def test_a_version_that_was_taken_out_of_force_answers_for_where_it_ends(lake: Lake) -> None:
    spec = lake.stand.attach(ViewSpec("sales"))
    lake.stand.commit([event()])
    lake.sync()
    lake.stand.detach(spec.version)
    lake.stand.commit([event()])
    assert lake.rows("SELECT sum(lines) FROM {s}.sales") == [[1]]


def test_a_view_may_be_called_select(lake: Lake) -> None:
    lake.stand.attach(ViewSpec("select", keys=("country",), bucket=None))
    lake.stand.attach(ViewSpec("totals", keys=(), bucket=None))
    lake.stand.commit([event(), event(country=None)])
    lake.sync()
    assert sorted(lake.rows('SELECT country, lines FROM {s}."select"'), key=str) == [["FR", 1], [None, 1]]
    assert lake.rows("SELECT lines, revenue FROM {s}.totals") == [[2, Decimal("20.00")]]


def test_a_dimension_s_columns_are_those_of_its_newest_version_at_the_sync(lake: Lake) -> None:
    lake.stand.attach(ViewSpec("sales"))
    products = Versions(lake.stand.layout, "products")
    rows = {"product": ["1", "2"], "vendor": ["Min Lin", 'O"Neill'], "a b": [1, 2]}
    products.add(pa.table(rows), key="product")
    Joins(lake.stand.layout, "sales").set(["products"])
    lake.stand.commit([event(product=1), event(product=2), event(product=3)])
    lake.sync()
    asked_for = 'SELECT vendor, sum("a b"), sum(lines) FROM {s}.sales GROUP BY vendor ORDER BY vendor'
    assert lake.rows(asked_for) == [["Min Lin", 1, 1], ['O"Neill', 2, 1], [None, None, 1]]
    products.add(pa.table({**rows, "vendor": ["Classic", "Classic"]}), key="product")
    lake.sync()
    assert lake.rows(asked_for) == [["Classic", 3, 2], [None, None, 1]]


def test_the_measures_that_are_no_sums_are_those_of_the_api(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {
        "by": pa.int32(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "absent": pa.bool_(),
        "value": pa.string(),
    }
    moments = {"n": pa.int64(), "mean": pa.float64(), "m2": pa.float64()}
    for name, kind in (("moments", moments), ("place", place)):
        monkeypatch.setitem(STATE_TYPES, name, pa.struct(list(kind.items())))
    measures: dict[str, Measure] = {
        "spread": stddev("moments"),
        "variance": variance("moments", population=True),
        "late": ratio(count(where="cancelled"), count()),
        "opened": first("place", by="quantity"),
        "closed": last("place", by="quantity"),
    }
    lake.stand.attach(ViewSpec("sales", keys=("country",), bucket=None, measures=measures))
    numbers: dict[str, list[float]] = {"FR": [3.25, 1e6, -4.5, 7.0, 7.0], "DE": [2.5]}
    by = [5, 5, 7, 9, 1]

    def placed(i: int, by: int) -> Event:
        value = None if i == 3 else f"v{i}"
        return {"by": by, "partition": 0, "offset": i, "absent": value is None, "value": value}

    records = [
        event(country=country, cancelled=i % 2 == 0, moments={"n": 1, "mean": x, "m2": 0.0}, place=placed(i, by[i]))
        for country, all_ in numbers.items() for i, x in enumerate(all_)
    ]  # fmt: skip
    records.append(event(country="IT", moments=None, place=None))
    with lake.served() as client:
        lake.stand.commit(records[:2])
        lake.stand.batch("sales")
        lake.stand.commit(records[2:4])
        lake.stand.commit(records[4:])
        lake.sync()
        rows = lake.rows(f"SELECT country, {', '.join(measures)} FROM {{s}}.sales ORDER BY country")
        api = client.rows("sales", by="country", measures=",".join(measures), order_by="country")
    assert rows == [
        [
            r["country"],
            *(
                r[m] and pytest.approx(r[m], rel=1e-9) if m in ("spread", "variance", "late") else r[m]
                for m in measures
            ),
        ]
        for r in api
    ]
    assert rows[0] == ["DE", None, 0.0, 1.0, "v0", "v0"]
    assert rows[1] == ["FR", *map(pytest.approx, (stdev(numbers["FR"]), pvariance(numbers["FR"]), 0.6)), "v4", None]
    assert rows[2] == ["IT", None, None, 0.0, None, None]


def test_a_named_grant_s_masks_are_how_keys_are_seen(tmp_path: Path, server: TrinoServer) -> None:
    lake = Lake(tmp_path, server.url, schema_name="masked", grant="some")
    spec = lake.stand.attach(ViewSpec("sales"))
    masks = {"country": "last(1)", "product": "bucket(2)", "revenue": "null"}
    access.change(lake.stand.layout, lambda held: held.with_grant(Grant("some", views=("sales",), columns=masks)))
    lake.stand.commit(some(80, seed=9))
    lake.stand.batch("sales")
    lake.stand.commit(some(40, seed=10))
    (synced,) = lake.sync()
    assert synced.left_out == {"revenue": "it is masked"}

    def seen(e: Event) -> Event:
        c, p = e["country"], e["product"]
        country = c if c is None else "***" + (c[-1:] if len(c) > 1 else "")
        return {**e, "country": country, "product": p if p is None else p - p % 2}

    true = truth([seen(e) for e in lake.stand.events], spec)
    at = MEASURE_NAMES.index("revenue")
    shown = [m for m in MEASURE_NAMES if m != "revenue"]
    assert lake.sales(shown) == {key: (*row[:at], *row[at + 1 :]) for key, row in true.items()}


def test_a_wrong_address_and_a_wrong_catalog_say_what_to_do(lake: Lake) -> None:
    nobody = lake.settings.trino.model_copy(update={"url": "http://127.0.0.1:9"})
    with pytest.raises(ServiceMissing, match="Trino does not answer") as missing:
        Trino(nobody).rows("SELECT 1")
    assert "127.0.0.1:9" in missing.value.where
    assert "dovetail trino sync" in missing.value.next
    lake.stand.attach(ViewSpec("sales"))
    lake.settings = lake.settings.model_copy(
        update={"trino": lake.settings.trino.model_copy(update={"catalog": "nowhere"})}
    )
    with pytest.raises(UsageError, match="Trino refuses") as refused:
        lake.sync()
    assert "[trino] catalog" in refused.value.next


def test_trino_ending_in_the_middle_of_a_query_is_told(tmp_path: Path, lake: Lake, server: TrinoServer) -> None:
    """The last one: no test after it finds the server."""
    numbers = "UNNEST(sequence(1, 10000))"
    long = f"SELECT count(*) FROM {numbers} a(x) CROSS JOIN {numbers} b(y) CROSS JOIN {numbers} c(z) WHERE x * y <> z"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lake.rows, long)
        time.sleep(3)
        assert not asking.done()
        server.kill()
        with pytest.raises(ServiceMissing, match="Trino does not answer") as ended:
            asking.result(120)
    assert ended.value.next
    with pytest.raises(ServiceMissing):
        lake.sync()


def _refused(lake: Lake, why: str) -> None:
    """Also where a filter, of whatever, leaves no rows."""
    filters = ("", "WHERE country = 'nowhere'", "WHERE country IS NOT NULL AND product = 99", "WHERE lines > 1000",
               "WHERE bucket > TIMESTAMP '2036-01-01 00:00:00 UTC'")  # fmt: skip
    for shown, where in itertools.product(("sum(lines)", "*", "count(*)"), filters):
        with pytest.raises(DovetailError) as refused:
            lake.rows(f"SELECT {shown} FROM {{s}}.sales {where}")
        assert why in refused.value.why


def _until(holds: Any) -> None:
    end = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
