"""The client and the real server: what is asked is what is answered, with its types."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import anyio
import pyarrow as pa
import pytest
from serving_stand import T0, Stand, ViewSpec, event, serve
from serving_stand import Client as Http

import dovetail
from dovetail.client import Client, Incomplete, NotFound, NotYet, Refused

DAY = dt.timedelta(days=1)
ROWS = [
    event(country=country, product=product, amount=Decimal(f"{n}.50"), ordered_at=T0 + DAY * (n % 3))
    for n, (country, product) in enumerate([("FR", 1), ("FR", 2), ("a,b\\", 1), (None, 1), ("FR", 1), ("", 3)])
]


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    found = Stand(tmp_path / "data")
    found.attach(ViewSpec("sales"))
    found.commit(ROWS)
    return found


@pytest.fixture
def served(tmp_path: Path, stand: Stand) -> Iterator[Http]:
    with serve(tmp_path, stand) as found:
        found.rows("sales")
        yield found


@pytest.fixture
def client(served: Http) -> Iterator[Client]:
    with dovetail.connect(str(served.http.base_url)) as found:
        yield found


def test_rows_are_those_of_json_with_the_types_of_the_view(client: Client, served: Http) -> None:
    answer = client.query("sales", by=["country"], measures=["lines", "revenue", "last", "average"], bucket="1d")
    kinds = {
        "country": pa.string(), "bucket": pa.timestamp("us", tz="UTC"), "lines": pa.int64(),
        "revenue": pa.decimal128(38, 2), "last": pa.timestamp("us", tz="UTC"), "average": pa.decimal128(38, 6),
    }  # fmt: skip
    assert {f.name: f.type for f in answer.to_arrow().schema} == kinds
    said = served.rows("sales", by="country", measures="lines,revenue,last,average", bucket="1d")
    assert [{k: _as_json(v) for k, v in row.items()} for row in answer] == said
    assert len(said) == len(answer) == 5


def test_a_receipt_is_that_of_json(client: Client, served: Http) -> None:
    receipt = client.query("sales", by="country", limit=2).receipt
    assert receipt.raw == served.receipt("sales", by="country", limit=2)
    assert (receipt.seq, receipt.position, receipt.more) == (2, {0: 3, 1: 3}, True)
    told = client.receipt(receipt.id)
    assert (told.id, told.position, told.complete) == (receipt.id, receipt.position, True)


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ({"country": "FR"}, 3), ({"country": None}, 1), ({"country": ["FR", None, ""]}, 5), ({"country": "a,b\\"}, 1),
        ({"country": {"not": ["FR", None]}}, 2), ({"product": {"gte": 2, "lt": 3}}, 1), ({"country": {"FR", "x"}}, 3),
    ],
)  # fmt: skip
def test_conditions_are_what_they_say(client: Client, where: dict[str, object], lines: int) -> None:
    assert client.query("sales", measures="lines", where=where).rows == [{"lines": lines}]  # type: ignore[arg-type]


def test_times_may_be_dates_and_moments(client: Client) -> None:
    def lines(**asked: dt.date) -> int:
        return int(client.query("sales", measures="lines", **asked).rows[0]["lines"])  # type: ignore[arg-type]

    moment = T0.astimezone(dt.timezone(dt.timedelta(hours=5))) + DAY
    assert (lines(start=moment), lines(end=moment), lines(start=dt.date(2026, 3, 2), end=dt.date(2026, 3, 3))) == (
        4,
        2,
        2,
    )


def test_having_and_order_are_of_the_answer(client: Client) -> None:
    found = client.query(
        "sales", by="country", measures=["lines"], having={"lines": {"gte": 1}}, order_by=["-lines"], limit=1
    )  # fmt: skip
    assert found.rows == [{"country": "FR", "lines": 3}]
    assert found.more


def test_pages_are_of_one_answer_whatever_comes_meanwhile(client: Client, stand: Stand, served: Http) -> None:
    whole = client.query("sales", by=["country", "product"]).rows
    rows, seqs = [], set()
    for page in client.pages("sales", by=["country", "product"], limit=2):
        rows += page.rows
        seqs.add(page.receipt.seq)
        stand.commit([event(country="new")])
        served.rows("sales")
    assert (rows, len(seqs)) == (whole, 1)
    assert len(client.query("sales", by=["country", "product"])) == len(whole) + 1


def test_an_earlier_answer_is_asked_for_by_its_receipt(client: Client, stand: Stand, served: Http) -> None:
    before = client.query("sales", by="country")
    stand.commit([event()])
    served.rows("sales")
    again = client.query("sales", by="country", as_of=before.receipt.id)
    assert (again.rows, again.receipt.id) == (before.rows, before.receipt.id)
    assert client.query("sales", by="country").rows != before.rows


def test_a_lookup_has_a_row_for_each_key_in_its_order(client: Client) -> None:
    keys = [{"country": c, "product": p} for c, p in (("", 3), ("none", 1), (None, 1), ("FR", 1), ("", 3))]
    found = client.lookup("sales", keys=keys, measures=["lines", "revenue"])
    assert [(r["country"], r["product"], r["lines"]) for r in found] == [
        ("", 3, 1), ("none", 1, 0), (None, 1, 1), ("FR", 1, 2), ("", 3, 1),
    ]  # fmt: skip
    assert [r["revenue"] for r in found] == [*map(Decimal, ("5.50",)), None, *map(Decimal, ("3.50", "5.00", "5.50"))]
    later = client.lookup("sales", keys=[{"country": "FR", "product": 1}], measures=["lines"], start=T0 + DAY)
    assert later.rows[0]["lines"] == 1


def test_views_tell_what_they_hold(client: Client) -> None:
    assert [v["view"] for v in client.views()] == ["sales"]
    assert client.view("sales")["keys"] == {"country": "string", "product": "int"}


def test_refusals_are_errors_with_what_helps(client: Client, stand: Stand, served: Http) -> None:
    with pytest.raises(NotFound, match="did you mean 'sales'") as missing:
        client.query("sale")
    assert missing.value.next == "GET /v1/views"
    with pytest.raises(Refused, match="did you mean 'revenue'"):
        client.query("sales", measures="revenu")
    with pytest.raises(Refused, match="is no receipt's id"):
        client.receipt("nothing")
    stand.lost(3, "retention")
    served.rows("sales")
    with pytest.raises(Incomplete, match="has passed records that are gone"):
        client.query("sales", complete=True)
    assert client.query("sales").receipt.complete is False


def test_what_is_not_there_yet_is_waited_for_and_then_an_error(client: Client, stand: Stand, served: Http) -> None:
    with dovetail.connect(str(served.http.base_url), retries=1) as hasty, pytest.raises(NotYet, match="not reached 99"):
        hasty.query("sales", at_least=99, timeout=0.1)
    stand.commit([event()])
    assert client.query("sales", measures="lines", at_least=stand.seq).rows == [{"lines": len(ROWS) + 1}]


def test_the_asynchronous_client_gets_the_same(client: Client, served: Http) -> None:
    async def ask() -> list[object]:
        async with dovetail.connect_async(str(served.http.base_url)) as other:
            pages = [page.rows async for page in other.pages("sales", by="country", limit=3)]
            looked = await other.lookup("sales", keys=[{"country": "FR", "product": 1}])
            return [(await other.query("sales", by="country")).rows, pages, looked.rows, await other.view("sales")]

    expected = client.query("sales", by="country").rows
    looked = client.lookup("sales", keys=[{"country": "FR", "product": 1}])
    assert anyio.run(ask) == [expected, [expected[:3], expected[3:]], looked.rows, client.view("sales")]


def _as_json(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Decimal) else value
