"""Figures of several workers put together: what is counted adds up, what lies in the storage is there once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from test_metrics import Series, series

from dovetail.serving.figures import Figures, set_aside
from dovetail.serving.metrics import Metrics

ASKED = ("dovetail_http_requests_total", (("route", "/"), ("status", "2xx")))
CONSUMED = ("dovetail_source_records_total", (("source", "orders"),))
STREAMS = ("dovetail_live_streams", ())
SECONDS = ("dovetail_http_seconds_count", (("route", "/"),))


def of(view: str, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"dovetail_view_{name}", (("view", view),)


@pytest.fixture
def workers(tmp_path: Path) -> list[tuple[Figures, Metrics]]:
    """Two: the second is a moment behind, and does not see the broker."""
    found = []
    for place in (0, 1):
        metrics = Metrics()
        metrics.requests.labels("/", "2xx").inc(10 + place)
        metrics.latency.labels("/").observe(0.001)
        metrics.consumed.labels("orders").inc(500 - place)
        metrics.streams.set(2)
        metrics.seq.labels("sales").set(40 - place)
        metrics.answerable.labels("sales").set(1 - place)
        metrics.records.labels("sales").set(7 if place == 0 else math.nan)
        found.append((Figures(tmp_path, place), metrics))
    return found


def told(worker: tuple[Figures, Metrics]) -> Series:
    return series(worker[0].of_all(worker[1].registry).decode())


def test_whichever_is_asked_tells_of_all(workers: list[tuple[Figures, Metrics]]) -> None:
    for figures, metrics in workers:
        figures.leave(metrics.registry)
    first, second = map(told, workers)
    assert first == second
    assert (first[ASKED], first[SECONDS], first[STREAMS]) == (21, 2, 4)
    assert first[CONSUMED] == 500
    assert (first[of("sales", "seq")], first[of("sales", "answerable")], first[of("sales", "behind_records")]) == (
        39, 0, 7,
    )  # fmt: skip


def test_alone_it_is_what_it_was(workers: list[tuple[Figures, Metrics]]) -> None:
    (_, metrics), *_ = workers
    assert told(workers[0]) == series(metrics.text().decode())


def test_what_is_told_is_never_taken_back(workers: list[tuple[Figures, Metrics]]) -> None:
    first, second = workers
    first[1].requests.labels("/", "2xx").inc(5)  # after it has left its figures last
    assert told(first)[ASKED] == 15
    assert told(second)[ASKED] == 26


def test_of_one_that_has_ended_only_what_it_counted_is_kept(workers: list[tuple[Figures, Metrics]]) -> None:
    first, second = workers
    told(first), told(second)
    set_aside(first[0].folder, 1)
    left = told(first)
    assert (left[ASKED], left[CONSUMED], left[STREAMS], left[of("sales", "seq")]) == (21, 500, 2, 40)
    again = Metrics()
    again.requests.labels("/", "2xx").inc(3)
    again.consumed.labels("orders").inc(520)
    again.streams.set(0)
    after = told((second[0], again))
    assert (after[ASKED], after[CONSUMED], after[STREAMS]) == (24, 520, 2)
    set_aside(first[0].folder, 1)  # and once more
    assert told(first)[ASKED] == 24
