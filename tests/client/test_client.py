"""Each method asks what it says, of both clients alike."""

from __future__ import annotations

import inspect
from typing import Any

import httpx
import pyarrow as pa
import pytest
from client_double import ARROW, RECEIPT, Double, answer, problem

import dovetail
from dovetail.client import (
    AsyncClient,
    Client,
    ClientError,
    Forbidden,
    Gone,
    Incomplete,
    NotFound,
    NotYet,
    Refused,
    ServerFault,
    TooMany,
)

KEY = "secret-3f9a"


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        named = {name.replace("aclose", "close"): m for name, m in vars(kind).items() if name[0] != "_"}
        return {name: [*inspect.signature(m).parameters] for name, m in named.items()}

    assert methods(AsyncClient) == methods(Client)


def test_a_question_is_a_post_that_takes_arrow(client: Any, double: Double) -> None:
    double.tell(answer(pa.table({"lines": [3]})))
    found = client.query("sales of/éte", by=["country"], where={"price": {"gte": 10}}, limit=2)
    [sent] = double.requests
    assert (sent.method, sent.url.raw_path) == ("POST", b"/v1/views/sales%20of%2F%C3%A9te/query")
    assert (sent.headers["accept"], sent.headers["authorization"]) == (ARROW, "Bearer a-key")
    assert double.bodies() == [{"by": ["country"], "where": {"price": {"gte": 10}}, "limit": 2}]
    assert (found.rows, found.receipt.id) == ([{"lines": 3}], RECEIPT["id"])


def test_pages_follow_the_receipt_and_ask_the_same(client: Any, double: Double) -> None:
    double.tell(answer(more=True, next="r~1"), answer(more=True, next="r~2"), answer())
    assert [page.receipt.next for page in client.pages("sales", by="country", limit=1)] == ["r~1", "r~2", None]
    asked = {"by": "country", "limit": 1}
    assert double.bodies() == [asked, {**asked, "cursor": "r~1"}, {**asked, "cursor": "r~2"}]


def test_lookup_and_sql_send_what_they_are_given(client: Any, double: Double) -> None:
    double.tell(answer(), answer())
    client.lookup("sales", keys=({"country": c} for c in ("FR", None)), measures=["lines"], start="2026-03-01")
    client.sql("SELECT 1")
    assert [r.url.path for r in double.requests] == ["/v1/views/sales/lookup", "/v1/sql"]
    assert double.bodies() == [
        {"keys": [{"country": "FR"}, {"country": None}], "measures": ["lines"], "start": "2026-03-01"},
        {"sql": "SELECT 1"},
    ]


