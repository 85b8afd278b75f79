"""The interface as a client meets it: receipts and ETags, waiting, problems, and what is said about the service."""

from __future__ import annotations

import threading
import time

import pytest
from serving_stand import Client, Ends, Stand, ViewSpec, event

from dovetail.serving.fields import LISTS, SCALARS
from dovetail.shared import proofs
from dovetail.shared.ledger import Judged
from dovetail.shared.position import Position
from dovetail.shared.proofs import Proved


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", product=2)])
    return spec


def test_a_receipt_names_the_parts_of_its_answer(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    stand.batch("sales")
    stand.commit([event()])
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    receipt = serving.receipt("sales")
    generation, seq, digest = receipt.pop("id").split(".")
    assert (generation, seq, len(digest)) == ("s1", str(stand.seq), 14)
    assert receipt == {
        "view": "sales", "version": sales.version, "runs": ["origin", "run2"], "cut": {"0": 1, "1": 1},
        "position": {"0": 1, "1": 2}, "seq": 3, "quarantined": 0, "failed": 0, "gaps": [],
        "complete": True, "approximate": [], "dimensions": {},
        "behind": {"records": None, "seconds": None},
    }  # fmt: skip


@pytest.mark.parametrize("asked", [{"by": "country"}, {"where__country": "FR", "where__product": "1"}])
def test_an_answer_that_is_still_the_same_is_not_sent_again(
    sales: ViewSpec, stand: Stand, serving: Client, asked: dict[str, str]
) -> None:
    first = serving.answered("sales", **asked)
    etag = first.headers["etag"]
    assert etag == f'W/"{first.json()["receipt"]["id"]}"'
    url, known = first.request.url, {"if-none-match": f'"other", {etag}'}
    again = serving.http.get(url, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert serving.http.get(url, headers={"if-none-match": '"other"'}).status_code == 200
    stand.commit([event()])
    serving.rows("sales")
    assert serving.http.get(url, headers=known).status_code == 200


def test_equal_ids_are_equal_questions_of_equal_rows(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    one, two = (serving.receipt("sales", where__country=c)["id"] for c in ("FR,DE", "DE,FR"))
    assert one == two
    assert serving.receipt("sales", where__country="FR")["id"] != one
    stand.commit([event()])
    assert serving.receipt("sales", where__country="FR,DE")["id"] != one


def test_a_body_is_answered_like_a_url(sales: ViewSpec, serving: Client) -> None:
    expected = serving.rows("sales", by="country", where__product="1")
    answer = serving.http.post("/v1/views/sales/query", json={"by": ["country"], "where": {"product": 1}})
    assert answer.json()["rows"] == expected
    assert serving.http.post("/v1/views/sales/query", content=b"x" * (2 << 20)).status_code == 413


def test_at_least_waits_for_a_seq_and_for_a_record(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    serving.rows("sales")
    later = threading.Timer(0.3, lambda: stand.commit([event(), event()]))
    later.start()
    assert serving.get("sales", measures="lines", at_least=stand.seq + 1).json()["rows"] == [{"lines": 4}]
    later.join()
    assert serving.get("sales", at_least="1@1").status_code == 200
    assert serving.get("sales", at_least="1@2", timeout=0).status_code == 503


def test_at_least_gives_up_after_its_timeout(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    serving.rows("sales")
    began = time.monotonic()
    answer = serving.get("sales", at_least=99, timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 5
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "has not reached 99: it stands at seq 2" in answer.json()["detail"]


def test_views_say_what_they_hold(sales: ViewSpec, serving: Client) -> None:
    serving.rows("sales")
    assert serving.http.get("/v1/views").json() == {
        "views": [{"view": "sales", "version": sales.version, "seq": 2, "standing": "ready"}]
    }
    told = serving.http.get("/v1/views/sales").json()
    assert told["keys"] == {"country": "string", "product": "int"}
    assert told["bucket"] == "1h"
    assert told["measures"] == {
        "lines": "bigint", "cancelled": "bigint", "revenue": "decimal(38,2)", "pieces": "bigint", "least": "bigint",
        "most": "bigint", "average": "decimal(38,6)", "last": "timestamp",
    }  # fmt: skip
    assert (told["version"], told["seq"], told["generation"]) == (sales.version, 2, 0)


@pytest.mark.parametrize(
    ("path", "status", "says", "next_"),
    [
        ("/v1/views/sale/query", 404, "unknown view 'sale': did you mean 'sales'?", "GET /v1/views"),
        ("/v1/views/sale", 404, "unknown view 'sale'", "GET /v1/views"),
        ("/v1/views/sales/query?measures=revenu", 422, "did you mean 'revenue'?",
         "GET /v1/views/sales has its keys and measures"),
        ("/v1/views/sales/query?start=2026-03-01T00:30Z", 422, "nothing is rounded silently",
         "start=2026-03-01T00:00:00Z or start=2026-03-01T01:00:00Z"),
        ("/v1/nowhere", 404, "Not Found", "see /docs"),
    ],
)  # fmt: skip
def test_problems_say_what_and_what_next(
    sales: ViewSpec, serving: Client, path: str, status: int, says: str, next_: str
) -> None:
    serving.rows("sales")
    answer = serving.http.get(path)
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "next"}
    assert (answer.status_code, told["status"], told["next"]) == (status, status, next_)
    assert says in told["detail"]


def test_a_wrong_method_is_a_problem_too(serving: Client) -> None:
    answer = serving.http.delete("/v1/views")
    assert (answer.status_code, answer.json()["title"]) == (405, "Method Not Allowed")


def test_a_crash_shows_nothing_of_the_inside(
    sales: ViewSpec, serving: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serving.rows("sales")
    monkeypatch.setattr("dovetail.serving.view.groups", lambda *_, **__: 1 / 0)
    answer = serving.get("sales", by="country")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:dovetail:crash")
    assert "division" not in answer.text
    assert "Traceback" not in answer.text
    assert f"request {answer.headers['x-request-id']}" in caplog.text


def test_a_refusal_has_the_id_of_its_request_and_an_answer_has_none(sales: ViewSpec, serving: Client) -> None:
    serving.rows("sales")
    ids = {serving.get("none").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert "x-request-id" not in serving.get("sales").headers


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example", 400), ("127.0.0.1.x", 400)],
)
def test_only_names_of_this_machine_are_answered(serving: Client, host: str, status: int) -> None:
    assert serving.http.get("/health", headers={"host": host}).status_code == status


def test_ready_is_when_every_view_can_be_answered(stand: Stand, serving: Client) -> None:
    serving.until(lambda: serving.http.get("/ready").status_code == 200)
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    serving.rows("sales")
    assert serving.http.get("/ready").json() == {"ready": True, "views": {"sales": "ready"}}
    stand.miss(spec.version)
    serving.until(lambda: serving.http.get("/ready").status_code == 503)
    assert "was not in force" in serving.http.get("/ready").json()["views"]["sales"]
    assert serving.http.get("/health").json() == {"up": True}


def test_metrics_count_by_route_and_view(sales: ViewSpec, stand: Stand, serving: Client, ends: Ends) -> None:
    ends.at = {"shop.orders": Position({0: 1, 1: 11})}
    serving.rows("sales")
    serving.http.get("/v1/views/x'y/query")
    serving.http.get("/v1/nowhere/at/all")
    serving.until(lambda: serving.receipt("sales")["behind"]["records"] == 10)
    text = serving.http.get("/metrics").text
    assert 'dovetail_view_seq{view="sales"} 2.0' in text
    assert 'dovetail_view_behind_records{view="sales"} 10.0' in text
    assert 'dovetail_view_partition_behind_records{partition="1",view="sales"} 10.0' in text
    assert 'dovetail_view_partition_behind_records{partition="0",view="sales"} 0.0' in text
    assert 'dovetail_view_answerable{view="sales"} 1.0' in text
    assert 'dovetail_http_requests_total{route="/v1/views/{view}/query",status="2xx"}' in text
    assert 'dovetail_http_requests_total{route="/v1/views/{view}/query",status="4xx"} 1.0' in text
    assert "x'y" not in text
    assert "nowhere" not in text


def test_metrics_count_what_broke_each_rule_once_for_all_views_of_a_source(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    stand.attach(ViewSpec("again"))
    stand.commit([event()], broken={Judged('name <> "x"', "warn"): 2})
    stand.commit([event()], broken={Judged('name <> "x"', "warn"): 1, Judged("n > 0", "drop"): 4})
    for view in ("sales", "again"):
        serving.rows(view)
    text = serving.http.get("/metrics").text
    warned = 'dovetail_rule_broken_total{otherwise="warn",rule="name <> \\"x\\"",source="orders"} 3.0'
    assert warned in text
    assert 'dovetail_rule_broken_total{otherwise="drop",rule="n > 0",source="orders"} 4.0' in text


def test_metrics_tell_what_the_last_recount_of_a_source_found(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    serving.rows("sales")
    assert "dovetail_proof_holds{" not in serving.http.get("/metrics").text
    for found in (Proved(2, 12.5, 1.0, 0, 0, holds=True), Proved(3, 99.5, 0.01, 2, 1, holds=False)):
        proofs.keep(stand.layout, "orders", found)
        text = serving.http.get("/metrics").text
        assert f'dovetail_proof_holds{{source="orders"}} {float(found.holds)}' in text
        assert f'dovetail_proof_lost_records{{source="orders"}} {float(found.lost)}' in text
        assert f'dovetail_proof_doubled_records{{source="orders"}} {float(found.doubled)}' in text
        assert f'dovetail_proof_seq{{source="orders"}} {float(found.seq)}' in text
        assert f'dovetail_proof_timestamp_seconds{{source="orders"}} {found.at}' in text


def test_the_docs_are_there(serving: Client) -> None:
    assert serving.http.get("/docs").status_code == 200
    described = serving.http.get("/openapi.json").json()["paths"]["/v1/views/{view}/query"]["get"]["parameters"]
    assert {p["name"] for p in described if p["in"] != "header"} == {
        "view",
        *SCALARS,
        *LISTS,
        "where.KEY",
        "where.KEY.null",
        "where.KEY.OPERATOR",
        "having.MEASURE",
    }
