"""Who may ask what: nobody without a key, nothing that a grant does not name, and no difference that tells of it."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_stand import ALL, PEPPER, Place, give, place, some
from live_stream import open_streams

from dovetail.serving.door import LOOK_S
from dovetail.serving.edition import tag
from dovetail.shared import access, asking, audit, keys
from dovetail.shared.errors import QueryError
from dovetail.shared.grants import Grant
from dovetail.shared.settings import load

SALES = Grant("sales", roles=("read", "share"), views=("sales",))
OPERATE = Grant("operate", roles=("operate",))
KEY = {"country": "FR", "product": 1, "price": "1.50"}
UNAUTHORIZED = "urn:dovetail:unauthorized"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        with place(tmp_path_factory.mktemp("access"), some()) as found:
            yield found


def routes(server: Place) -> list[tuple[str, str]]:
    paths = server.client.http.get("/openapi.json").json()["paths"]
    found = [(method, path) for path, methods in paths.items() for method in methods]
    assert len(found) >= 8
    return [*found, ("get", "/openapi.json"), ("get", "/docs"), ("get", "/v1/none"),
            ("get", "/health/"), ("get", "/health/../metrics"), ("get", "/%68ealth/x")]  # fmt: skip


def ask(http: httpx.Client, method: str, path: str, view: str = "sales") -> httpx.Response:
    if path.endswith("/live"):  # which has no end
        with http.stream(method, path.replace("{view}", view)) as stream:
            if stream.status_code != 200:
                stream.read()
            return stream
    body = {"json": {"keys": [KEY]} if path.endswith("lookup") else {}} if method == "post" else {}
    return http.request(method, path.replace("{view}", view).replace("{receipt}", "s1.2.00000000000000"), **body)  # type: ignore[arg-type]


def test_without_a_good_key_nothing_is_said_but_that_the_process_is_up(server: Place) -> None:
    text = give(server.stand.layout, ALL)
    old = give(server.stand.layout, ALL, expires=time.time() - 1)
    other, _ = keys.made("other", ("everything",), pepper=PEPPER.encode())
    forged = f"{text[:-9]}_{keys._check(text[:-9] + 'x')}"
    swapped = f"{text[:12]}_{other.split('_', 2)[2][:-9]}"
    swapped = f"{swapped}_{keys._check(swapped)}"
    assert keys.id_of(swapped) == keys.id_of(text)
    wrong = ["", "Bearer", "Bearer x", f"Basic {text}", text, f"Bearer {text}x", f"Bearer {text[:-1]}",
             f"Bearer {old}", f"Bearer {other}", f"Bearer {forged}",
             f"Bearer {swapped}", f"Bearer {text} {text}", "Bearer a.b.c",
             "Bearer " + "a" * 12_000]  # fmt: skip
    for given in wrong:
        with server.with_(given) as http:
            for method, path in routes(server):
                refused = ask(http, method, path)
                if path == "/health":
                    assert refused.status_code == 200
                    continue
                assert refused.status_code == 401, (given[:20], method, path)
                assert refused.json()["type"] == UNAUTHORIZED
                assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("text", ["whole", "lower"])
def test_a_good_key_opens_and_no_answer_may_be_kept_for_others(server: Place, text: str) -> None:
    key = give(server.stand.layout, SALES)
    with server.with_(f"{'Bearer' if text == 'whole' else 'bearer'} {key}") as http:
        answer = http.get("/v1/views/sales/query")
    assert answer.status_code == 200
    assert answer.headers["vary"] == "Accept, Authorization"
    assert answer.headers["cache-control"] == "private, no-cache"


def test_each_sees_the_views_of_its_grants_and_no_sign_of_others(server: Place) -> None:
    secrets = Grant("secrets", roles=("read", "share"), views=("secrets",))
    grants = {"sales": SALES, "secrets": secrets, "both": ALL, "none": OPERATE}
    for name, grant in grants.items():
        may = {"sales": {"sales"}, "secrets": {"secrets"}, "both": {"sales", "secrets"}, "none": set()}[name]
        with server.as_(grant) as http:
            assert {v["view"] for v in http.get("/v1/views").json()["views"]} == may
            for method, path in routes(server):
                if "{view}" not in path:
                    continue
                for view in ("sales", "secrets"):
                    answer, unknown = ask(http, method, path, view), ask(http, method, path, "nowhere")
                    assert answer.status_code == (200 if view in may else 404), (name, path, view)
                    if view not in may:
                        assert all(v not in answer.text.replace(f"'{view}'", "") for v in {"sales", "secrets"} - may)
                        told = [r.text.replace(v, "VIEW") for r, v in ((answer, view), (unknown, "nowhere"))]
                        assert told[0].partition("did you mean")[0] == told[1].partition("did you mean")[0]


def test_a_view_that_one_may_not_ask_and_one_that_is_not_there_are_told_alike_on_every_route(server: Place) -> None:
    receipt = server.client.receipt("secrets")["id"]
    sql = ["SELECT country FROM {} GROUP BY country", "SELECT MEASURE(a.lines) FROM sales a JOIN {} USING (country)",
           "SELECT nothing FROM {}", "SELECT country FROM sales JOIN {} USING (country) GROUP BY country"]  # fmt: skip
    odd = [{"accept": "image/png"}, {"if-none-match": f'W/"{receipt}"'}, {"range": "bytes=0-1"}]

    def told(http: httpx.Client, view: str) -> list[Any]:
        asked = [(m, p.replace("{view}", view)) for m, p in routes(server) if "{view}" in p]
        answers = [ask(http, method, path) for method, path in asked]
        answers += [http.request(m, p, content=b"{", headers=h) for m, p in asked if "live" not in p for h in odd]
        query = f"/v1/views/{view}/query"
        answers += [
            http.get(f"{query}?{more}") for more in (f"as_of={receipt}", f"cursor={receipt}~1", "by=x", "at_least=9")
        ]
        answers += [http.post("/v1/sql", json={"sql": text.format(view)}) for text in sql]
        answers += [http.request(m, query) for m in ("DELETE", "PUT", "HEAD", "OPTIONS")]
        of_it = receipt.replace(tag("secrets"), tag(view))
        answers += [http.get(f"/v1/receipts/{of_it}"), http.get(f"/v1/views/sales/query?as_of={of_it}")]
        return [
            (
                a.status_code,
                {n: v for n, v in a.headers.items() if n not in ("date", "x-request-id")},
                a.text.replace(view, "VIEW").replace(of_it, "ID"),
            )
            for a in answers
        ]

    with server.as_(SALES) as http:
        forbidden, unknown = told(http, "secrets"), told(http, "nothere")  # of one length, and like no other name
        assert forbidden == unknown
    assert {status for status, _, _ in forbidden} <= {404, 405, 422}


def test_a_receipt_of_a_view_that_one_may_not_ask_is_not_there(server: Place) -> None:
    receipt = server.client.receipt("secrets")["id"]
    with server.as_(SALES) as http:
        assert http.get(f"/v1/receipts/{receipt}").status_code == 404
        assert http.get(f"/v1/views/sales/query?as_of={receipt}").status_code == 422
        assert http.get(f"/v1/receipts/{server.client.receipt('sales')['id']}").status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/ready"])
def test_how_the_server_stands_is_for_who_operates_it(server: Place, path: str) -> None:
    with server.as_(SALES) as reader, server.as_(OPERATE) as operator:
        refused = reader.get(path)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:dovetail:forbidden")
        assert operator.get(path).status_code == 200


def test_an_answer_for_one_is_never_given_to_another(server: Place) -> None:
    france = Grant("france", views=("sales",), rows={"country": ["FR"]})
    germany = Grant("germany", views=("sales",), rows={"country": ["DE"]})
    fixed = "/v1/views/sales/query?by=country&where.country=FR&where.product=1&where.price=1.5&measures=lines"
    for url in ("/v1/views/sales/query?by=country&measures=lines", fixed):
        with server.as_(france) as one, server.as_(germany) as other:
            tags = set()
            for http, rows in ((one, ["FR"]), (other, [] if url == fixed else ["DE"])) * 2:
                answer = http.get(url)
                tags.add(answer.headers["etag"])
                assert [row["country"] for row in answer.json()["rows"]] == rows
                assert other.get(url, headers={"if-none-match": one.get(url).headers["etag"]}).status_code == 200
            assert len(tags) == 2


def test_a_revoked_key_and_a_grant_taken_away_open_nothing_within_seconds(server: Place) -> None:
    layout = server.stand.layout
    for how in (_revoked, lambda held, _: held.without_grant("passing")):
        key = give(layout, Grant("passing", views=("sales",)))
        with server.with_(f"Bearer {key}") as http:
            assert http.get("/v1/views/sales/query").status_code == 200
            access.change(layout, lambda held, how=how, key=key: how(held, keys.id_of(key)))  # type: ignore[misc]
            server.client.until(lambda http=http: http.get("/v1/views/sales/query").status_code in (401, 404))  # type: ignore[misc]
    assert LOOK_S <= 1, "docs/security.md says so"


def _revoked(held: access.Access, id_: str) -> access.Access:
    from dataclasses import replace

    return held.with_keys(replace(held.key(id_), revoked=time.time()))


def test_what_is_kept_of_keys_opens_nothing_and_is_for_its_owner_alone(server: Place) -> None:
    key = give(server.stand.layout, SALES)
    file = server.stand.layout.access / "access.json"
    assert file.stat().st_mode & 0o777 == 0o600
    kept = file.read_text()
    assert key not in kept
    assert key.split("_", 2)[2] not in kept
    assert PEPPER not in kept
    (hash_,) = [k["hash"] for k in json.loads(kept)["keys"].values() if k["id"] == keys.id_of(key)]
    with server.with_(f"Bearer {hash_}") as http:
        assert http.get("/v1/views").status_code == 401


def test_the_command_line_asks_with_the_key_of_its_variable(server: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(server.client.http.base_url).rstrip("/")
    with pytest.raises(QueryError) as refused:
        asking.ask(address, asking.Question("sales"))
    assert refused.value.next == "export DOVETAIL_KEY=…; dovetail access key makes one"
    monkeypatch.setenv("DOVETAIL_KEY", give(server.stand.layout, SALES))
    assert asking.ask(address, asking.Question("sales", measures="lines")).rows
    assert [view["view"] for view in asking.views(address)] == ["sales"]


def test_nobody_is_answered_whom_the_audit_log_cannot_hold(server: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/data/access/audit.jsonl")

    paths = [("get", "query"), ("post", "lookup"), *[("get", "live")] * 3]
    with server.as_(SALES) as http:
        assert http.get("/v1/views/sales/query").status_code == 200
        monkeypatch.setattr(audit, "write", full)
        for method, asked in paths:
            refused = ask(http, method, f"/v1/views/{{view}}/{asked}")
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:dovetail:unavailable")
            assert refused.json()["detail"] == "the audit log cannot be written: No space left on device"
            assert refused.headers["retry-after"] == "1"
        assert open_streams(server.client) == 0
        monkeypatch.undo()
        assert http.get("/v1/views/sales/query").status_code == 200


def test_the_audit_log_says_who_asked_what_and_no_value(server: Place) -> None:
    key = give(server.stand.layout, SALES)
    with server.with_(f"Bearer {key}") as http:
        answer = http.get("/v1/views/sales/query?by=country&where.country=canary%0D%0A")
    file = server.stand.layout.access / "audit.jsonl"
    last = json.loads(file.read_text().splitlines()[-1])
    assert last.pop("time") == pytest.approx(time.time(), abs=60)
    assert last == {"who": f"key {keys.id_of(key)} (test)", "what": "query", "status": 200, "view": "sales",
                    "receipt": answer.json()["receipt"]["id"]}  # fmt: skip
    assert "canary" not in file.read_text()
    assert key.split("_", 2)[2] not in file.read_text()
    with server.with_(f"Bearer {key}") as http:
        assert http.get(f"/v1/receipts/{last['receipt']}").status_code == 200
    assert json.loads(file.read_text().splitlines()[-1]).items() >= {**last, "what": "receipt"}.items()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["0.0.0.0", "example.org"])
def test_others_than_this_machine_are_served_only_where_keys_are_required(tmp_path: Path, host: str) -> None:
    text = f'[serving]\nhost = "{host}"\n[access]\nrequired = true\n'
    (tmp_path / "dovetail.toml").write_text(text)
    assert load(tmp_path).access.required


def test_a_grant_that_does_not_fit_the_view_shows_nothing(server: Place) -> None:
    wrong: list[dict[str, Any]] = [
        {"rows": {"nokey": ["x"]}}, {"rows": {"product": ["x"]}}, {"columns": {"nokey": "null"}},
        {"columns": {"product": "last(2)"}}, {"columns": {"country": "bucket(2)"}}, {"columns": {"lines": "hash"}},
    ]  # fmt: skip
    for each in wrong:
        with server.as_(Grant("unfit", views=("sales",), **each)) as http:
            for method, path in (("get", "/query"), ("post", "/lookup"), ("get", "")):
                refused = ask(http, method, f"/v1/views/{{view}}{path}")
                assert refused.status_code == 422
                assert refused.json()["detail"].startswith("what you may see of sales cannot be told")
