"""The kept answers, the database and plain Python agree on every question, before and after each commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import MEASURE, day_in, truth
from serving_stand import T0, Event
from serving_world import COUNTRIES, PRODUCTS, World, by_database, escaped, url

from dovetail.serving.fields import from_url


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("agree") / "data")
    yield world
    world.store.stop()


@st.composite
def keyed(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A question about one country and product, and the same for the oracle."""
    country, product = draw(st.sampled_from(COUNTRIES)), draw(st.sampled_from(PRODUCTS))
    by = draw(st.permutations(["country", "product"]).map(list).flatmap(lambda p: st.sampled_from([[], p[:1], p])))
    measures = draw(st.lists(st.sampled_from(list(MEASURE)), min_size=1, max_size=4, unique=True))
    zone = draw(st.sampled_from([None, "UTC", "Europe/Paris", "America/New_York"]))
    start, days = draw(st.integers(-2, 40)), draw(st.integers(1, 30))
    ranged = draw(st.booleans())
    low, high = (T0 + dt.timedelta(days=d) for d in (start, start + days))
    fields: dict[str, Any] = {"by": ",".join(by), "measures": ",".join(measures)}
    fields |= {"where.country.null": "true"} if country is None else {"where.country": escaped(country)}
    fields |= {"where.product.null": "true"} if product is None else {"where.product": product}
    fields |= {"bucket": "1d", "tz": zone} if zone else {}
    fields |= {"start": low.isoformat(), "end": high.isoformat()} if ranged else {}

    def where(e: Event) -> bool:
        in_range = not ranged or (e["ordered_at"] is not None and low <= e["ordered_at"] < high)
        return e["country"] == country and e["product"] == product and in_range

    return fields, {"by": by, "measures": measures, "where": where, "bucket": day_in(zone) if zone else None}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(keyed(), min_size=1, max_size=6), st.booleans())
def test_kept_answers_stay_true_through_commits_and_promotes(
    world: World, questions: list[tuple[dict[str, Any], dict[str, Any]]], grow: bool
) -> None:
    view = world.view("sales")
    for fields, _ in questions:  # fills the store before the step that it must follow
        view.looked_up(view.asked(url(fields), lambda f=fields: from_url(url(f))).plan)  # type: ignore[misc]
    if grow:
        world.step()
    for fields, how in questions:
        asked = view.asked(url(fields), lambda f=fields: from_url(url(f)))  # type: ignore[misc]
        expected = truth(world.stand.events, **how)
        kept = view.at_hand(asked.plan)
        assert kept is not None or (grow and world.steps % 7 == 3), "what was looked up is kept, but for a promote"
        if kept is not None:
            assert orjson.loads(kept[1].json) == expected
        assert orjson.loads(view.looked_up(asked.plan)[1].json) == expected
        assert by_database(view, asked) == expected


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    by=st.sampled_from([(), ("country",), ("product",), ("product", "country")]),
    zone=st.sampled_from([None, "UTC", "Europe/Paris"]),
    wanted=st.none() | st.lists(st.sampled_from(COUNTRIES), min_size=1, unique=True),
)
def test_group_bys_are_true(
    world: World, by: tuple[str, ...], zone: str | None, wanted: list[str | None] | None
) -> None:
    fields: dict[str, Any] = {"by": ",".join(by), "limit": 100_000}
    if wanted:
        fields |= {"where.country": [escaped(c) for c in wanted if c is not None]}
        fields |= {"where.country.null": "true"} if None in wanted else {}
    fields |= {"bucket": "1d", "tz": zone} if zone else {}
    view = world.view("sales")
    asked = view.asked(url(fields), lambda: from_url(url(fields)))
    assert orjson.loads(view.looked_up(asked.plan)[1].json) == truth(
        world.stand.events,
        by=by,
        where=lambda e: wanted is None or e["country"] in wanted,
        bucket=day_in(zone) if zone else None,
    )


def test_a_view_without_keys_is_kept_too(world: World) -> None:
    view = world.view("totals")
    asked = view.asked("", lambda: from_url(""))
    view.looked_up(asked.plan)
    world.step()
    found = view.at_hand(asked.plan) or view.looked_up(asked.plan)
    assert orjson.loads(found[1].json) == truth(world.stand.events)


def test_merging_the_speed_rows_in_memory_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    view = world.view("sales")
    before = view.edition.speed.table
    monkeypatch.setattr("dovetail.serving.follow.MERGE_ABOVE", 0)
    for _ in range(2):
        world.step(200)
    assert view.edition.speed.table != before
    asked = view.asked("by=country,product", lambda: from_url("by=country,product"))
    assert orjson.loads(view.looked_up(asked.plan)[1].json) == truth(world.stand.events, by=["country", "product"])