def test_views_a_view_and_a_receipt_are_read(client: Any, double: Double) -> None:
    for document in ({"views": [{"view": "sales"}]}, {"view": "sales"}, RECEIPT):
        double.tell(httpx.Response(200, json=document))
    assert client.views() == [{"view": "sales"}]
    assert client.view("sales") == {"view": "sales"}
    assert client.receipt(RECEIPT["id"]).seq == 3
    assert [r.url.path for r in double.requests] == ["/v1/views", "/v1/views/sales", f"/v1/receipts/{RECEIPT['id']}"]


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("unauthorized", 401, Forbidden), ("forbidden", 403, Forbidden), ("not-found", 404, NotFound),
        ("incomplete", 409, Incomplete), ("gone", 410, Gone), ("too-large", 413, Refused), ("query", 422, Refused),
        ("too-many", 429, TooMany), ("crash", 500, ServerFault), ("not-yet", 503, NotYet),
        ("integrity", 503, ServerFault),
    ],
)  # fmt: skip
def test_a_problem_is_an_error_of_its_kind_that_says_what_and_what_next(
    client: Any, double: Double, kind: str, status: int, error: type[ClientError]
) -> None:
    double.tell(*[problem(kind, status) for _ in range(4)])
    with pytest.raises(ClientError) as raised:
        client.query("sales")
    assert type(raised.value) is error
    assert isinstance(raised.value, dovetail.DovetailError)
    assert str(raised.value) == f"it is {kind}\n  next: do so"
    assert (raised.value.status, raised.value.type) == (status, f"urn:dovetail:{kind}")


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        (lambda: httpx.Response(502, html="<h1>Bad Gateway</h1>"), ServerFault, "HTTP 502"),
        (lambda: httpx.Response(404, json=["none"]), NotFound, "HTTP 404"),
        (lambda: httpx.Response(301, headers={"location": "http://elsewhere"}), ServerFault, "HTTP 301"),
        (
            lambda: httpx.Response(200, json={"rows": []}),
            ServerFault,
            "it sends application/json, not application/vnd.apache",
        ),
        (lambda: httpx.Response(200, content=b"?", headers={"content-type": ARROW}), ServerFault, "cut off"),
        (
            lambda: httpx.Response(200, content=answer(id=None).content[8:], headers={"content-type": ARROW}),
            ServerFault,
            "OSError",
        ),
    ],
)
def test_what_is_no_dovetail_is_said_to_be_none(
    client: Any, double: Double, response: Any, error: type[ClientError], says: str
) -> None:
    double.tell(response())
    with pytest.raises(error, match="no Dovetail of this release") as raised:
        client.query("sales")
    assert says in str(raised.value)
    assert "http://there:8000" in raised.value.what
    assert len(double.requests) == 1


def test_json_that_is_not_as_expected_is_no_dovetail_either(client: Any, double: Double) -> None:
    double.tell(httpx.Response(200, json={"not": "views"}))
    with pytest.raises(ServerFault, match="no Dovetail"):
        client.views()


@pytest.mark.parametrize(
    "told", [lambda: problem("forbidden", 403), lambda: httpx.ConnectError("refused"), lambda: httpx.Response(502)]
)
def test_the_key_is_sent_and_shown_nowhere(double: Double, told: Any) -> None:
    with dovetail.connect("http://there", KEY, retries=0, transport=double.transport) as client:
        double.tell(told())
        with pytest.raises(ClientError) as raised:
            client.query("sales")
        assert double.requests[0].headers["authorization"] == f"Bearer {KEY}"
        shown = [repr(client), repr(client._server), repr(client._http.headers), repr(raised.value), str(raised.value)]
        shown += [str(raised.traceback), str(raised.getrepr(chain=True)), repr(vars(raised.value))]
        assert KEY not in "\n".join(shown)
        assert raised.value.__context__ is None


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}é", f"two {KEY}"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ClientError, match="the key cannot be sent") as raised:
        dovetail.connect("http://there", key)
    assert KEY not in f"{raised.value!r} {raised.value}"


@pytest.mark.parametrize("url", ["there:8000", "ftp://there", "", "http://", "http://user:secret-3f9a@there"])
def test_what_is_no_address_is_refused_with_one_that_is(url: str) -> None:
    for connect in (dovetail.connect, dovetail.connect_async):
        with pytest.raises(ClientError, match=r"next: dovetail\.connect") as raised:
            connect(url)
        assert KEY not in str(raised.value)


def test_no_proxy_is_between_a_client_and_its_own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for url, proxied in (("http://localhost:1", False), ("http://[::1]:1", False), ("http://there:1", True)):
        with dovetail.connect(url) as client:
            assert bool(client._http._mounts) is proxied


def test_a_server_below_a_path_is_asked_there(double: Double) -> None:
    with dovetail.connect("https://there/data/", transport=double.transport) as client:
        double.tell(httpx.Response(200, json={"views": []}))
        client.views()
    assert str(double.requests[0].url) == "https://there/data/v1/views"


def test_a_client_closes_its_connections(double: Double) -> None:
    with dovetail.connect("http://there", transport=double.transport) as client:
        pass
    assert client._http.is_closed
