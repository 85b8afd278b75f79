"""Trailing windows and filled buckets, at their edges."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import T0, TYPES, Client, Event, Stand, ViewSpec, event

from dovetail.serving.timeline import stand_in

ONE_KEY = {"where__country": "FR", "where__product": "1"}
BOTH_WAYS = pytest.mark.parametrize("asked", [{}, ONE_KEY], ids=["database", "kept"])
WEEK = {"bucket": "1d", "window": "7d", "measures": "lines"}


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    return stand.attach(ViewSpec("sales"))


def on(day: int, **given: Any) -> Event:
    """An event on a day after 2026-03-01."""
    return event(ordered_at=T0 + dt.timedelta(days=day, hours=9), **given)


def lines(rows: list[dict[str, Any]]) -> dict[str, int | None]:
    return {str(r["bucket"])[:10]: r["lines"] for r in rows}


@BOTH_WAYS
def test_each_row_merges_what_is_in_its_window(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.commit([on(0, quantity=9), on(1, quantity=1), on(3, quantity=5)])
    assert serving.rows("sales", bucket="1d", window="2d", measures="lines,most,average", **asked) == [
        {"bucket": "2026-03-01T00:00:00Z", "lines": 1, "most": 9, "average": "10.000000"},
        {"bucket": "2026-03-02T00:00:00Z", "lines": 2, "most": 9, "average": "10.000000"},
        {"bucket": "2026-03-03T00:00:00Z", "lines": 1, "most": 1, "average": "10.000000"},  # of the day before
        {"bucket": "2026-03-04T00:00:00Z", "lines": 1, "most": 5, "average": "10.000000"},
    ]
    two = {"bucket": "1d", "window": "2d", "measures": "lines", "limit": 2, **asked}
    assert lines(serving.rows("sales", **two)) == {"2026-03-01": 1, "2026-03-02": 2}
    assert lines(serving.rows("sales", **two, order_by="-bucket")) == {"2026-03-04": 1, "2026-03-03": 1}
    last = two | {"window": "4d", "limit": 1, "order_by": "-bucket"}
    assert lines(serving.rows("sales", **last)) == {"2026-03-04": 3}
    assert lines(serving.rows("sales", **two, order_by="-lines")) == {"2026-03-02": 2, "2026-03-01": 1}


@BOTH_WAYS
def test_start_and_end_say_which_rows_are_shown_and_not_what_they_merge(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.commit([on(-9), on(-8), on(-2), on(1)])
    found = lines(serving.rows("sales", **WEEK, **asked, start="2026-03-01", end="2026-03-11"))
    assert found == {
        "2026-03-01": 1, "2026-03-02": 2, "2026-03-03": 2, "2026-03-04": 2, "2026-03-05": 2, "2026-03-06": 1,
        "2026-03-07": 1, "2026-03-08": 1,
    }  # fmt: skip
    assert lines(serving.rows("sales", **WEEK, **asked, start="2026-03-01")) == {"2026-03-01": 1, "2026-03-02": 2}
    assert lines(serving.rows("sales", **WEEK, **asked, end="2026-02-21")) == {"2026-02-20": 1}
    assert serving.rows("sales", **WEEK, **asked, start="2026-03-03") == []


@BOTH_WAYS
def test_a_record_without_a_time_is_in_no_window(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.commit([on(0), event(ordered_at=None)])
    assert lines(serving.rows("sales", bucket="1d", measures="lines", **asked)) == {"2026-03-01": 1, "None": 1}
    assert lines(serving.rows("sales", **WEEK, **asked)) == {"2026-03-01": 1}


@BOTH_WAYS
def test_a_week_over_the_change_of_the_clock_holds_167_hours(
    stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(ordered_at=T0 + dt.timedelta(hours=h)) for h in range(24 * 40)])
    week = WEEK | {"tz": "Europe/Paris", "start": "2026-03-28", "end": "2026-04-06"} | asked
    found = lines(serving.rows("sales", **week))
    assert list(found.values()) == [168, *[167] * 7, 168]
    assert next(iter(serving.rows("sales", **week)))["bucket"] == "2026-03-28T00:00:00+01:00"
    hours = lines(serving.rows("sales", **week | {"bucket": "1h", "start": "2026-04-04T23:00"}))
    assert hours["2026-04-05"] == 168
    months = serving.rows("sales", bucket="1mo", tz="Europe/Paris", measures="lines", **asked)
    assert [(r["bucket"], r["lines"]) for r in months] == [
        ("2026-03-01T00:00:00+01:00", 31 * 24 - 2), ("2026-04-01T00:00:00+02:00", 9 * 24 + 2),
    ]  # fmt: skip


@BOTH_WAYS
def test_a_bucket_without_records_is_null_or_zero(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.commit([on(0, amount=None), on(2, amount=Decimal("2.50"))])
    day = {"bucket": "1d", "measures": "lines,revenue,average,least,last"} | asked
    shown = serving.rows("sales", fill="null", **day)
    assert [r["lines"] for r in shown] == [1, None, 1]
    assert set(shown[1].values()) == {"2026-03-02T00:00:00Z", None}
    assert serving.rows("sales", fill="zero", **day) == [
        shown[0] | {"revenue": None, "average": None},  # there are records: what they say stays
        {"bucket": "2026-03-02T00:00:00Z", "lines": 0, "revenue": "0.00", "average": "0.000000", "least": 0,
         "last": None},
        shown[2],
    ]  # fmt: skip


def test_every_group_in_the_answer_is_filled_from_start_to_end(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    stand.commit([on(1), on(2, country="DE"), on(-5, country="ES"), on(2, country=None)])
    day = {"by": "country", "bucket": "1d", "measures": "lines", "fill": "null"}
    found = serving.rows("sales", **day, start="2026-03-01", end="2026-03-04")
    assert [(r["country"], r["lines"]) for r in found] == [
        ("DE", None), ("DE", None), ("DE", 1),
        ("FR", None), ("FR", 1), ("FR", None),
        (None, None), (None, None), (None, 1),
    ]  # fmt: skip
    assert [r["bucket"][8:10] for r in found] == ["01", "02", "03"] * 3
    assert len(serving.rows("sales", **day)) == 4 * 8
    assert len(serving.rows("sales", **day, start="2026-03-02")) == 3 * 2
    cut = serving.answered("sales", **day, start="2026-03-01", end="2026-03-04", order_by="-bucket", limit=2).json()
    assert [(r["bucket"][8:10], r["country"]) for r in cut["rows"]] == [("03", "DE"), ("03", "FR")]
    assert cut["receipt"]["more"] is True


def test_a_limit_cuts_off_filled_rows_and_none_of_what_fills_them(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    stand.commit([*(on(0, country=c) for c in ("DE", "ES", "FR")), on(2, country="AT")])
    day = {"by": "country", "bucket": "1d", "measures": "lines", "fill": "zero", "order_by": "bucket", "limit": 2}
    assert [(r["country"], r["lines"]) for r in serving.rows("sales", **day)] == [("AT", 0), ("DE", 1)]


def test_a_measure_that_says_a_number_of_no_rows_says_it_in_a_filled_bucket() -> None:
    for nothing, shown in (([7], 7), ([None], 0), ([0], 0)):
        assert stand_in("zero", pa.array(nothing, pa.int64()), pa.int64()).to_pylist() == [shown]
        assert stand_in("null", pa.array(nothing, pa.int64()), pa.int64()).to_pylist() == [None]
    for kind in (pa.string(), pa.timestamp("us"), pa.bool_(), pa.list_(pa.int64())):
        assert stand_in("zero", pa.nulls(1, kind), kind).to_pylist() == [None]


def test_keys_may_be_called_anything(stand: Stand, serving: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("start", "stored", "own", "starts", "windows", "r")
    for name in names:
        monkeypatch.setitem(TYPES, name, pa.string())
    stand.attach(ViewSpec("odd", keys=names))
    stand.commit([on(0, **dict.fromkeys(names, "a"))])
    shown = {"bucket": "2026-03-01T00:00:00+01:00", **dict.fromkeys(names, "a"), "lines": 1}
    for more in ({}, {"window": "2d"}, {"window": "2d", "fill": "zero"}):
        day = {"bucket": "1d", "tz": "Europe/Paris", "measures": "lines", "by": ",".join(names), **more}
        assert serving.rows("odd", **day) == [shown]


def test_weeks_are_made_of_seconds(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("seconds", bucket=1))
    stand.commit([on(1), on(3)])
    assert lines(serving.rows("seconds", bucket="1w", measures="lines")) == {"2026-03-02": 2}


@BOTH_WAYS
def test_nothing_found_is_filled_where_start_and_end_are_known(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.commit([on(-30)])
    for window in ({}, {"window": "2d"}):
        day = {"bucket": "1d", "measures": "lines", "fill": "zero", **window, **asked}
        found = serving.rows("sales", **day, start="2026-03-01", end="2026-03-03")
        assert lines(found) == {"2026-03-01": 0, "2026-03-02": 0}
        assert serving.rows("sales", **day, start="2026-03-01") == []
        assert serving.rows("sales", **day, by="country", start="2026-03-01", end="2026-03-03") == []


def test_fill_follows_the_calendar(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    stand.commit([on(0), on(70)])
    for bucket, starts in {
        "1w": ["02-23", "03-02", "03-09", "03-16", "03-23", "03-30", "04-06", "04-13", "04-20", "04-27", "05-04"],
        "1mo": ["03-01", "04-01", "05-01"],
        "1q": ["01-01", "04-01"],
    }.items():
        found = serving.rows("sales", bucket=bucket, tz="Europe/Paris", fill="zero", measures="lines")
        assert [r["bucket"][5:10] for r in found] == starts
        assert [r["lines"] for r in found] == [1, *[0] * (len(starts) - 2), 1]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"fill": "zero"}, "fill=zero would add more than 100,000 rows"),
        ({"fill": "null", "tz": "Europe/Paris", "bucket": "1d"}, "fill=null would add more than 100,000 rows"),
        ({"window": "20y"}, "windows of 20y over buckets of 1h are too many to merge here"),
    ],
)
def test_more_rows_than_can_be_made_are_refused(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str], more: dict[str, str], says: str
) -> None:
    stand.commit([on(0), event(ordered_at=dt.datetime(2400, 1, 1, tzinfo=dt.UTC))])
    refused = serving.answered("sales", measures="lines", **({"bucket": "1h"} | more), **asked)
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith(says)
    assert refused.json()["next"].startswith("ask for a shorter time with start and end")
    few = serving.rows(
        "sales", measures="lines", **({"bucket": "1h", "start": "2026-03-01", "end": "2026-03-02"} | more), **asked
    )
    assert max(r["lines"] or 0 for r in few) == 1


def test_windows_that_merge_too_much_are_refused(
    sales: ViewSpec, stand: Stand, serving: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.serving.timeline.MOST_MERGED", 8)
    stand.commit([on(day) for day in range(4)])
    assert len(serving.rows("sales", bucket="1d", window="2d")) == 4  # 1 + 2 + 2 + 2
    assert serving.answered("sales", bucket="1d", window="3d").status_code == 422  # 1 + 2 + 3 + 3
