"""A question about a time of which speed has no rows reads none; wherever a late record lies, it is counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import truth
from serving_stand import T0, Event, Stand, ViewSpec, event

from dovetail.serving.edition import Edition
from dovetail.serving.fields import from_object, from_url
from dovetail.serving.lookup import asked as lookup
from dovetail.serving.query import Plan
from dovetail.serving.seen import Seen
from dovetail.serving.speed_rows import SpeedRows
from dovetail.serving.store import Store
from dovetail.serving.view import View

DAY = dt.timedelta(days=1)
KEY = {"country": "FR", "product": 1}
OLD = [event(ordered_at=T0 + n * DAY, quantity=n + 1) for n in range(6)]
NEW = [event(ordered_at=T0 + 9 * DAY), event(ordered_at=None)]


class World:
    """A view with a week in its run and days after it in speed, and what is read of it."""

    def __init__(self, folder: Path) -> None:
        self.stand, self.store = Stand(folder), Store(folder)
        self.stand.attach(ViewSpec("sales"))
        self.stand.commit(OLD)
        self.stand.batch("sales")
        self.commit(NEW)
        self.statements: list[str] = []
        reading = self.store._database.reading

        @contextmanager
        def told(view: str) -> Iterator[tuple[Any, int]]:
            with reading(view) as (cursor, token):
                yield Told(cursor, self.statements), token

        self.store._database.reading = told  # type: ignore[method-assign]

    def commit(self, events: list[Event]) -> None:
        self.stand.commit(events)
        while self.view is None or self.view.published is None or self.edition.seq < self.stand.seq:
            self.store.look()

    @property
    def view(self) -> View:
        return self.store.view("sales")  # type: ignore[return-value]

    @property
    def edition(self) -> Edition:
        return self.view.edition

    def plan(self, **fields: Any) -> Plan:
        raw = urlencode({name.replace("__", "."): value for name, value in fields.items()})
        return self.view.asked(raw, lambda: from_url(raw)).plan

    def reads_speed(self, plan: Plan) -> bool:
        """Whether speed's table is in any statement that the answer to a question, asked for anew, takes."""
        self.statements.clear()
        self.view.looked_up(plan)
        assert self.statements, "nothing was read at all"
        return any(self.edition.speed.table in statement for statement in self.statements)

    def rows(self, plan: Plan) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = orjson.loads(self.view.looked_up(plan)[1].json)
        return found


class Told:
    """A cursor that notes its statements."""

    def __init__(self, cursor: Any, statements: list[str]) -> None:
        self._cursor, self._statements = cursor, statements

    def execute(self, statement: str, *values: Any) -> Any:
        self._statements.append(statement)
        return self._cursor.execute(statement, *values)

    def sql(self, statement: str, **values: Any) -> Any:
        self._statements.append(statement)
        return self._cursor.sql(statement, **values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "data")
    yield found
    found.store.stop()


def span(first: int, days: int) -> dict[str, str]:
    return {"start": f"{T0 + first * DAY:%Y-%m-%d}", "end": f"{T0 + (first + days) * DAY:%Y-%m-%d}"}


QUESTIONS: list[dict[str, Any]] = [
    {}, {"by": "country"}, {"where__country": "FR", "where__product": 1}, {"bucket": "1d", "by": "country"},
    {"bucket": "1mo", "tz": "Europe/Paris"}, {"bucket": "1d", "window": "2d"},
]  # fmt: skip


def test_a_historical_question_reads_no_speed_rows(world: World) -> None:
    for asked in QUESTIONS:
        assert not world.reads_speed(world.plan(**asked, **span(0, 6))), asked
        assert not world.reads_speed(world.plan(**asked, **span(20, 5))), asked  # nor does one of a time after all
        assert world.reads_speed(world.plan(**asked, **span(0, 10))), asked
        assert world.reads_speed(world.plan(**asked)), asked


def test_no_more_does_a_historical_lookup_and_one_that_not_all_may_see(world: World) -> None:
    masked = Seen(floor=1)
    for days, expected in ((6, False), (10, True)):
        fields = from_object(span(0, days))
        plan = lookup(world.edition.shape, [KEY], fields).plan
        assert world.reads_speed(plan) is expected
        assert world.reads_speed(world.view.asked("masked", lambda f=fields: f, masked).plan) is expected  # type: ignore[misc]
        world.view._plans.clear()


