"""Many keys in one question: what each alone would be answered, in the order asked for, of one moment."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.serving.formats import ARROW
from dovetail.serving.lookup import MOST

KEYS = [
    {"country": c, "product": p}
    for c, p in (("FR", 1), ("DE", 2), ("nowhere", 9), (None, 1), ("FR", None), ("FR", 1), ('a"\\', 3))
]


@pytest.fixture
def sales(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(**key) for key in KEYS if key["country"] != "nowhere"] + [event(country="other")] * 3)
    stand.batch("sales")
    stand.commit([event(country="FR"), event(country="DE", product=2, amount=None)])
    serving.rows("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)


def looked_up(serving: Client, **body: Any) -> Any:
    return serving.http.post("/v1/views/sales/lookup", json={"keys": KEYS, **body})


def alone(serving: Client, key: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"where": {name: [value] for name, value in key.items()}, **fields}
    (row,) = serving.http.post("/v1/views/sales/query", json=body).json()["rows"]
    return {**key, **row}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"measures": ["revenue", "lines"]},
        {"start": "2026-03-01", "end": "2026-03-02"},
        {"start": "2030-01-01"},
    ],
)
def test_each_row_is_what_that_key_alone_is_answered(sales: None, serving: Client, fields: dict[str, Any]) -> None:
    expected = [alone(serving, key, **fields) for key in KEYS]
    for _ in range(2):  # from the database, then as kept
        assert looked_up(serving, **fields).json()["rows"] == expected
    arrow = serving.http.post(
        "/v1/views/sales/lookup", json={"keys": KEYS, **fields, "measures": ["lines"]}, headers={"accept": ARROW}
    )
    assert pa.ipc.open_stream(arrow.content).read_all().select(["country", "product", "lines"]).to_pylist() == [
        {**key, "lines": alone(serving, key, **{**fields, "measures": ["lines"]})["lines"]} for key in KEYS
    ]


def test_a_commit_is_in_the_next_lookup_and_not_in_one_of_then(sales: None, stand: Stand, serving: Client) -> None:
    then = looked_up(serving, measures=["lines"]).json()
    stand.commit([event(**key) for key in KEYS])
    serving.rows("sales")
    now = looked_up(serving, measures=["lines"]).json()
    fr = then["rows"][0]["lines"]
    assert [row["lines"] for row in now["rows"]] == [fr + 2, *(r["lines"] + 1 for r in then["rows"][1:5]), fr + 2,
                                                     then["rows"][6]["lines"] + 1]  # fmt: skip
    again = looked_up(serving, measures=["lines"], as_of=then["receipt"]["id"]).json()
    assert (again["rows"], again["receipt"]["id"]) == (then["rows"], then["receipt"]["id"])
    assert looked_up(serving, measures=["lines"], at_least=99, timeout=0).status_code == 503


def test_whole_numbers_reach_as_far_as_their_type(sales: None, serving: Client) -> None:
    ends = [{"country": "FR", "product": n} for n in (2**31 - 1, -(2**31))]
    found = serving.http.post("/v1/views/sales/lookup", json={"keys": ends, "measures": ["lines"]})
    assert found.json()["rows"] == [{**key, "lines": 0} for key in ends]


def test_a_lookup_that_is_still_the_same_is_not_sent_again(sales: None, stand: Stand, serving: Client) -> None:
    tagged = {"if-none-match": looked_up(serving).headers["etag"]}
    same = serving.http.post("/v1/views/sales/lookup", json={"keys": KEYS}, headers=tagged)
    other = serving.http.post("/v1/views/sales/lookup", json={"keys": KEYS[:-1]}, headers=tagged)
    assert (same.status_code, other.status_code) == (304, 200)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"keys": None}, "keys is not a list"), ({"keys": []}, "keys is not a list"), ({"keys": [1]}, "not an object"),
        ({"keys": [{"country": "FR"}]}, "does not say product"),
        ({"keys": [{"country": "FR", "product": 1, "produkt": 2}]}, "did you mean 'product'?"),
        ({"keys": [{"country": "FR", "product": "x"}]}, "keys.product: 'x' is not of type int"),
        ({"keys": [{"country": "FR", "product": 2**31}]}, "keys.product: '2147483648' is not of type int"),
        ({"keys": [{"country": "FR", "product": -(2**31) - 1}]}, "'-2147483649' is not of type int"),
        ({"keys": [{"country": ["FR"], "product": 1}]}, "is not a text, a number or a truth value"),
        ({"keys": KEYS[:1] * (MOST + 1)}, f"{MOST} at most"),
        ({"by": ["country"]}, "by is of a query"), ({"where": {"country": "FR"}}, "where.country is of a query"),
        ({"bucket": "1d"}, "bucket is of a query"), ({"limit": 3}, "limit is of a query"),
        ({"measures": ["revenu"]}, "did you mean 'revenue'?"),
    ],
)  # fmt: skip
def test_what_is_no_lookup_is_refused(sales: None, serving: Client, body: dict[str, Any], says: str) -> None:
    refused = looked_up(serving, **body)
    assert refused.status_code == 422
    assert says in refused.json()["detail"]


def test_a_view_without_keys_has_nothing_to_look_up(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("totals", keys=()))
    stand.commit([event()])
    serving.rows("totals")
    refused = serving.http.post("/v1/views/totals/lookup", json={"keys": [{}]})
    assert (refused.status_code, refused.json()["next"]) == (422, "GET /v1/views/totals/query")


def test_a_receipt_says_what_its_answer_was_made_of(sales: None, stand: Stand, serving: Client) -> None:
    receipt = serving.receipt("sales", by="country")
    stand.commit([event()])
    serving.rows("sales")
    told = serving.http.get(f"/v1/receipts/{receipt['id']}").json()
    assert told == {name: receipt[name] for name in told}
    assert {"view", "version", "runs", "cut", "position", "seq", "gaps", "complete", "dimensions"} < told.keys()
    unknown = serving.http.get("/v1/receipts/s1.2.00000000000000")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:dovetail:not-found")
    assert serving.http.get("/v1/receipts/x").status_code == 422
