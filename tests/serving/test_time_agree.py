"""Buckets, windows and fill: the kept answers, the database and DuckDB's own calendar over the events agree."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_stand import T0, Client, Stand, ViewSpec
from serving_world import COUNTRIES, PRODUCTS, World, by_database, some, url
from sql_oracle import SHORT, TimeQuestion, answered

from dovetail.serving.buckets import EPOCH, Calendar, micros, zone
from dovetail.serving.fields import from_url
from dovetail.serving.query import Asked
from dovetail.serving.view import View
from dovetail.shared.duration import bucket_span

pytestmark = pytest.mark.long
WINDOWS = {
    "15m": ["15m", "1h", "6h", "1d"], "1h": ["1h", "6h", "1d", "7d", "1w"], "6h": ["6h", "12h", "1d", "7d", "1mo"],
    "1d": ["1d", "7d", "1w", "14d", "1mo", "1q"], "7d": ["7d", "14d", "2w"], "1w": ["1w", "2w", "14d"],
    "2w": ["2w"], "1mo": ["1mo", "1q", "1y"], "1q": ["1q", "1y"], "1y": ["1y"],
}  # fmt: skip
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("time") / "data")
    yield world
    world.store.stop()


@st.composite
def asked_of_time(draw: st.DrawFn, *, one_key: bool) -> TimeQuestion:
    bucket, tz = draw(st.sampled_from(list(WINDOWS))), draw(st.sampled_from(ZONES))
    window = draw(st.none() | st.sampled_from(WINDOWS[bucket]))
    start, end = sorted(draw(st.lists(st.integers(-5, 45), min_size=2, max_size=2, unique=True)))
    low, high = (_boundary(day, tz, bucket if window else "1d") for day in (start, end))
    where = {"country": draw(st.sampled_from(COUNTRIES))}
    return TimeQuestion(
        bucket=bucket,
        window=window,
        fill=draw(st.sampled_from([None, "zero", "null"])),
        tz=tz,
        by=draw(st.sampled_from([(), ("country",), ("product", "country")])),
        where=where | {"product": draw(st.sampled_from(PRODUCTS))} if one_key else draw(st.sampled_from([{}, where])),
        start=draw(st.sampled_from([None, low])),
        end=draw(st.sampled_from([None, high])) if low < high else None,
    )


def _boundary(day: int, tz: str, bucket: str) -> dt.datetime:
    local = dt.datetime.combine(T0 + dt.timedelta(days=day), dt.time(), zone(tz))
    start = Calendar(tz, bucket_span(bucket), 900).start(micros(local))
    return (EPOCH + dt.timedelta(microseconds=start)).astimezone(zone(tz)).replace(tzinfo=None)


def ask(view: View, question: TimeQuestion) -> Asked:
    asked = url(question.fields)
    return view.asked(asked, lambda: from_url(asked))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(asked_of_time(one_key=True), min_size=1, max_size=5), st.booleans())
def test_kept_answers_about_time_stay_true_through_commits_and_promotes(
    world: World, questions: list[TimeQuestion], grow: bool
) -> None:
    view = world.view("fine")
    for question in questions:  # fills the store before the step that it must follow
        view.looked_up(ask(view, question).plan)
    if grow:
        world.step()
    for question in questions:
        asked, expected = ask(view, question), answered(world.stand.events, question)
        kept = view.at_hand(asked.plan)
        large = question.bucket in (*SHORT, "6h") or question.window in ("1mo", "1q")
        promoted = grow and world.steps % 7 == 3
        assert kept is not None or large or promoted, "what was looked up is kept, but for a promote"
        if kept is not None:
            assert orjson.loads(kept[1].json) == expected
        assert orjson.loads(view.looked_up(asked.plan)[1].json) == expected
        assert by_database(view, asked) == expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked_of_time(one_key=False))
def test_group_bys_of_time_are_true(world: World, question: TimeQuestion) -> None:
    view = world.view("fine")
    asked = ask(view, question)
    assert orjson.loads(view.looked_up(asked.plan)[1].json) == answered(world.stand.events, question)


QUESTIONS = [
    TimeQuestion(window="7d", tz="Europe/Paris"),
    TimeQuestion(window="7d", fill="zero", start=dt.datetime(2026, 3, 10), end=dt.datetime(2026, 4, 20)),
    TimeQuestion(window="1mo", tz="America/New_York", fill="null", start=dt.datetime(2026, 3, 20)),
    TimeQuestion(bucket="1h", window="7d", tz="Europe/Paris", start=dt.datetime(2026, 3, 28)),
    TimeQuestion(bucket="1w", tz="Europe/Paris", fill="zero"),
    TimeQuestion(bucket="1w", window="2w"),
    TimeQuestion(bucket="1mo", tz="Asia/Tokyo", fill="null", end=dt.datetime(2026, 5, 1)),
    TimeQuestion(bucket="1mo", window="1q"),
    TimeQuestion(bucket="1q", tz="America/New_York"),
    TimeQuestion(bucket="1y", fill="zero", start=dt.datetime(2024, 1, 1)),
]


@pytest.mark.parametrize("one_key", [False, True])
def test_time_is_true_before_across_and_after_a_cut(stand: Stand, serving: Client, one_key: bool) -> None:
    stand.attach(ViewSpec("sales"))

    def agree(runs: int) -> None:
        serving.until(lambda: len(serving.receipt("sales")["runs"]) == runs)
        for question in QUESTIONS:
            asked = TimeQuestion(**{
                **vars(question),
                "by": () if one_key else ("product",),
                "where": {"country": "FR", "product": 1} if one_key else {},
            })  # fmt: skip
            fields = {k.replace(".", "__"): v for k, v in asked.fields.items()}
            assert serving.rows("sales", **fields) == answered(stand.events, asked), (runs, question)

    stand.commit(some(150, seed=1))
    agree(runs=1)  # all of it above the cut
    stand.batch("sales")
    agree(runs=2)  # all of it below
    stand.commit(some(60, seed=2))
    agree(runs=2)  # windows over both
    stand.commit(some(1, seed=3))
    agree(runs=2)  # and the kept ones patched
    stand.batch("sales", full=True)
    agree(runs=1)
