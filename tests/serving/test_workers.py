"""Several processes at one address are one server: they answer alike, count together, and outlive each other."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import works
from access_stand import ALL, PEPPER, REQUIRED, give
from httpx_sse import connect_sse
from serving_stand import Stand, ViewSpec, event
from workers_stand import figures, gone, server, until

from dovetail.serving import workers
from dovetail.serving.workers import TRIES, Workers
from dovetail.shared import access
from dovetail.shared.errors import ServiceMissing, SettingsError
from dovetail.shared.measures import sum_

QUESTIONS: list[dict[str, Any]] = [
    {"where__country": "FR", "where__product": 1},
    {"by": "country,product", "order_by": "-pieces", "limit": 2},
    {"by": "country", "bucket": "1d", "tz": "Europe/Paris", "where__product__not": "7,8,9", "having__lines__gt": 0},
    {"by": "product", "measures": "ratio", "bucket": "1h", "window": "3h", "where__country": "FR,DE,IT,US"},
]


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales", measures={**ViewSpec("any").measures, "ratio": sum_("ratio")}))
    stand.commit([event(country=c, product=p, ratio=0.1 * p) for c in ("FR", "DE", "IT") for p in range(1, 4)])
    stand.batch("sales")
    stand.commit([event(country=c, product=p, ratio=0.7 / p) for c in ("FR", "DE", "US") for p in range(1, 4)])
    return spec


@pytest.mark.long
def test_each_worker_understands_what_another_has_said(tmp_path: Path, stand: Stand, sales: ViewSpec) -> None:
    with server(tmp_path, stand) as one, one.each() as each:
        first, second = each.values()
        for asked in QUESTIONS:
            said = first.answered("sales", **asked)
            receipt, tag = said.json()["receipt"], said.headers["etag"]
            params = {name.replace("__", "."): value for name, value in asked.items()}
            known = second.http.get("/v1/views/sales/query", params=params, headers={"if-none-match": tag})
            assert (known.status_code, known.headers["etag"]) == (304, tag)
            assert second.answered("sales", **asked).json()["rows"] == said.json()["rows"]
            assert second.get("sales", **asked, as_of=receipt["id"]).json()["rows"] == said.json()["rows"]
            assert second.http.get(f"/v1/receipts/{receipt['id']}").json()["seq"] == receipt["seq"]
        page = first.answered("sales", **QUESTIONS[1]).json()["receipt"]["next"]
        stand.commit([event()])  # a page is of the answer that it goes on, whatever has come since
        pages = [client.get("sales", **QUESTIONS[1], cursor=page).json()["rows"] for client in (second, first)]
        assert pages[0] == pages[1] != []
        assert [client.rows("sales", measures="lines") for client in (first, second)] == [[{"lines": 19}]] * 2
        pids = [*each]
        one.process.terminate()
        assert one.process.wait(15) == -signal.SIGTERM
        assert gone(pids, 1)


@pytest.mark.long
def test_who_is_killed_is_replaced_while_the_others_answer(tmp_path: Path, stand: Stand, sales: ViewSpec) -> None:
    found: list[int | str] = []
    stop = threading.Event()

    def ask(address: str) -> None:
        while not stop.is_set():
            try:  # a connection for each: one that was let in by who is killed is cut, which nobody can help
                found.append(httpx.get(f"{address}/v1/views/sales/query", timeout=20).status_code)
            except httpx.TransportError as error:
                found.append(type(error).__name__)

    with server(tmp_path, stand) as one:
        with one.each() as each:
            first, second = each
        asker = threading.Thread(target=ask, args=(one.address,))
        asker.start()
        try:
            os.kill(first, signal.SIGKILL)
            assert until(lambda: len(one.pids) == 2 and first not in one.pids, 10)
            with one.each() as each:
                assert first not in each
                assert second in each
                stand.commit([event()])
                assert [client.rows("sales", measures="lines") for client in each.values()] == [[{"lines": 19}]] * 2
        finally:
            stop.set()
            asker.join()
        assert len(found) > 20
        assert found.count(200) >= len(found) - 1  # but for what the killed one had let in
        assert 503 not in found, "the new one lets nobody in before it can answer"
        one.process.terminate()
        one.process.wait(15)
        assert one.process.stderr is not None
        assert one.process.stderr.read().endswith(" was ended by SIGKILL; it is started again\n")


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_none_outlives_the_server_however_it_ends(tmp_path: Path, stand: Stand, sales: ViewSpec, how: int) -> None:
    with server(tmp_path, stand) as one, one.each() as each, one.client() as http:
        pids = [*each, *(child.pid for child in psutil.Process(one.process.pid).children(recursive=True))]
        with connect_sse(http, "GET", "/v1/views/sales/live?every=60s") as source:
            events = source.iter_sse()
            assert next(events).event == "answer"
            began = time.monotonic()
            one.process.send_signal(how)
            assert [e for e in events if e.data] == [], "the stream is ended as one ends"
        one.process.wait(15)
        assert gone(pids, 10)
        assert time.monotonic() - began < 10


@pytest.mark.long
def test_a_terminal_s_ctrl_c_which_all_of_them_get_is_no_error(tmp_path: Path, stand: Stand, sales: ViewSpec) -> None:
    with server(tmp_path, stand) as one, one.each() as each:
        for pid in (*each, one.process.pid):
            os.kill(pid, signal.SIGINT)
        one.process.wait(15)
        assert gone([*each], 5)
        assert one.process.stderr is not None
        said = one.process.stderr.read()
        assert said.count("Traceback") == 1, said  # KeyboardInterrupt in `python -c`, which the command line takes
        assert "started again" not in said


@pytest.mark.long
def test_the_figures_are_those_of_all_workers(tmp_path: Path, stand: Stand, sales: ViewSpec) -> None:
    route = "{'route': '/v1/views/{view}/query', 'status': '2xx'}"
    asked, consumed = f"dovetail_http_requests_total{route}", "dovetail_source_records_total{'source': 'orders'}"
    with server(tmp_path, stand) as one, one.each() as each:
        first, second = each.values()
        for client, times in ((first, 3), (second, 5)):
            for _ in range(times):
                assert client.get("sales").status_code == 200
        assert until(lambda: figures(first.http)[asked] == figures(second.http)[asked] == 8, 5)
        assert figures(first.http)[consumed] == 18, "the ledger is not there twice"
        with connect_sse(first.http, "GET", "/v1/views/sales/live") as source:
            events = source.iter_sse()  # whose end would be that of the stream
            next(events)
            assert until(lambda: figures(second.http)["dovetail_live_streams"] == 1, 5)
        killed = next(iter(each))
        time.sleep(1.5)  # as often as a worker leaves its figures
        os.kill(killed, signal.SIGKILL)
        told: list[float] = []
        assert until(lambda: bool(told.append(figures(second.http)[asked])) or killed not in one.pids, 5)
        for _ in range(20):
            told.append(figures(second.http)[asked])
            time.sleep(0.1)
        assert {*told} == {8}, "what a worker has counted is counted for good"
        assert figures(second.http)[consumed] == 18
        assert figures(second.http)["dovetail_live_streams"] == 0


@pytest.mark.long
def test_a_key_is_one_for_all_workers(tmp_path: Path, stand: Stand, sales: ViewSpec, monkeypatch: Any) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    key = give(stand.layout, ALL)
    limits = {"requests_per_second": 7}
    with server(tmp_path, stand, key=key, access=REQUIRED, limits=limits) as one, one.each() as each:
        time.sleep(2.5)  # until what was asked to begin with is forgotten
        began, found = time.monotonic(), list[int]()
        while time.monotonic() - began < 4:
            for client in each.values():
                found.append(client.get("sales", measures="lines").status_code)
        assert {*found} == {200, 429}
        # Each worker's share is 4 a second, and twice that at once after a while without.
        assert found.count(200) <= 2 * 4 * (2 + 4) + 2
        lines = [json.loads(line) for line in (stand.layout.access / "audit.jsonl").read_bytes().splitlines()]
        assert len(lines) == found.count(200)

        access.change(stand.layout, lambda held: access.Access(held.grants, {}))
        assert until(lambda: all(c.get("sales").status_code == 401 for c in each.values()), 10)


def test_one_that_cannot_begin_ends_the_server_with_its_own_words() -> None:
    began, ended = time.monotonic(), list[int]()
    with pytest.raises(SettingsError, match="no pepper for 0") as refused:
        Workers(2, works.refuses, on_end=ended.append).run()
    assert ended == [0]
    assert (refused.value.where, refused.value.next, refused.value.exit_code) == ("access.pepper", "set it", 2)
    assert time.monotonic() - began < 20
    assert multiprocessing.active_children() == []


def test_workers_that_die_one_after_the_other_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PAUSE_S", 0.001)
    ended: list[int] = []

    def end(place: int) -> None:
        ended.append(place)
        assert len(ended) <= TRIES

    with pytest.raises(ServiceMissing, match="worker 0 ended with exit code 9"):
        Workers(1, works.comes_up_and_dies, on_end=end).run()
    assert ended == [0] * TRIES


@pytest.mark.long
def test_while_one_answers_another_that_dies_is_tried_again_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[float] = []

    def end(_: int) -> None:
        ended.append(time.monotonic())
        if len(ended) == TRIES + 2:
            signal.raise_signal(signal.SIGTERM)

    assert Workers(2, works.only_the_first_lasts, on_end=end).run() == signal.SIGTERM
    pauses = [later - earlier for earlier, later in itertools.pairwise(ended)]
    assert pauses[-1] > pauses[-2] > pauses[-3] > 0.8
    assert multiprocessing.active_children() == []