def test_the_bounds_are_those_of_the_question(world: World) -> None:
    assert not world.reads_speed(world.plan(**span(6, 3)))  # up to where the first bucket begins, which is excluded
    assert world.reads_speed(world.plan(**span(9, 1)))
    assert world.reads_speed(world.plan(start="2026-03-10"))
    assert not world.reads_speed(world.plan(start="2026-03-11"))
    assert world.reads_speed(world.plan(bucket="1d", window="3d", **span(10, 2)))  # its windows reach back to that day
    assert not world.reads_speed(world.plan(bucket="1d", window="3d", **span(12, 2)))


def test_a_late_record_is_counted_where_it_lies_and_read_nowhere_else(world: World) -> None:
    before = world.rows(world.plan(measures="lines", **span(2, 1)))
    world.commit([event(ordered_at=T0 + 2 * DAY)])
    late = world.plan(measures="lines", **span(2, 1))
    assert world.reads_speed(late)
    assert (before, world.rows(late)) == ([{"lines": 1}], [{"lines": 2}])
    for first, days in ((0, 2), (3, 6), (3, 3)):  # on both sides of it, up to the other rows of speed
        plan = world.plan(by="country", **span(first, days))
        assert not world.reads_speed(plan)
        within = (T0 + first * DAY, T0 + (first + days) * DAY)
        assert world.rows(plan) == truth(
            world.stand.events, by=["country"],
            where=lambda e, w=within: e["ordered_at"] is not None and w[0] <= e["ordered_at"] < w[1],
        )  # fmt: skip


def test_it_is_so_for_rows_merged_in_memory_and_for_those_of_a_new_cut(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.serving.follow.MERGE_ABOVE", 0)
    table = world.edition.speed.table
    world.commit([event(ordered_at=T0 + 8 * DAY, product=n) for n in range(5)])
    assert world.edition.speed.table != table
    assert (world.reads_speed(world.plan(**span(8, 1))), world.reads_speed(world.plan(**span(0, 8)))) == (True, False)
    world.stand.batch("sales")
    while len(world.edition.runs) < 2:
        world.store.look()
    assert not world.reads_speed(world.plan(**span(8, 1)))
    assert world.rows(world.plan(measures="lines", **span(8, 2))) == [{"lines": 6}]


def test_rows_are_merged_to_one_a_group_whether_they_came_before_the_server_or_after(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.serving.follow.MERGE_ABOVE", 5)
    for _ in range(8):
        world.commit([event(ordered_at=T0 + 8 * DAY)])
    later = Store(tmp_path / "data")
    while not later.loaded:
        later.look()
    held = {store._database.count(store.view("sales").edition.speed.table) for store in (world.store, later)}  # type: ignore[union-attr]
    later.stop()
    assert max(held) <= 3 + 5, "the groups, and what has come since they were merged"
    assert world.rows(world.plan(measures="lines", **span(8, 1))) == [{"lines": 8}]


def test_a_view_that_has_no_run_yet_is_answered(world: World) -> None:
    world.stand.attach(ViewSpec("fresh"))
    world.stand.commit(NEW)
    while (view := world.store.view("fresh")) is None or view.published is None or view.edition.seq < world.stand.seq:
        world.store.look()
    plan = view.asked("historical", lambda: from_url(urlencode({"measures": "lines", **span(0, 2)}))).plan
    assert orjson.loads(view.looked_up(plan)[1].json) == [{"lines": 0}]


HOURS = st.lists(st.integers(-5, 5) | st.none(), max_size=6)


@settings(deadline=None, max_examples=50)
@given(st.lists(HOURS, max_size=4), st.integers(-6, 6) | st.none(), st.integers(-6, 6) | st.none())
def test_rows_are_left_unread_only_where_none_is_of_the_time(
    commits: list[list[int | None]], since: int | None, end: int | None
) -> None:
    rows = SpeedRows.of("speed", pa.table({"_bucket": pa.array([], pa.int64())}))
    for buckets in commits:
        rows = rows.and_(pa.table({"_bucket": pa.array(buckets, pa.int64())}))
    held = [bucket for buckets in commits for bucket in buckets]
    of_time = [b for b in held if b is not None and (since is None or b >= since) and (end is None or b < end)]
    assert rows.within(since, end) is (bool(of_time) or (since is None and end is None))
