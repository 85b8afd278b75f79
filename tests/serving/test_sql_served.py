"""SQL over HTTP: the same answer as the question that it stands for, to who may ask it, in every form."""

from __future__ import annotations

import orjson
import pyarrow as pa
import pytest
from access_stand import PEPPER, place, some
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.serving.formats import ARROW, NDJSON
from dovetail.shared.grants import Grant

BY_COUNTRY = "SELECT country, MEASURE(lines) AS n FROM sales GROUP BY country ORDER BY n DESC"


@pytest.fixture
def sales(stand: Stand, serving: Client) -> Client:
    for name in ("sales", "again"):
        stand.attach(ViewSpec(name))
    stand.commit([event(), event(country="DE"), event(country="DE")])
    for name in ("sales", "again"):
        serving.rows(name)
    return serving


def test_a_statement_is_answered_with_the_receipt_of_its_question(sales: Client) -> None:
    answer = sales.http.post("/v1/sql", json={"sql": BY_COUNTRY})
    assert (answer.status_code, answer.json()["rows"]) == (200, [{"country": "DE", "n": 2}, {"country": "FR", "n": 1}])
    assert answer.json()["receipt"]["view"] == "sales"
    lines = sales.http.post("/v1/sql", json={"sql": BY_COUNTRY}, headers={"accept": NDJSON}).text.splitlines()
    assert [orjson.loads(line) for line in lines] == answer.json()["rows"]
    arrow = sales.http.post("/v1/sql", json={"sql": BY_COUNTRY}, headers={"accept": ARROW})
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == answer.json()["rows"]


def test_two_views_have_a_receipt_each_of_one_seq(sales: Client) -> None:
    both = "SELECT country, MEASURE(sales.lines) AS a, MEASURE(again.lines) AS b FROM sales JOIN again USING (country) "
    answer = sales.http.post("/v1/sql", json={"sql": both + "GROUP BY country"}).json()
    assert {row["a"] - row["b"] for row in answer["rows"]} == {0}
    assert [r["view"] for r in answer["receipts"]] == ["sales", "again"]
    assert len({r["seq"] for r in answer["receipts"]}) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"sql": 1}', b'{"sql": "SELECT 1", "x": 1}', b"[]", b"", b'{"sql": "DROP TABLE sales"}',
        b'{"sql": "SELECT * FROM \'/etc/passwd\'"}',
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused_with_what_one_looks_like(sales: Client, body: bytes) -> None:
    refused = sales.http.post("/v1/sql", content=body)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:dovetail:query")
    assert "passwd" not in refused.json()["next"]


def test_a_statement_sees_no_more_than_any_question(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    grant = Grant("masked", views=("sales",), columns={"country": "last(1)"}, rows={"product": [1]})
    with place(tmp_path, some()) as server, server.as_(grant) as http:
        rows = http.post("/v1/sql", json={"sql": BY_COUNTRY}).json()["rows"]
        assert rows == [
            {"country": "***E", "n": 1}, {"country": "***R", "n": 1}, {"country": "***S", "n": 1},
            {"country": None, "n": 1},
        ]  # fmt: skip
        for view in ("secrets", "nowhere"):
            refused = http.post("/v1/sql", json={"sql": BY_COUNTRY.replace("sales", view)})
            assert (refused.status_code, "sales" in refused.json()["detail"]) == (404, True)
            assert "secrets" not in refused.json()["detail"].replace(f"'{view}'", "")
