"""Each parameter and field there is, wrong in each way: a problem that names it and what was given, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from contract_stand import app, client
from fastapi import FastAPI
from requests import Response, Session

from dovetail.serving.fields import LISTS, SCALARS
from dovetail.serving.lookup import MOST, TAKEN
from dovetail.serving.openapi_questions import LOOKUP_BODY, OF_LIVE, OF_QUERY, QUERY_BODY, SQL_BODY
from dovetail.serving.sql_text import LONGEST

LONG = "x" * 3_000
HUGE = f"s1.1.d{'1' * 5_000}.abcdef01234567"
"""A receipt's id but for a number that has more digits than Python reads."""
SQL = '"; DROP TABLE sales; --'
NOT_ONE: list[Any] = [{"a": 1}, [1, 2], [[]]]
"""Of a body, where one text, number or truth value belongs."""
WRONG: Mapping[str, list[str]] = {
    "start": ["", "soon", "2026-03-01T00:30:00Z", "10000-01-01", "2026-13-01", "-1", "2026-03-01\0", SQL, LONG],
    "end": ["", "soon", "2026-03-01T00:00:01Z", "0000-01-01", "2026-02-30", "2026-03-01Z5", "\n", SQL, LONG],
    "bucket": ["", "soon", "0h", "-1h", "7h", "30m", "1 parsec", "9999999999d", "1h\0", "1.5h", "5mo", "500ms", LONG],
    "window": ["", "soon", "0h", "-1h", "30m", "1 parsec", "999999999y", "1d\0", "1500ms", "\u0661h", LONG],
    "fill": ["", "zeros", "ZERO", "0", "null\0", LONG],
    "tz": ["", "Paris", "Europe", "../../etc/passwd", "/etc/passwd", "UTC\0", "+01:00", "\u202e", LONG],
    "limit": ["", "0", "-1", "1.5", "100001", "1e99", "x", "1_000", " 5", "\u0665", "nan", "0x10", LONG],
    "cursor": ["", "x", "~", "~1", "s1.2.0123456789abcd", "s1.2.0123456789abcd~0", f"s1.2.0123456789abcd~{10**12}",
               "s1.2.0123456789abcd~-1", "../..~1", f"{HUGE}~1", LONG],
    "at_least": ["", "x", "-1", "1.5", "1@", "@1", "1@2@3", "9" * 40, "\u0661", "1\0", LONG],
    "max_age": ["", "soon", "-1", "1.5", "1 parsec", "9" * 30, "30s\0", "inf", LONG],
    "timeout": ["", "x", "-1", "61", "nan", "inf", "1_0", " 1", "1s", LONG],
    "as_of": ["", "x", "s1.2", "s1.2.0123456789abcdX", "s1.2.0123456789ABCD", "../..", "s1.\u0661.0123456789abcd",
              HUGE, LONG],
    "layer": ["", "both", "BATCH", "speed ", "0", "batch\0", LONG],
    "complete": ["", "yes", "true", "REQUIRED", LONG],
    "every": ["", "soon", "49ms", "61s", "0s", "-1s", "1", "1 parsec", LONG],
    "by": ["contry", "Country", "lines", "bucket", "country\0", "country.x", SQL, "\u202ecountry", LONG],
    "measures": ["revenu", "country", "lines.p50", "sum(lines)", "lines\0", SQL, LONG],
    "order_by": ["revenu", "country", "--lines", "lines desc", "names", "-best", "lines\0", SQL, LONG],
}  # fmt: skip
"""By parameter: values that are none of its."""
WRONG_CONDITIONS: Mapping[str, list[tuple[str, str]]] = {
    "where.KEY": [
        ("where.product", "x"), ("where.product", ""), ("where.product", "1.0"), ("where.product", "3000000000"),
        ("where.product", "1\0"), ("where.product", SQL), ("where.product", LONG),
    ],
    "where.KEY.null": [("where.country.null", "false"), ("where.country.null", ""), ("where.country.null", "TRUE")],
    "where.KEY.OPERATOR": [
        ("where.product.gte", "x"), ("where.product.gte", "1,2"), ("where.product.gte", ""),
        ("where.product.not", "x"), ("where.country.prefix", "a,b"),
    ],
    "having.MEASURE": [
        ("having.lines", "x"), ("having.lines.gte", ""), ("having.lines.gte", "1,2"), ("having.revenue.gte", "nan"),
        ("having.last.gte", "soon"),
    ],
}  # fmt: skip
"""Of those that stand for many names: what is none of their values."""
WRONG_NAMES: Mapping[str, list[str]] = {
    "where.KEY": ["where", "where.", "where.contry", "where.lines", "where.bucket", f"where.{SQL}", "where.country.x",
                  f"where.{LONG}"],
    "where.KEY.null": ["where.contry.null", "where..null"],
    "where.KEY.OPERATOR": ["where.product.prefix", "where.product.like", "where.product.gte.null", "where.contry.gte",
                           "where.product.gte.lt"],
    "having.MEASURE": ["having", "having.", "having.revenu", "having.country", "having.names", "having.lines.prefix"],
}  # fmt: skip
"""And names that they do not stand for, whatever the value."""
WRONG_IN_BODY: Mapping[str, list[Any]] = {
    **dict.fromkeys(SCALARS, NOT_ONE),
    **{name: [{"a": 1}, [[1]], [{}], [None], [True], ["x"] * 1_001, ["country\0"]] for name in LISTS},
    "limit": [*NOT_ONE, True, 0, 1.5, 10**30], "timeout": [*NOT_ONE, True, -0.5, 1e300], "start": [*NOT_ONE, 5, False],
    "where": [
        None, "x", 1, [], ["country"], {"contry": 1}, {"product": "x"}, {"product": 1.5}, {"product": True},
        {"country": []}, {"country": [[]]}, {"country": {"like": "F"}}, {"country": {"gte": [1, 2]}},
        {"product": {"gte": None}}, {"product": {"gte": {"a": 1}}}, {"product": {"prefix": 1}}, {"": 1}, {SQL: 1},
        {"country": ["x"] * 1_001},
    ],
    "having": [None, "x", [], {"revenu": 1}, {"lines": "x"}, {"lines": {"gte": []}}, {"names": ["x"]}],
    "keys": [
        None, "x", 1, {}, [], [1], [None], [[]], [{}], [{"country": "FR"}], [{"country": "FR", "product": 1, "x": 2}],
        [{"country": "FR", "product": "x"}], [{"country": {}, "product": 1}], [{"country": "FR", "product": []}],
        [{"country": "FR", "product": 10**30}], [{"country": "FR", "product": 1}] * (MOST + 1),
    ],
    "sql": [None, 1, True, [], {}, "", ";", "SELECT 1", "DROP TABLE sales", "\0", "SELECT '\0", SQL,
            "x" * (LONGEST + 1)],
}  # fmt: skip
"""By field of a body: what it may not be, beside the texts of WRONG."""
TOGETHER = {
    "start=2026-03-02&end=2026-03-01": "end", "start=2026-03-01&end=2026-03-01": "end", "fill=zero": "fill",
    "bucket=1d&window=6h": "window", "bucket=1d&window=36h": "window", "bucket=1mo&window=30d": "window",
    "bucket=1d&tz=Asia/Kolkata&start=2026-03-01": "bucket", "bucket=1d&window=2d&start=2026-03-01T06:00": "start",
    "having.revenue.gte=1&measures=lines": "having.revenue", "order_by=lines&measures=revenue": "order_by",
    "order_by=country&by=product": "order_by", "where.product.gte=1&where.product.gte=2": "where.product.gte",
    "where.product.gte=1&where.product.gte.null=true": "where.product.gte", "x=1": "x", "limt=1": "limt",
    "every=1s": "every", "By=country": "By", "=1": "parameter", "tz=UTC&tz=UTC": "tz",
    "bucket=1h&fill=zero&start=0001-01-01&end=9999-01-01": "fill", f"by={'country,' * 1_001}": "by",
}  # fmt: skip
"""Wrong only together, or as a whole; and what is to be named."""
OF_STREAM = ("every", "by", "limit")
"""Those of a stream that are tried again there: what is its own, and two of what it has in common with a query."""
OF_LINK = {"question", "expires"}
"""Fields of a link, which none but a key can make: tried in test_embed.py."""
OF_ANY_TEXT = {"If-None-Match", "Last-Event-ID"}
"""Headers that are only compared: none is wrong."""
QUERY, LIVE, LOOKUP, STATEMENT = (
    f"/v1/{p}" for p in ("views/sales/query", "views/sales/live", "views/sales/lookup", "sql")
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with app(tmp_path_factory.mktemp("bad")) as (found, _):
        yield found


@pytest.fixture(scope="module")
def http(made: FastAPI) -> Iterator[Session]:
    with client(made) as found:
        yield found


def in_url(parameters: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """A parameter, and the name and value that are wrong."""
    for name in (p["name"] for p in parameters if p["name"] not in OF_ANY_TEXT):
        yield from ((name, *pair) for pair in WRONG_CONDITIONS.get(name) or [(name, value) for value in WRONG[name]])


def in_body(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A field, and a value that is wrong."""
    for name in body["content"]["application/json"]["schema"]["properties"]:
        yield from ((name, value) for value in (*WRONG.get(name, ()), *WRONG_IN_BODY[name]))


def check(refused: Response, name: str, value: object, *, status: int = 422, kind: str = "query") -> None:
    assert refused.status_code == status, refused.text[:300]
    assert refused.headers["content-type"] == "application/problem+json"
    told = refused.json()
    assert (told["type"], told["status"]) == (f"urn:dovetail:{kind}", status)
    assert told["next"], "what to do is not said"
    assert name in told["detail"]
    assert not isinstance(value, str) or value[:500] in told["detail"]
    assert len(told["detail"]) <= 2_100


def shown(value: object) -> str:
    return ascii(value)[:40]


@pytest.mark.parametrize(("_", "name", "value"), [*in_url(OF_QUERY)], ids=shown)
def test_in_a_url(http: Session, _: str, name: str, value: str) -> None:
    asked = {"bucket": "1h"} if name == "fill" else {}
    check(http.get(f"{QUERY}?{urlencode({**asked, name: value})}"), name, value.partition(",")[0])


@pytest.mark.parametrize(
    ("_", "name", "value"), [*in_url([p for p in OF_LIVE if p["name"] in ("every", "by", "limit")])]
)
def test_of_a_stream(http: Session, _: str, name: str, value: str) -> None:
    check(http.get(f"{LIVE}?{urlencode({name: value})}"), name, value)


@pytest.mark.parametrize("name", [name for name in SCALARS if name not in {p["name"] for p in OF_LIVE}])
def test_of_a_stream_there_is_no_one_answer(http: Session, name: str) -> None:
    check(http.get(f"{LIVE}?{name}={quote(SCALARS[name])}"), name, None)


@pytest.mark.parametrize("name", SCALARS)
def test_given_twice(http: Session, name: str) -> None:
    for route in (QUERY, LIVE):
        check(http.get(f"{route}?{name}={quote(SCALARS[name])}&{name}=other"), name, "other")


@pytest.mark.parametrize(("asked", "name"), [*TOGETHER.items()], ids=shown)
def test_wrong_together(http: Session, asked: str, name: str) -> None:
    check(http.get(f"{QUERY}?{asked}"), name, None)


@pytest.mark.parametrize(("name", "value"), [*in_body(QUERY_BODY)], ids=shown)
def test_in_a_body(http: Session, name: str, value: object) -> None:
    asked = {"bucket": "1h"} if name == "fill" else {}
    check(http.post(QUERY, json={**asked, name: value}), name, value)


@pytest.mark.parametrize(("name", "value"), [*in_body(LOOKUP_BODY)], ids=shown)
def test_in_a_lookup(http: Session, name: str, value: object) -> None:
    keys = [{"country": "FR", "product": 1}]
    check(http.post(LOOKUP, json={"keys": keys, name: value}), *(("key", None) if name == "keys" else (name, value)))


@pytest.mark.parametrize("name", [n for n in (*SCALARS, *LISTS) if n not in TAKEN])
def test_what_a_lookup_does_not_take(http: Session, name: str) -> None:
    keys = [{"country": "FR", "product": 1}]
    check(http.post(LOOKUP, json={"keys": keys, name: SCALARS.get(name, "country")}), name, None)


@pytest.mark.parametrize(("_", "value"), [*in_body(SQL_BODY)], ids=shown)
def test_in_a_statement(http: Session, _: str, value: object) -> None:
    check(http.post(STATEMENT, json={"sql": value}), "", None)


@pytest.mark.parametrize("route", [QUERY, LOOKUP, STATEMENT])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b'{"a": 1}', b"{" * 99, b"[" * 99 + b"]" * 99,
             b'{"x":NaN}', b'{"sql": "\\ud800"}', b'{"x": 1, "x": 2}', b"by=country"]
)  # fmt: skip
def test_what_is_no_such_body(http: Session, route: str, body: bytes) -> None:
    check(http.post(route, data=body), "", None)


@pytest.mark.parametrize(
    "view", ["nowhere", "Sales", "sales\0", "sales ", LONG, SQL, "s\u00e4les", "sales;x", "\u202e"]
)
def test_a_view_that_is_not_there(http: Session, view: str) -> None:
    for method, path in (("get", ""), ("get", "/query"), ("get", "/live"), ("post", "/query"), ("post", "/lookup")):
        refused = http.request(method, f"/v1/views/{quote(view, safe='')}{path}", json={} if method == "post" else None)
        check(refused, "view", view, status=404, kind="not-found")


@pytest.mark.parametrize("receipt", [w for w in WRONG["as_of"] if w and "/" not in w])
def test_what_is_no_receipt(http: Session, receipt: str) -> None:
    check(http.get(f"/v1/receipts/{quote(receipt)}"), "receipt", receipt)


def test_every_parameter_and_field_that_is_described_has_its_wrong_cases(made: FastAPI) -> None:
    assert {*WRONG_NAMES} == {*WRONG_CONDITIONS}
    known = {*WRONG, *WRONG_CONDITIONS, *OF_ANY_TEXT, "view", "receipt", "link"}
    for path, operations in made.openapi()["paths"].items():
        for operation in operations.values():
            named = {p["name"] for p in operation.get("parameters", ())}
            assert named <= known, path
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            assert {*body.get("properties", ())} <= {*WRONG_IN_BODY, *OF_LINK}, path
    assert {*SCALARS, *LISTS} <= {*WRONG} & {*WRONG_IN_BODY}
