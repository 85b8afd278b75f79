"""Kept answers: what may come in while a commit is worked in, and what leaves when room is short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from serving_stand import T0, Stand, ViewSpec, event

from dovetail.serving import kept as module
from dovetail.serving import lookup
from dovetail.serving.fields import Fields, from_url
from dovetail.serving.query import Plan
from dovetail.serving.store import Store
from dovetail.serving.view import View
from dovetail.shared.errors import QueryError
from dovetail.shared.measures import approx_quantiles, sum_

FRANCE = "where.country=FR&where.product=1&measures=lines"
COUNTED = Fields(lists={"measures": ["lines"]})
WEEKLY = f"{FRANCE}&bucket=1d&window=7d"


@pytest.fixture
def store(tmp_path: Path, stand: Stand) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    look(store, stand)
    yield store
    store.stop()


def look(store: Store, stand: Stand) -> View:
    while True:
        store.look()
        view = store.view("sales")
        if view is not None and view.published is not None and view.published.seq == stand.seq:
            return view


def plan(view: View, url: str) -> Plan:
    return view.asked(url, lambda: from_url(url)).plan


def lines(answer: Any) -> int:
    ((found,),) = [row.values() for row in orjson.loads(answer[1].json)]
    return int(found)


def test_an_answer_read_before_a_commit_does_not_come_in_after_it(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = look(store, stand)
    france = plan(view, FRANCE)
    append = store._database.append

    def meanwhile(*given: Any) -> None:
        assert lines(view.looked_up(france)) == 1  # a reader, after the commit chose which answers to patch
        append(*given)

    monkeypatch.setattr(store._database, "append", meanwhile)
    stand.commit([event()])
    look(store, stand)
    found = view.at_hand(france)
    assert found is None or lines(found) == 2
    assert lines(view.looked_up(france)) == 2


def test_a_commit_patches_what_it_touches_and_leaves_the_rest(store: Store, stand: Stand) -> None:
    view = look(store, stand)
    france, spain = plan(view, FRANCE), plan(view, FRANCE.replace("FR", "ES"))
    for each in (france, spain):
        view.looked_up(each)
    before = view.kept.get(spain)
    stand.commit([event()])
    look(store, stand)
    assert view.kept.get(spain) is before
    found = view.at_hand(france)
    assert found is not None
    assert lines(found) == 2


def test_a_catch_up_empties_the_store_instead_of_patching(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.serving.follow.MANY", 1)
    view = look(store, stand)
    france = plan(view, FRANCE)
    view.looked_up(france)
    stand.commit([event(), event(country="DE")])
    look(store, stand)
    assert view.at_hand(france) is None
    assert lines(view.looked_up(france)) == 2


def test_the_longest_unused_leaves_when_room_is_short(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUPS", 4)
    view = look(store, stand)
    plans = [plan(view, f"where.country=FR&where.product={n}") for n in range(3)]
    view.looked_up(plans[0])
    view.looked_up(plans[1])
    view.at_hand(plans[0])
    view.looked_up(plans[2])
    assert [view.at_hand(p) is not None for p in plans] == [True, False, True]


def test_an_answer_of_very_many_groups_is_not_kept(store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 0)
    view = look(store, stand)
    assert lines(view.looked_up(plan(view, FRANCE))) == 1
    assert view.at_hand(plan(view, FRANCE)) is None


def by_day(answer: Any) -> dict[str, int]:
    return {row["bucket"][:10]: row["lines"] for row in orjson.loads(answer[1].json)}


def test_a_commit_in_one_bucket_patches_every_window_that_holds_it(store: Store, stand: Stand) -> None:
    view = look(store, stand)
    weekly, later = plan(view, f"{WEEKLY}&end=2026-03-05"), plan(view, f"{WEEKLY}&start=2026-03-03&end=2026-03-05")
    assert by_day(view.looked_up(weekly)) == {f"2026-03-0{d}": 1 for d in range(1, 5)}
    assert by_day(view.looked_up(later)) == {"2026-03-03": 1, "2026-03-04": 1}
    days = [dt.timedelta(days=d) for d in (-20, 1, 9)]
    stand.commit([event(ordered_at=T0 + d) for d in days])
    look(store, stand)
    found, of_later = view.at_hand(weekly), view.at_hand(later)
    assert found is not None
    assert of_later is not None
    assert by_day(found) == {
        **{f"2026-02-{d}": 1 for d in range(10, 16)}, "2026-02-09": 1,
        "2026-03-01": 1, "2026-03-02": 2, "2026-03-03": 2, "2026-03-04": 2,
    }  # fmt: skip
    assert by_day(of_later) == {"2026-03-03": 2, "2026-03-04": 2}


def test_a_commit_outside_the_times_asked_for_is_not_taken_in(store: Store, stand: Stand) -> None:
    view = look(store, stand)
    first_day = plan(view, f"{FRANCE}&start=2026-03-01&end=2026-03-02")
    assert lines(view.looked_up(first_day)) == 1
    stand.commit([event(ordered_at=T0 + dt.timedelta(hours=h)) for h in (-1, 23, 24)] + [event(ordered_at=None)])
    look(store, stand)
    found = view.at_hand(first_day)
    assert found is not None
    assert lines(found) == 2


@pytest.mark.parametrize(
    ("asked", "days"),
    [("&bucket=1d&window=7d", [3, 5]), ("&bucket=1d&fill=zero", [14]), ("&bucket=1d", range(1, 9))],
)
def test_an_answer_that_has_grown_too_large_to_render_at_once_is_not_kept(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch, asked: str, days: Iterable[int]
) -> None:
    monkeypatch.setattr(module, "LARGEST", 8)
    view = look(store, stand)
    asked_of = plan(view, FRANCE + asked)
    view.looked_up(asked_of)
    assert view.at_hand(asked_of) is not None
    stand.commit([event(ordered_at=T0 + dt.timedelta(days=day)) for day in days])
    look(store, stand)
    assert view.at_hand(asked_of) is None
    assert len(by_day(view.looked_up(asked_of))) > 5
    assert view.at_hand(asked_of) is None


def test_answers_of_one_row_are_rendered_with_the_commit_and_as_they_would_be_alone(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = look(store, stand)
    stand.commit([event(product=2), event(product=3)])
    view = look(store, stand)
    every = "lines,revenue,average,last,least"
    asked = [
        plan(view, f"{by}where.country=FR&where.product={p}&measures={every}{rest}")
        for p in (1, 2, 3)
        for by, rest in (("", ""), ("by=product&", ""), ("by=product,country&", "&order_by=-lines&limit=1"))
    ]
    for each in asked:
        view.looked_up(each)
    stand.commit([event(product=p, quantity=7 * p) for p in (1, 2, 2)])
    look(store, stand)
    with monkeypatch.context() as patch:
        patch.setattr(module, "finished", None)  # nothing is left to render
        rendered = [view.at_hand(each) for each in asked]
    for each, found in zip(asked, rendered, strict=True):
        assert found is not None
        _, alone = view.looked_up(each)
        assert found[1].json == alone.json


def test_a_sum_of_doubles_has_the_digits_of_all_its_rows_however_they_came(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.serving.follow.MERGE_ABOVE", 0)
    stand.attach(ViewSpec("sales", measures={"total": sum_("ratio")}))
    store = Store(tmp_path / "data")
    for ratio in (0.1, 0.2, 0.3, 0.05):
        stand.commit([event(ratio=ratio)])
        view = look(store, stand)
        asked = plan(view, "where.country=FR&where.product=1")
        _, found = view.at_hand(asked) or view.looked_up(asked)
    store.stop()
    assert 0.1 + 0.2 + 0.3 + 0.05 != 0.05 + 0.1 + 0.2 + 0.3  # else there would be nothing to see
    assert orjson.loads(found.json) == [{"total": 0.05 + 0.1 + 0.2 + 0.3}]


def test_what_is_long_is_answered_and_nothing_of_it_remembered(store: Store, stand: Stand) -> None:
    name = "x" * 5_000
    stand.commit([event(country=name, product=1)])
    view = look(store, stand)
    plans, keys = len(view._plans), lookup.of_key.cache_info().currsize
    long = plan(view, FRANCE.replace("FR", name))
    assert lines(view.looked_up(long)) == 1
    assert view.at_hand(long) is None
    many = lookup.asked(view.edition.shape, [{"country": name, "product": n} for n in range(3)], COUNTED)
    assert orjson.loads(view.looked_up(many.plan)[1].json)[1]["lines"] == 1
    having = ",".join(map(str, range(1_000)))
    assert lines(view.looked_up(unlikely := plan(view, f"{FRANCE}&having.lines={having}"))) == 1
    assert view.at_hand(unlikely) is None
    assert (len(view._plans), lookup.of_key.cache_info().currsize, len(view.kept)) == (plans, keys, 0)


def test_the_parts_that_are_asked_for_are_forgotten_when_they_are_many(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.serving.shape.REMEMBERED", 3)
    basket = approx_quantiles("ratio")
    states = {s.column: pa.null() for s in basket.states}
    shape = replace(look(store, stand).edition.shape, measures={"basket": basket}, states=states, _asked={})
    for n in range(10):
        assert shape.asked(f"basket.p{n}") is not None
        assert len(shape._asked) <= 3
    with pytest.raises(QueryError, match="has 33 characters, 32 at most"):
        shape.asked(f"basket.p{'0' * 30}50")
