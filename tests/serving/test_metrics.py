"""What Prometheus sees: figures that are those of the ledger, and series that no question makes more of."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_stand import Client, Ends, Stand, ViewSpec, event

from dovetail.serving.app import create_app
from dovetail.serving.metrics import Metrics, Part
from dovetail.serving.problems import Kind
from dovetail.serving.store import Store
from dovetail.shared.ledger import Judged
from dovetail.shared.settings import Settings

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: str) -> Series:
    """The value of each series by name and labels."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}


def read(serving: Client, name: str, **labels: str) -> float | None:
    return series(serving.http.get("/metrics").text).get((name, tuple(sorted(labels.items()))))


def told(serving: Client, *views: str) -> None:
    """Waits until everything committed so far is in the metrics, which is a moment after it is in answers."""
    for view in views or ("sales",):
        serving.rows(view)
        serving.until(lambda view=view: read(serving, "dovetail_view_seq", view=view) == serving.stand.seq)


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", product=2)])
    return spec


def test_the_age_of_a_cut_is_that_of_its_ledger_row(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    told(serving)
    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    cut = stand.ledger.last()
    assert cut is not None
    time.sleep(0.2)
    asked_at = time.time()
    age = read(serving, "dovetail_view_cut_age_seconds", view="sales")
    assert age is not None
    assert asked_at - cut.at <= age <= time.time() - cut.at
    stand.commit([event()])  # above the cut, which is where it was
    told(serving)
    later = read(serving, "dovetail_view_cut_age_seconds", view="sales")
    assert later is not None
    assert later > age


def test_depth_counts_what_speed_holds_above_the_cut(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    def depth() -> list[float | None]:
        return [read(serving, f"dovetail_view_speed_{name}", view="sales") for name in ("commits", "state_rows")]

    told(serving)
    assert depth() == [1, 2]
    stand.commit([event(), event()])
    stand.commit([event(), event(product=5), event(product=6)])
    told(serving)
    assert depth() == [3, 6]
    stand.batch("sales")
    serving.until(lambda: depth() == [0, 0])
    stand.commit([], quarantined=3)
    told(serving)
    assert depth() == [1, 0]


def test_each_commit_is_timed_once_from_its_newest_record_on(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    def timed() -> list[float | None]:
        return [read(serving, f"dovetail_view_visible_seconds_{n}", view="sales") for n in ("count", "sum")]

    told(serving)
    assert timed() == [0, 0], "what was there before this process is not of its time"
    stand.commit([event()], newest=round((time.time() - 100) * 1000))
    told(serving)
    count, total = timed()
    assert count == 1
    assert total is not None
    assert 100 <= total < 200
    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    assert timed()[0] == 1, "the same commit below a new cut"
    stand.commit([event()], newest=round((time.time() + 1000) * 1000))  # a clock that is ahead takes nothing off
    told(serving)
    assert timed() == [2, total]


def test_an_edition_that_is_published_again_times_nothing(sales: ViewSpec, stand: Stand, tmp_path: Path) -> None:
    metrics, store = Metrics(), Store(stand.layout.root)
    for events in ([], [event()], []):
        if events:
            stand.commit(events, newest=1)
        store.look()
        edition = store.views["sales"].published
        assert edition is not None
        metrics.published(replace(edition, token=0))
    store.stop()
    assert series(metrics.text().decode())["dovetail_view_visible_seconds_count", (("view", "sales"),)] == 1


def test_commits_that_came_with_a_new_manifest_are_timed_too(stand: Stand, sales: ViewSpec, serving: Client) -> None:
    told(serving)
    stand.miss(sales.version)
    serving.until(lambda: serving.http.get("/ready").status_code == 503)
    stand.in_force[sales.version] = sales
    stand.commit([event()], newest=round((time.time() - 50) * 1000))
    stand.batch("sales", full=True)
    stand.commit([event()], newest=round((time.time() - 50) * 1000))
    serving.until(lambda: serving.get("sales", at_least=stand.seq).status_code == 200)
    told(serving)
    assert read(serving, "dovetail_view_visible_seconds_count", view="sales") == 1  # the other lies in the run


def test_books_of_a_source_are_told_by_reason_once_for_all_its_views(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    stand.attach(ViewSpec("again"))
    stand.commit([event()], quarantined=5, repeats=2, broken={Judged("n > 0", "quarantine"): 3, Judged("w", "warn"): 1})
    stand.commit([event()], quarantined=1, repeats=1)
    told(serving, "sales", "again")
    stand.commit([event()], quarantined=1)
    told(serving, "sales", "again")
    assert read(serving, "dovetail_source_records_total", source="orders") == 15
    assert read(serving, "dovetail_source_quarantined_total", source="orders", reason="rule") == 3
    assert read(serving, "dovetail_source_quarantined_total", source="orders", reason="unreadable") == 4
    assert read(serving, "dovetail_source_repeats_total", source="orders") == 3


def test_a_question_is_timed_by_part(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    told(serving)

    def counts() -> dict[str, float | None]:
        return {part: read(serving, "dovetail_query_part_seconds_count", part=part) for part in get_args(Part)}

    before = counts()
    key = {"where__country": "FR", "where__product": 1}
    for _ in range(2):  # kept after the first time
        assert serving.get("sales", **key).status_code == 200
    assert serving.get("sales", at_least=stand.seq + 1, timeout=0.2).status_code == 503
    after = counts()
    assert {p: (after[p] or 0) - (before[p] or 0) for p in after} == {"wait": 1, "lookup": 1, "render": 2}
    waited = read(serving, "dovetail_query_part_seconds_sum", part="wait")
    assert waited is not None
    assert waited >= 0.2


def test_what_is_refused_is_counted_by_its_kind(
    sales: ViewSpec, stand: Stand, serving: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counts() -> dict[str, float | None]:
        return {kind: read(serving, "dovetail_refused_total", kind=kind) for kind in get_args(Kind)}

    told(serving)
    before = counts()
    assert None not in before.values(), "each is there from the start, so that the first one is an increase"
    serving.http.get("/v1/views/sale")
    serving.get("sales", measures="x")
    serving.http.get("/nowhere")
    serving.get("sales", at_least=99, timeout=0)
    last = {"connection": "close"}  # as the server does after these two, at some time
    serving.http.post("/v1/views/sales/query", content=b"x" * (2 << 20), headers=last)
    monkeypatch.setattr("dovetail.serving.view.groups", lambda *_, **__: 1 / 0)
    serving.http.get("/v1/views/sales/query?by=country", headers=last)
    grown = {kind: (n or 0) - (before[kind] or 0) for kind, n in counts().items()}
    assert {kind for kind, n in grown.items() if n} == {"not-found", "query", "http", "not-yet", "too-large", "crash"}
    assert {*grown.values()} == {0, 1}


@pytest.mark.parametrize("rounds", [125, pytest.param(1250, marks=pytest.mark.long)])
def test_random_questions_make_no_new_series(tmp_path: Path, stand: Stand, sales: ViewSpec, rounds: int) -> None:
    app, random_ = create_app(Settings(folder=tmp_path), log_end=Ends()), random.Random(7)

    async def ask(method: str, path: str, query: str = "", **headers: str) -> bytes:
        said = b""
        sent = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return sent.pop() if sent else await asyncio.Event().wait()  # who asks stays

        async def send(message: Any) -> None:
            nonlocal said
            said += message.get("body", b"")

        named = {"host": "127.0.0.1", **headers}
        await app(
            {
                "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": "",
                "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(),
                "headers": [(k.encode(), v.encode()) for k, v in named.items()],
                "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
            },
            receive,
            send,
        )  # fmt: skip
        return said

    async def some(word: str) -> None:
        await ask("GET", f"/{word}")
        await ask(word.upper(), "/v1/views")
        await ask("GET", f"/v1/views/{word}/query")
        await ask("GET", "/v1/views/sales/query", f"where.country={word}&where.product=1&measures=lines")
        await ask("GET", "/v1/views/sales/query", f"where.{word}=1")
        await ask("GET", "/v1/views/sales/query", f"as_of={word}&at_least={word}")
        await ask("GET", "/health", host=f"{word}.example")
        await ask("POST", "/v1/views/sales/query", f"x={word}", traceparent=word)

    async def run() -> tuple[Series, Series]:
        async with app.router.lifespan_context(app):
            while b'"ready":true' not in await ask("GET", "/ready"):
                await asyncio.sleep(0.01)
            await some("first")
            await ask("GET", "/metrics")
            before = series((await ask("GET", "/metrics")).decode())
            for _ in range(rounds):
                await some(f"w{random_.getrandbits(64):x}")
            return before, series((await ask("GET", "/metrics")).decode())

    before, after = asyncio.run(run())
    asked = ("dovetail_http_requests_total", (("route", "/v1/views/{view}/query"), ("status", "2xx")))
    assert after[asked] - before[asked] == rounds, "those were answered"
    assert {*after} == {*before}
