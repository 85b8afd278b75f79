"""Answers as they change, over connections that break: each once, with the types of an answer that was asked for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import islice
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
from client_double import ARROW, Clock, Double, answer, event, events, problem

from dovetail.client import Forbidden, NotYet, ServerFault, Unreachable

LATER = {"id": "s1.4.0011aabb", "seq": 4}
BROKEN = httpx.ReadError("reset")
SCHEMA = pa.schema([("lines", pa.int64())])


def lines(n: int, **receipt: Any) -> str:
    return event([{"lines": n}], **receipt)


def of_types() -> httpx.Response:
    return answer(SCHEMA.empty_table())


def streams(double: Double) -> list[httpx.Request]:
    return [r for r in double.requests if r.url.path == "/v1/views/sales/live"]


def test_each_change_is_an_answer(client: Any, double: Double) -> None:
    double.tell(events(lines(1), lines(2, **LATER)), of_types(), httpx.Response(204))
    found = list(client.live("sales", by=["country"], where={"country": ["a,b", None]}))
    assert [(a.rows, a.receipt.seq) for a in found] == [([{"lines": 1}], 3), ([{"lines": 2}], 4)]
    [first, _] = streams(double)
    assert dict(first.url.params) == {"by": "country", "where.country": "a\\,b", "where.country.null": "true"}
    assert first.headers["accept"] == "text/event-stream"
    assert "last-event-id" not in first.headers


def test_how_often_is_asked_of_the_stream_alone(client: Any, double: Double) -> None:
    double.tell(events(lines(1)), of_types(), httpx.Response(204))
    assert len(list(client.live("sales", every=dt.timedelta(seconds=1)))) == 1
    assert dict(streams(double)[0].url.params) == {"every": "1s"}
    assert double.bodies() == [{}]


def test_the_types_are_asked_for_once_and_are_those_of_a_query(client: Any, double: Double) -> None:
    of_key = pa.struct([("p", pa.float64()), ("at", pa.timestamp("us"))])
    kinds = {
        "revenue": pa.decimal128(38, 2), "bucket": pa.timestamp("us", tz="Europe/Paris"), "day": pa.date32(),
        "ratio": pa.float64(), "raw": pa.binary(), "vip": pa.bool_(), "top": pa.list_(of_key), "name": pa.string(),
    }  # fmt: skip
    row: dict[str, Any] = {
        "revenue": "10.00", "bucket": "2026-03-01T00:00:00+01:00", "day": "2026-03-01", "ratio": "-Infinity",
        "raw": "eA==", "vip": True, "top": [{"p": "NaN", "at": "2026-03-01T06:00:00"}, None, {"p": None, "at": None}],
        "name": "n",
    }  # fmt: skip
    nulls = dict.fromkeys(kinds)
    double.tell(
        events(event([row, nulls]), event([], **LATER), event([nulls], id="s1.5.0011aabb")),
        answer(pa.schema(kinds).empty_table()),
        httpx.Response(204),
    )
    one, two, three = client.live("sales")
    assert one.rows[0].pop("top")[0].pop("p") != 0
    assert one.rows == [
        {"revenue": Decimal("10.00"), "bucket": dt.datetime(2026, 2, 28, 23, tzinfo=dt.UTC), "ratio": float("-inf"),
         "day": dt.date(2026, 3, 1), "raw": b"x", "vip": True, "name": "n"},
        nulls,
    ]  # fmt: skip
    assert one.to_arrow()["top"].to_pylist()[0][1:] == [None, {"p": None, "at": None}]
    assert one.to_arrow()["top"].to_pylist()[0][0]["at"] == dt.datetime(2026, 3, 1, 6)
    assert (two.rows, three.rows) == ([], [nulls])
    assert {one.to_arrow().schema, two.to_arrow().schema, three.to_arrow().schema} == {pa.schema(kinds)}
    assert double.bodies() == [{}]


@pytest.mark.parametrize("other", [{"version": "sales@f"}, {"dimensions": {"products": {"version": 2}}}])
def test_types_are_asked_for_anew_when_what_they_depend_on_changes(
    client: Any, double: Double, other: dict[str, Any]
) -> None:
    texts = answer(pa.table({"lines": ["two"]}), **LATER, **other)
    double.tell(
        events(lines(1), event([{"lines": "2"}], **LATER, **other)), of_types(), texts, httpx.Response(204)
    )  # fmt: skip
    assert [a.rows for a in client.live("sales")] == [[{"lines": 1}], [{"lines": "2"}]]


def test_an_event_of_types_that_are_gone_gives_way_to_the_answer_that_was_asked_for(
    client: Any, double: Double
) -> None:
    newer = answer(pa.table({"lines": ["two"]}), **LATER, version="sales@f")
    double.tell(events(lines(1)), newer, httpx.Response(204))
    assert [(a.rows, a.receipt.seq) for a in client.live("sales")] == [([{"lines": "two"}], 4)]


@pytest.mark.parametrize("error", [None, BROKEN], ids=["closed", "reset"])
def test_a_stream_that_ends_begins_again_after_the_last_answer(
    client: Any, double: Double, clock: Clock, error: Exception | None
) -> None:
    double.tell(events("retry: 2500\n\n", lines(1), error=error), of_types(), BROKEN)
    double.tell(events(lines(1), lines(2, **LATER)), httpx.Response(204))
    assert [a.rows for a in client.live("sales")] == [[{"lines": 1}], [{"lines": 2}]]
    assert [r.headers.get("last-event-id") for r in streams(double)] == [
        None, "s1.3.0011aabb", "s1.3.0011aabb", "s1.4.0011aabb",
    ]  # fmt: skip
    assert clock.slept == [2.5, 2.5, 2.5]


def test_a_sign_of_life_is_no_answer(client: Any, double: Double) -> None:
    double.tell(events(": ping\n\n", lines(1), ": ping\n\n", "\n\n"), of_types(), httpx.Response(204))
    assert len(list(client.live("sales"))) == 1


def test_a_stream_that_breaks_again_and_again_goes_on_as_long_as_it_comes(
    client: Any, double: Double, clock: Clock
) -> None:
    for n in range(40):
        double.tell(events(error=BROKEN), *([BROKEN] * (n % 3)))
    double.tell(events(lines(1)), of_types())
    assert [a.rows for a in islice(client.live("sales"), 1)] == [[{"lines": 1}]]
    assert sum(clock.slept) > 30


def test_patience_counts_from_where_a_stream_broke_and_not_from_its_opening(
    client: Any, double: Double, clock: Clock
) -> None:
    def of_a_minute(*sent: str) -> httpx.Response:  # a server that needs keys ends each by then
        return events(*sent, meanwhile=lambda: clock.sleep(55))

    double.tell(of_a_minute(lines(1)), of_types(), of_a_minute(), of_a_minute(lines(2, **LATER)))
    found = client.live("sales")
    assert [a.rows for a in islice(found, 2)] == [[{"lines": 1}], [{"lines": 2}]]
    double.tell(*[problem("not-yet", 503, **{"retry-after": "20"}) for _ in range(2)])
    with pytest.raises(NotYet):
        next(found)


def test_a_server_that_is_gone_for_good_is_told_in_the_end(client: Any, double: Double) -> None:
    double.tell(events(lines(1)), of_types(), *[httpx.ConnectError("refused")] * 4)
    found = client.live("sales")
    assert next(found).rows == [{"lines": 1}]
    with pytest.raises(Unreachable, match=r"http://there:8000\n  why: refused"):
        next(found)


def test_a_refusal_is_an_error_and_a_server_that_cannot_yet_is_asked_again(
    client: Any, double: Double, clock: Clock
) -> None:
    double.tell(problem("not-yet", 503, **{"retry-after": "3"}), problem("forbidden", 403))
    with pytest.raises(Forbidden, match="it is forbidden"):
        next(client.live("sales"))
    assert clock.slept == [3.0]
    double.tell(*[problem("not-yet", 503) for _ in range(4)])
    with pytest.raises(NotYet):
        next(client.live("sales"))


def test_a_problem_in_the_stream_ends_it(client: Any, double: Double) -> None:
    double.tell(events(lines(1), f"data: {problem('not-yet', 503).text}\n\n"), of_types())
    found = client.live("sales")
    next(found)
    with pytest.raises(NotYet, match="it is not-yet"):
        next(found)


@pytest.mark.parametrize("data", ["{", "[]", '{"rows": []}', orjson.dumps({"receipt": {"id": "r"}}).decode()])
def test_an_event_that_is_no_answer_is_not_of_dovetail(client: Any, double: Double, data: str) -> None:
    double.tell(events(f"data: {data}\n\n"))
    with pytest.raises(ServerFault, match="no Dovetail"):
        next(client.live("sales"))


@pytest.mark.parametrize("row", [{"n": 1}, {"lines": "x"}])
def test_a_row_that_is_not_of_the_answer_s_types_is_never_guessed(
    client: Any, double: Double, row: dict[str, Any]
) -> None:
    double.tell(events(event([row])), of_types())
    with pytest.raises(ServerFault, match="no Dovetail"):
        next(client.live("sales"))


def test_what_is_no_stream_is_told(client: Any, double: Double) -> None:
    double.tell(httpx.Response(200, content=b"", headers={"content-type": ARROW}))
    with pytest.raises(Unreachable, match="text/event-stream"):
        next(client.live("sales"))


def test_leaving_early_closes_the_connection(client: Any, double: Double) -> None:
    response = events(lines(1), lines(2, **LATER))
    double.tell(response, of_types())
    found = client.live("sales")
    next(found)
    found.close()
    assert response.is_closed
