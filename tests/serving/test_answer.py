"""How values of every type are grouped, found, ordered, cut and written."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pytest
from serving_stand import T0, Client, Stand, ViewSpec, event

from dovetail.shared.measures import avg, count, max_, min_, sum_

EARLY = dt.datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("key", "values", "written", "asked"),
    [
        ("country", ["é,\"'", "", None], ["", "é,\"'", None], "é\\,\"'"),
        ("product", [2, -7, None], [-7, 2, None], "-7"),
        ("big", [2**53 + 1, -1, None], [-1, 2**53 + 1, None], str(2**53 + 1)),
        ("day", [dt.date(2026, 3, 1), dt.date(1900, 1, 1), None], ["1900-01-01", "2026-03-01", None], "2026-03-01"),
        ("vip", [True, False, None], [False, True, None], "true"),
        ("price", [Decimal("1.50"), Decimal("-2.00"), None], ["-2.00", "1.50", None], "1.5"),
        ("seen", [T0, EARLY, None], ["1969-07-20T20:17:40.123456Z", "2026-03-01T00:00:00Z", None],
         "2026-03-01T01:00+01:00"),
        ("ratio", [0.5, -math.inf, None], ["-Infinity", 0.5, None], "0.5"),
        ("raw", [b"\xff", b"", None], ["", "/w==", None], "/w=="),
    ],
)  # fmt: skip
def test_keys_of_every_type(
    stand: Stand, serving: Client, key: str, values: list[Any], written: list[Any], asked: str
) -> None:
    stand.attach(ViewSpec("one", keys=(key,), bucket=None, measures={"lines": count()}))
    stand.commit([event(**{key: v}) for v in values])
    stand.batch("one")
    stand.commit([event(**{key: v}) for v in values])

    assert serving.rows("one", by=key) == [{key: v, "lines": 2} for v in written]
    where = f"where.{key}"
    for by in (None, key):  # one group of keys, kept; and in the database
        shown = [{"lines": 2} | ({key: written[written.index(v)]} if by else {}) for v in written]
        found = serving.http.get("/v1/views/one/query", params={where: asked} | ({"by": by} if by else {})).json()
        assert found["rows"][0]["lines"] == 2
        assert found["rows"][0] in shown
        null = serving.http.get("/v1/views/one/query", params={f"{where}.null": "true"} | ({"by": by} if by else {}))
        assert null.json()["rows"] == [{"lines": 2} | ({key: None} if by else {})]
        both = {where: asked, f"{where}.null": "true"}
        assert serving.http.get("/v1/views/one/query", params=both).json()["rows"] == [{"lines": 4}]


@pytest.mark.parametrize("one_key", [True, False])
def test_doubles_that_json_does_not_know_are_strings(stand: Stand, serving: Client, one_key: bool) -> None:
    measures = {"most": max_("ratio"), "least": min_("ratio"), "total": sum_("ratio"), "mean": avg("ratio")}
    stand.attach(ViewSpec("one", keys=("product",), measures=measures))
    stand.commit([event(product=1, ratio=math.nan), event(product=1, ratio=1.0), event(product=2, ratio=math.inf)])
    asked = {"where__product": "1"} if one_key else {}
    first = serving.rows("one", by="product", **asked)[0]
    assert first == {"product": 1, "most": "NaN", "least": 1.0, "total": "NaN", "mean": "NaN"}


@pytest.mark.parametrize("one_key", [True, False])
def test_a_sum_too_large_for_its_type_is_refused_and_the_others_answered(
    stand: Stand, serving: Client, one_key: bool
) -> None:
    stand.attach(ViewSpec("one", keys=("product",), bucket=None, measures={"pieces": sum_("quantity")}))
    for _ in range(2):
        stand.commit([event(product=1, quantity=2**62), event(product=2)])
    asked = {"where__product": "1"} if one_key else {}
    answer = serving.answered("one", by="product", **asked)
    assert answer.status_code == 422
    assert "too large for its type" in answer.json()["detail"]
    assert serving.rows("one", by="product", where__product="2") == [{"product": 2, "pieces": 4}]


def test_texts_are_compared_by_their_bytes(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("one", keys=("product",), measures={"least": min_("name"), "most": max_("name")}))
    stand.commit([event(name=n) for n in ("b", "B", "é", "\U0001f600", "\uffee")])
    assert serving.rows("one") == serving.rows("one", where__product="1") == [{"least": "B", "most": "\U0001f600"}]


def test_rows_are_ordered_with_nulls_last_and_ties_by_the_keys(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=c, quantity=n) for c, n in (("b", 1), ("a", 1), ("c", 5), ("d", None), (None, 9))])

    def order(by: str) -> list[str | None]:
        return [r["country"] for r in serving.rows("sales", by="country", order_by=by)]

    assert order("most") == ["a", "b", "c", None, "d"]
    assert order("-most") == [None, "c", "a", "b", "d"]
    assert order("-country") == ["d", "c", "b", "a", None]
    assert order("lines,-country") == ["d", "c", "b", "a", None]


@pytest.mark.parametrize("order_by", [None, "-country", "-lines"])
def test_a_limit_cuts_rows_and_says_so(stand: Stand, serving: Client, order_by: str | None) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{i:03}") for i in range(20)])
    whole = serving.rows("sales", by="country", order_by=order_by)
    cut = serving.answered("sales", by="country", order_by=order_by, limit=7).json()
    assert cut["rows"] == whole[:7]
    assert cut["receipt"]["more"] is True
    assert "more" not in serving.receipt("sales", by="country", limit=20)


def test_nothing_found_is_a_total_of_nothing_or_no_rows(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    nothing = {"lines": 0, "revenue": None, "average": None}
    for asked in ({"where__country": "XX"}, {"where__country": "XX", "where__product": "1"}):
        assert serving.rows("sales", measures="lines,revenue,average", **asked) == [nothing]
        assert serving.rows("sales", by="country", **asked) == []
        assert serving.rows("sales", bucket="1d", **asked) == []


def test_days_in_a_zone_hold_the_hours_of_its_clock(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    spring = dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC)  # midnight in Paris, of a day of 23 hours
    stand.commit([event(ordered_at=spring + dt.timedelta(hours=h)) for h in range(-24, 23 + 24)])
    assert serving.rows("sales", bucket="1d", tz="Europe/Paris", measures="lines") == [
        {"bucket": "2026-03-28T00:00:00+01:00", "lines": 24},
        {"bucket": "2026-03-29T00:00:00+01:00", "lines": 23},
        {"bucket": "2026-03-30T00:00:00+02:00", "lines": 24},
    ]
    one_day = {"start": "2026-03-29", "end": "2026-03-30", "tz": "Europe/Paris", "measures": "lines"}
    assert serving.rows("sales", **one_day) == [{"lines": 23}]
    assert serving.rows("sales", where__country="FR", where__product="1", **one_day) == [{"lines": 23}]


@pytest.mark.parametrize("asked", [{}, {"where__country": "FR", "where__product": "1"}])
def test_days_in_kolkata_are_refused_from_hours_and_answered_from_half_hours(
    stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    stand.attach(ViewSpec("hours"))
    stand.attach(ViewSpec("halves", bucket=1800))
    stand.commit([event(ordered_at=T0 + dt.timedelta(minutes=m)) for m in range(0, 2880, 30)])
    day = {"bucket": "1d", "tz": "Asia/Kolkata", "measures": "lines"} | asked
    refused = serving.answered("hours", **day)
    assert refused.status_code == 422
    assert "largest stored bucket that can answer this is 30m" in refused.json()["detail"]
    assert [r["lines"] for r in serving.rows("halves", **day)] == [37, 48, 11]


def test_a_kept_answer_whose_new_rows_no_bucket_fits_is_refused_like_any_other(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    day = {"bucket": "1d", "tz": "Africa/Monrovia", "where__country": "FR", "where__product": "1", "measures": "lines"}
    assert serving.rows("sales", **day) == [{"bucket": "2026-03-01T00:00:00+00:00", "lines": 1}]
    stand.commit([event(ordered_at=dt.datetime(1960, 1, 1, tzinfo=dt.UTC))])  # 44 minutes and 30 seconds off, then
    assert serving.answered("sales", **day).status_code == 422
