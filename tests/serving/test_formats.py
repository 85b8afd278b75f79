"""One answer in every form: the same rows and the same receipt, or a refusal of what is not there."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.serving.answer import Shown
from dovetail.serving.formats import ARROW, CSV, JSON, LONGEST_HEADER, NDJSON, WRITERS, chosen, header_of
from dovetail.serving.problems import NotAcceptable
from dovetail.serving.shape import held_type

KEYS = ("country", "product", "day", "vip", "price", "seen", "ratio", "raw")
ASKED = "by=country,day,vip,price,seen,ratio,raw&bucket=1d&tz=Asia/Tokyo&order_by=country&limit=3"


@pytest.fixture
def url(stand: Stand, serving: Client) -> str:
    stand.attach(ViewSpec("sales", keys=KEYS, bucket=3600))
    stand.commit([event(country=c, ratio=r) for c, r in (("a,\"b'", 0.5), ("", 1e300), ("é\n", None), ("z", 1.0))])
    stand.batch("sales")
    stand.commit([event(country=None, price=None, seen=None, day=None, vip=None, raw=None, amount=None)])
    serving.rows("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    return f"/v1/views/sales/query?{ASKED}"


def asked(serving: Client, url: str, kind: str) -> httpx.Response:
    found = serving.http.get(url, headers={"accept": kind})
    assert found.status_code == 200
    assert found.headers["content-type"].partition(";")[0] == kind
    return found


def test_every_form_has_the_same_rows_and_receipt(url: str, serving: Client) -> None:
    whole = asked(serving, url, JSON).json()
    rows, receipt = whole["rows"], whole["receipt"]
    assert [row["country"] for row in rows] == ["", "a,\"b'", "z"]
    lines = asked(serving, url, NDJSON)
    assert [orjson.loads(line) for line in lines.text.split("\n")[:-1]] == rows
    table = asked(serving, url, CSV)
    assert list(csv.reader(io.StringIO(table.text)))[1:] == [[_cell(v) for v in row.values()] for row in rows]
    arrow = pa.ipc.open_stream(asked(serving, url, ARROW).content).read_all()
    assert arrow.to_pylist() == [_typed(row) for row in rows]
    for other in (lines, table):
        assert json.loads(other.headers["dovetail-receipt"]) == receipt
        assert other.headers["etag"] == f'W/"{receipt["id"]}"'
    assert orjson.loads(arrow.schema.metadata[b"dovetail.receipt"]) == receipt
    assert arrow.schema.field("bucket").type == pa.timestamp("us", tz="Asia/Tokyo")
    assert arrow.schema.field("revenue").type == pa.decimal128(38, 2)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "1e+300" if value > 2 else str(value).removesuffix(".0")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """A row of JSON as its values."""
    times = {name: dt.datetime.fromisoformat(row[name]) for name in ("bucket", "seen", "last")}
    decimals = {name: Decimal(row[name]) for name in ("price", "revenue", "average")}
    return {**row, **times, **decimals, "day": dt.date.fromisoformat(row["day"]), "raw": base64.b64decode(row["raw"])}


def test_null_and_an_empty_text_differ_in_csv(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=""), event(country=None)])
    serving.rows("sales")
    found = asked(serving, "/v1/views/sales/query?by=country&measures=lines", CSV)
    assert found.text == '"country","lines"\n"",1\n,1\n'


def test_lists_and_structs_are_in_every_form() -> None:
    time = pa.timestamp("us", tz="UTC")
    kind = pa.list_(pa.struct([("at", time), ("n", pa.decimal128(4, 1))]))
    held = pa.array([[{"at": 0, "n": Decimal("1.5")}], None], held_type(kind))
    shown = Shown(pa.table({"days": held}), {"days": kind}, more=False)
    rows = [{"days": [{"at": "1970-01-01T00:00:00Z", "n": "1.5"}]}, {"days": None}]
    assert [orjson.loads(line) for line in WRITERS[NDJSON](shown, {}).splitlines()] == rows
    (_, (cell,), none) = csv.reader(io.StringIO(WRITERS[CSV](shown, {}).decode()))
    assert (orjson.loads(cell), none) == (rows[0]["days"], [])
    arrow = pa.ipc.open_stream(WRITERS[ARROW](shown, {})).read_all()
    assert arrow.schema.field("days").type == kind
    assert arrow["days"].to_pylist() == [[{"at": dt.datetime(1970, 1, 1, tzinfo=dt.UTC), "n": Decimal("1.5")}], None]


def test_numbers_beside_nan_and_infinities_are_in_csv_as_json_has_them() -> None:
    values = [1.5, float("nan"), float("inf"), None, float("-inf")]
    shown = Shown(pa.table({"ratio": values}), {"ratio": pa.float64()}, more=False)
    cells = list(csv.reader(io.StringIO(WRITERS[CSV](shown, {}).decode())))
    assert cells == [["ratio"], ["1.5"], ["NaN"], ["Infinity"], [], ["-Infinity"]]


def test_what_is_not_there_is_refused_with_what_is(url: str, serving: Client) -> None:
    refused = serving.http.get(url, headers={"accept": "application/xml"})
    assert (refused.status_code, refused.json()["type"]) == (406, "urn:dovetail:not-acceptable")
    assert ARROW in refused.json()["detail"]


def test_an_answer_of_then_has_every_form_too(url: str, stand: Stand, serving: Client) -> None:
    then = asked(serving, url, JSON).json()
    stand.commit([event(country="a")])
    serving.rows("sales")
    for kind in (NDJSON, CSV, ARROW):
        now, again = asked(serving, url, kind), asked(serving, f"{url}&as_of={then['receipt']['id']}", kind)
        assert now.content != again.content
    lines = asked(serving, f"{url}&as_of={then['receipt']['id']}", NDJSON).text
    assert [orjson.loads(line) for line in lines.split("\n")[:-1]] == then["rows"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON), ("*/*", JSON), ("application/*", JSON), ("text/*", CSV), ("text/csv", CSV), ("TEXT/CSV", CSV),
        ("text/csv;q=0.1, */*;q=0.2", JSON), ("application/json;q=0, */*", NDJSON), (f"{ARROW}, */*;q=0.1", ARROW),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON), ("text/csv;q=x", None),
        ("text/html", None), ("application/json;q=0", None),
    ],
)  # fmt: skip
def test_the_form_liked_best_is_sent(accept: str, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(NotAcceptable):
            chosen(accept)
    else:
        assert chosen(accept) == kind


def test_a_receipt_too_long_for_a_header_leaves_out_what_grows_and_says_where_it_is() -> None:
    receipt = {"id": "s1.2.x", "complete": False, "gaps": ["ö" * 100] * 1000, "position": {}, "cut": {}, "runs": []}
    text = header_of(receipt)
    assert len(text) <= LONGEST_HEADER
    assert json.loads(text) == {"id": "s1.2.x", "complete": False}
    assert header_of({"why": "ö"}).isascii()


def test_a_long_answer_is_compressed_for_who_takes_that(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:04}") for n in range(300)])
    serving.rows("sales")
    url = "/v1/views/sales/query?by=country"
    plain = serving.http.get(url, headers={"accept-encoding": "identity"})
    packed = serving.http.get(url, headers={"accept-encoding": "gzip"})
    assert (packed.headers["content-encoding"], plain.json()) == ("gzip", packed.json())
    assert int(packed.headers["content-length"]) * 5 < int(plain.headers["content-length"])
