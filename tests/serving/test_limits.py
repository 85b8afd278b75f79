"""Each limit has its own answer, which names it; and nobody waits long for what others ask for."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from access_stand import ALL, PEPPER, place, some
from serving_stand import Client, Stand, ViewSpec, event, serve

from dovetail.serving import formats, view
from dovetail.serving.answer import Shown
from dovetail.serving.database import Database
from dovetail.serving.fields import DEEPEST, LONGEST_LIST
from dovetail.serving.limits import LARGEST_HEADERS, LONGEST_URL, Lane
from dovetail.serving.problems import TooMuch
from dovetail.shared.grants import Grant
from dovetail.shared.sections import LimitSettings

SALES = Grant("sales", views=("sales",))


@pytest.fixture
def sales(stand: Stand, serving: Client) -> Client:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:03}") for n in range(100)])
    serving.rows("sales")
    return serving


def test_one_that_takes_long_holds_up_the_next_for_so_long_and_no_longer() -> None:
    async def main() -> None:
        lane, came = Lane(1, 0.2), dict[int, float]()

        async def one(n: int, seconds: float) -> None:
            async with lane.place():
                came[n] = time.monotonic()
                await asyncio.sleep(seconds)

        await asyncio.gather(one(0, 1), one(1, 0.02))
        assert 0.2 <= came[1] - came[0] < 0.9
        await asyncio.gather(one(2, 0.15), one(3, 0))
        assert came[3] - came[2] > 0.1, "the first, which left late, did not leave twice"

    asyncio.run(main())


def test_a_question_about_named_keys_waits_for_no_other(
    tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:03}") for n in range(3)])
    began, free, second = threading.Event(), threading.Event(), threading.Event()
    groups = view.groups

    def slow(shape: Any, plan: Any, *rest: Any) -> Any:
        (second if began.is_set() else began).set()
        free.wait(30)
        return groups(shape, plan, *rest)

    monkeypatch.setattr(view, "groups", slow)
    monkeypatch.setattr("dovetail.serving.service.CORES", 2)
    monkeypatch.setattr("dovetail.serving.service.LONG", 5.0)
    with serve(tmp_path, stand) as sales, ThreadPoolExecutor(2) as threads:
        broad = [threads.submit(sales.rows, "sales", by="country", limit=n) for n in (1, 2)]
        assert began.wait(10)
        assert sales.rows("sales", **{"where.country": "001", "where.product": 1})
        assert not second.wait(0.3)
        free.set()
        assert [len(one.result()) for one in broad] == [1, 2]


def test_where_many_ask_for_much_each_look_takes_one_core(
    tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:03}") for n in range(3)])
    began, free, taken = threading.Event(), threading.Event(), list[int]()
    groups = view.groups

    def slow(shape: Any, plan: Any, tables: Any, cursor: Any) -> Any:
        taken.extend(row[0] for row in cursor.execute("SELECT current_setting('threads')").fetchall())
        began.set()
        free.wait(30)
        return groups(shape, plan, tables, cursor)

    monkeypatch.setattr(view, "groups", slow)
    monkeypatch.setattr("dovetail.serving.service.CORES", 2)
    monkeypatch.setattr("dovetail.serving.service.LONG", 60.0)
    with serve(tmp_path, stand) as sales, ThreadPoolExecutor(5) as threads:
        broad = [threads.submit(sales.rows, "sales", by="country", limit=1)]
        assert began.wait(10)
        broad += [threads.submit(sales.rows, "sales", by="country", limit=n) for n in (2, 3, 4, 5)]
        time.sleep(0.5)  # until all wait for the first
        free.set()
        assert [len(one.result()) for one in broad] == [1, 2, 3, 3, 3]
    ((all_of_them,),) = duckdb.execute("SELECT current_setting('threads')").fetchall()
    assert taken == [all_of_them, 1, 1, all_of_them, all_of_them]


def test_the_database_reads_nothing_but_memory_and_cannot_be_told_to(tmp_path: Path) -> None:
    file, database = tmp_path / "some.csv", Database()
    file.write_text("a,b\n1,2\n")
    assert duckdb.execute(f"SELECT * FROM '{file}'").fetchall() == [(1, 2)]
    for statement in (
        f"SELECT * FROM '{file}'",
        "SET enable_external_access = true",
        f"ATTACH '{tmp_path / 'some.db'}'",
        f"COPY (SELECT 1) TO '{tmp_path / 'other.csv'}'",
        "INSTALL httpfs",
    ):
        with database.reading("sales") as (cursor, _), pytest.raises(duckdb.Error):
            cursor.execute(statement)
    database.close()
    assert [*tmp_path.iterdir()] == [file]


def nested(n: int) -> dict[str, Any]:
    found: Any = "x"
    for _ in range(n):
        found = {"in": [found]}
    return {"where": {"country": found}}


def test_a_path_or_headers_that_are_too_long_are_refused_before_anything_is_looked_at(sales: Client) -> None:
    url = "/v1/views/sales/query?where.country="
    assert sales.http.get(url + "x" * (LONGEST_URL - len(url))).status_code == 200
    refused = sales.http.get(url + "x" * LONGEST_URL)
    assert (refused.status_code, refused.json()["next"]) == (414, "POST the question as JSON")
    refused = sales.http.get("/v1/views", headers={"x-long": "x" * LARGEST_HEADERS})
    assert (refused.status_code, refused.json()["type"]) == (431, "urn:dovetail:too-large")


def test_a_body_without_a_length_is_read_only_so_far(sales: Client) -> None:
    endless = (b" " * (1 << 16) for _ in range(100))
    assert sales.http.post("/v1/views/sales/query", content=endless).status_code == 413


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (nested(DEEPEST), f"nested more than {DEEPEST} deep"),
        ({"where": {"country": ["x"] * (LONGEST_LIST + 1)}}, f"where.country has {LONGEST_LIST + 1} values"),
        ({"where": {"country": {"not": ["x"] * 10_000}}}, "where.country has 10000 values"),
        ({"by": ["country"] * (LONGEST_LIST + 1)}, f"by has {LONGEST_LIST + 1} values"),
        ({"limit": 1_000_000_000}, "limit"),
    ],
)
def test_a_question_that_is_too_large_is_refused(sales: Client, body: dict[str, Any], says: str) -> None:
    refused = sales.http.post("/v1/views/sales/query", json=body)
    assert refused.status_code == 422
    assert says in refused.json()["detail"]


def test_a_list_in_a_url_is_bounded_too(sales: Client) -> None:
    assert sales.http.get("/v1/views/sales/query?where.country=" + "," * LONGEST_LIST).status_code == 422


def test_a_body_nested_without_end_is_no_crash(sales: Client) -> None:
    for text in (b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000):
        assert sales.http.post("/v1/views/sales/query", content=text).status_code == 422


def test_more_groups_than_an_answer_may_have_are_refused(sales: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.serving.answer.MOST_GROUPS", 99)
    for asked in ({"order_by": "lines"}, {"bucket": "1d", "window": "2d"}, {"bucket": "1d", "order_by": "lines"}):
        refused = sales.get("sales", by="country", **asked)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:dovetail:too-much")
    monkeypatch.setattr("dovetail.serving.answer.MOST_GROUPS", 100)
    assert len(sales.rows("sales", by="country", order_by="lines")) == 100


def test_an_answer_that_is_too_large_is_refused_in_every_form(stand: Stand, tmp_path: Path) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:05}" + "x" * 400) for n in range(3_000)])
    with serve(tmp_path, stand, limits={"megabytes": 1}) as client:
        assert len(client.rows("sales", by="country", limit=1000)) == 1000
        for kind in ("application/json", "text/csv"):
            refused = client.http.get(
                "/v1/views/sales/query?by=country&measures=lines&limit=3000", headers={"accept": kind}
            )
            assert (refused.status_code, "limits.megabytes" in refused.json()["detail"]) == (422, True)


def test_a_look_that_takes_too_long_is_ended_and_the_next_one_is_not() -> None:
    database = Database(seconds=0.3)
    began = time.monotonic()
    with pytest.raises(TooMuch, match=r"longer than 0.3 s: limits.seconds"), database.reading("none") as (cursor, _):
        cursor.execute("SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b").fetchall()
    assert time.monotonic() - began < 5
    with database.reading("none") as (cursor, _):
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    database.close()


def test_a_look_that_needs_more_memory_than_there_is_is_refused_and_ends_nothing() -> None:
    database = Database(workers=100)  # each has its share
    with pytest.raises(TooMuch, match="more memory"), database.reading("none"):
        raise duckdb.OutOfMemoryException
    with database.reading("none") as (cursor, _):
        (limit,) = cursor.execute("SELECT current_setting('memory_limit')").fetchone() or ("",)
    assert re.fullmatch(r"[\d.]+ [MG]iB", limit)
    assert limit != duckdb.sql("SELECT current_setting('memory_limit')").fetchall()[0][0]
    database.close()


def test_nobody_waits_while_the_rows_of_others_are_written(sales: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[str]()

    def watched(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*given: Any) -> Any:
            threads.add(threading.current_thread().name)
            return write(*given)

        return written

    monkeypatch.setattr(Shown, "as_json", watched(Shown.as_json))
    for kind, write in formats.WRITERS.items():
        monkeypatch.setitem(formats.WRITERS, kind, watched(write))  # type: ignore[arg-type]  it is a dict
    url = "/v1/views/sales/query?by=country"
    receipt = sales.http.get(url).json()["receipt"]["id"]
    for kind in ("text/csv", "application/x-ndjson"):
        assert sales.http.get(url, headers={"accept": kind}).status_code == 200
    assert sales.http.get(f"{url}&as_of={receipt}").status_code == 200
    sql = {"sql": "SELECT country, MEASURE(lines) AS lines FROM sales GROUP BY country"}
    assert sales.http.post("/v1/sql", json=sql).status_code == 200
    assert {name.partition(" thread")[0] for name in threads} == {"AnyIO worker"}


def test_rows_are_written_in_parts_that_are_the_whole(sales: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {by: sales.rows("sales", by=by, order_by="-lines") for by in ("country", "product")}
    monkeypatch.setattr("dovetail.serving.answer.FEW", 0)
    monkeypatch.setattr("dovetail.serving.json_rows.AT_ONCE", 7)
    assert {by: sales.rows("sales", by=by, order_by="-lines") for by in whole} == whole
    assert sales.rows("sales", by="country", having__lines__gt=99) == []


def test_who_asks_too_much_is_told_when_to_come_again_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    few = {"limits": {"requests_per_second": 5}}
    with place(tmp_path, some(), sections=few) as server, server.as_(SALES) as loud, server.as_(SALES) as quiet:
        found = [loud.get("/v1/views/sales/query") for _ in range(30)]
        refused = [r for r in found if r.status_code == 429]
        assert len(refused) >= 15
        assert "limits.requests_per_second" in refused[0].json()["detail"]
        assert int(refused[0].headers["retry-after"]) >= 1
        assert loud.get(f"/v1/receipts/{found[0].json()['receipt']['id']}").status_code == 429  # also of its parts
        assert quiet.get("/v1/views/sales/query").status_code == 200
        time.sleep(float(refused[-1].headers["retry-after"]))
        assert loud.get("/v1/views/sales/query").status_code == 200


def test_only_so_many_requests_of_one_key_are_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    with place(tmp_path, some(), sections={"limits": {"requests_at_once": 3}}) as server, server.as_(ALL) as http:
        found: list[int] = []

        def wait() -> None:
            found.append(http.get("/v1/views/sales/query?at_least=999&timeout=1").status_code)

        threads = [threading.Thread(target=wait) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [429, 429, 429, 503, 503, 503]
        assert http.get("/v1/views/sales/query").status_code == 200


def test_each_of_several_workers_allows_its_share_rounded_up() -> None:
    limits = LimitSettings(requests_per_second=1_000, requests_at_once=64, lookups_at_once=2, live_streams=200)
    assert limits.share(1) == limits
    shared = {"requests_per_second": 334, "requests_at_once": 22, "lookups_at_once": 1, "live_streams": 67}
    assert limits.share(3) == LimitSettings(**shared, unread_megabytes=86)


def test_idle_connections_keep_nobody_out(sales: Client) -> None:
    port = sales.http.base_url.port
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
    try:
        for half in idle[:250]:
            half.sendall(b"GET /v1/views HTTP/1.1\r\nHost: ")
        assert sales.http.get("/v1/views").status_code == 200
    finally:
        for each in idle:
            each.close()
