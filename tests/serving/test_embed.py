"""A signed link shows one question as its maker's grant sees it, to whoever has it, and opens nothing else."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
import pyarrow as pa
import pytest
from access_stand import PEPPER, Place, give, place, some

from dovetail.serving import embed, links
from dovetail.serving.answer import Shown
from dovetail.serving.links import Link
from dovetail.serving.page import FILES
from dovetail.serving.query import Plan
from dovetail.shared import access, asking, keys
from dovetail.shared.errors import QueryError
from dovetail.shared.grants import Grant
from dovetail.shared.secrets import redacted

FRANCE = Grant("france", roles=("read", "share"), views=("sales",), rows={"country": ["FR"]}, columns={"price": "null"})
QUESTION = "by=country,price&measures=lines"
UNAUTHORIZED = "urn:dovetail:unauthorized"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        with place(tmp_path_factory.mktemp("embed"), some()) as found:
            yield found


@pytest.fixture
def key(server: Place) -> str:
    return give(server.stand.layout, FRANCE, Grant("secrets", views=("secrets",)))


def made(server: Place, key: str, question: str = QUESTION, view: str = "sales", **more: str) -> httpx.Response:
    with server.with_(f"Bearer {key}") as http:
        return http.post(f"/v1/views/{view}/embed", json={"question": question, **more})


def shown(server: Place, path: str, **headers: str) -> httpx.Response:
    """As somebody without any key sees it."""
    return httpx.get(str(server.client.http.base_url).rstrip("/") + path, headers=headers)


def test_a_link_shows_its_question_as_the_grant_of_its_maker_does_without_any_key(server: Place, key: str) -> None:
    path = made(server, key).json()["path"]
    document = shown(server, path)
    assert (document.status_code, document.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<td>FR</td>" in document.text
    assert '<td><span class="null">null</span></td><td class="number">16<svg' in document.text
    assert "DE" not in document.text
    assert "1.50" not in document.text
    again = shown(server, path, **{"if-none-match": document.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_it_may_be_framed_and_nothing_else_may_and_it_runs_no_script_of_others(server: Place, key: str) -> None:
    policy = shown(server, made(server, key).json()["path"]).headers["content-security-policy"]
    assert "frame-ancestors *" in policy
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';" in policy
    for path in FILES:
        assert "frame-ancestors 'none'" in shown(server, path).headers["content-security-policy"]


def test_a_link_with_any_character_changed_opens_nothing(server: Place, key: str) -> None:
    path = made(server, key).json()["path"]
    text = path.removeprefix(links.PATH)
    for i, c in enumerate(text):
        for other in {chr(ord(c) ^ 1), "A", "."} - {c}:
            assert Link.opened(text[:i] + other + text[i + 1 :], PEPPER.encode()) is None
    # The last character of the signature has bits that nothing is in.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]
    assert [base64.urlsafe_b64decode(t.split(".")[2] + "=") for t in (same, text)] == [
        base64.urlsafe_b64decode(text.split(".")[2] + "=")] * 2  # fmt: skip
    for wrong in (same, text[:-1], text + "A", text + "=", text + "/", "é" + text, text.replace(".", "..", 1), "", key):
        refused = shown(server, links.PATH + wrong)
        assert (refused.status_code, refused.json()["type"]) == (401, UNAUTHORIZED), wrong


def test_who_can_sign_otherwise_can_make_no_link(server: Place, key: str) -> None:
    link = Link.opened(made(server, key).json()["path"].removeprefix(links.PATH), PEPPER.encode())
    assert link is not None
    claims = {"view": link.view, "question": "", "key": link.key, "grant": link.grant, "exp": link.exp}
    secret = links._secret(PEPPER.encode())
    forged = [
        jwt.encode(claims, None, "none"),
        jwt.encode(claims, PEPPER, "HS256"),
        jwt.encode({k: v for k, v in claims.items() if k != "exp"}, secret, "HS256"),
        jwt.encode({**claims, "more": 1}, secret, "HS256"),
        jwt.encode({**claims, "key": ["x"]}, secret, "HS256"),
    ]
    for text in forged:
        assert shown(server, links.PATH + text).status_code == 401
    assert shown(server, links.PATH + jwt.encode(claims, secret, "HS256")).status_code == 200


def test_a_link_opens_no_other_path(server: Place, key: str) -> None:
    path = made(server, key).json()["path"]
    text = path.removeprefix(links.PATH)
    for other in ("/v1/views", "/v1/views/sales/query", "/v1/status", "/docs", f"{path}/", f"{path}/../../v1/views"):
        assert shown(server, other, authorization=f"Bearer {text}").status_code == 401
    assert shown(server, f"{path}?by=product&where.country=DE").text == shown(server, path).text


def test_a_link_ends_when_it_expires(server: Place, key: str) -> None:
    told = made(server, key, expires="2s").json()
    assert told["expires"] == pytest.approx(time.time() + 2, abs=2)
    server.client.until(lambda: shown(server, told["path"]).status_code == 401)
    assert time.time() >= told["expires"]


def test_a_link_ends_with_its_key_or_its_grant_and_sees_the_grant_of_now(server: Place) -> None:
    layout, whole = server.stand.layout, Grant("whole", roles=("read", "share"), views=("sales",))
    hows = ("revoked", "expired", "dropped", "not shared", "other rows")
    given = {how: give(layout, replace(FRANCE, name=f"france-{how.replace(' ', '-')}"), whole) for how in hows}
    paths = {how: made(server, key).json()["path"] for how, key in given.items()}
    assert {shown(server, path).status_code for path in paths.values()} == {200}

    def change(held: access.Access) -> access.Access:
        revoked, expired = (held.key(str(keys.id_of(given[how]))) for how in ("revoked", "expired"))
        held = held.with_keys(replace(revoked, revoked=time.time()), replace(expired, expires=time.time()))
        held = held.with_grant(replace(held.grant("france-not-shared"), roles=("read",)))
        held = held.with_grant(replace(held.grant("france-other-rows"), rows={"country": ["DE"]}))
        return held.without_grant("france-dropped")

    access.change(layout, change)
    server.client.until(lambda: "<td>DE</td>" in shown(server, paths["other rows"]).text)
    assert "FR" not in shown(server, paths.pop("other rows")).text
    assert {how: shown(server, path).status_code for how, path in paths.items()} == dict.fromkeys(paths, 401)


def test_who_may_not_share_makes_no_link_and_no_question_that_cannot_be_asked_gets_one(server: Place, key: str) -> None:
    assert made(server, key, view="secrets").status_code == 403
    assert made(server, key, view="nowhere").status_code == 404
    for question in ("by=nokey", "cursor=x~1", "every=1s&by=x", "at_least=9", "x" * 5_000 + "=1"):
        assert made(server, key, question).status_code == 422, question
    assert made(server, key, "&".join(["by=country"] * 400)).status_code == 413
    assert made(server, key, expires="soon").status_code == 422
    with server.with_(f"Bearer {key}") as http:
        assert [http.get(f"/v1/views/{view}").json()["shares"] for view in ("sales", "secrets")] == [True, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("question", wrong) for wrong in (1, None, [], "limit=x", "by=nokey", "as_of=x", "every=1s", "x" * 9_000)),
        *(("expires", wrong) for wrong in (1, None, {}, "", "soon", "-1d", "1 parsec", "9" * 30)),
        ("more", "x"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_what_is_wrong_of_a_link_is_said(server: Place, key: str, field: str, value: object) -> None:
    with server.with_(f"Bearer {key}") as http:
        refused = http.post("/v1/views/sales/embed", json={"question": QUESTION, field: value})
    assert refused.status_code in (413, 422), refused.text
    assert refused.json()["next"]


def test_where_nobody_needs_a_key_there_are_no_links(tmp_path: Path) -> None:
    from serving_stand import Stand, ViewSpec, serve

    stand = Stand(tmp_path / "data")
    stand.attach(ViewSpec("sales"))
    with serve(tmp_path, stand) as client:
        client.rows("sales")
        assert client.http.post("/v1/views/sales/embed", json={}).status_code == 403
        open_ = Link("sales", "", "aaaaaaaa", "all", int(time.time()) + 60).signed(PEPPER.encode())
        assert client.http.get(links.PATH + open_).status_code == 401


def test_whatever_a_value_holds_is_text_in_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving_stand import event

    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    evil = "<img src=x onerror=alert(1)>{title}&amp;"
    with place(tmp_path, [event(country=evil)] * 2) as guarded:
        key = give(guarded.stand.layout, Grant("sales", roles=("read", "share"), views=("sales",)))
        text = shown(guarded, made(guarded, key, "by=country").json()["path"]).text
        assert "<td>&lt;img src=x onerror=alert(1)&gt;{title}&amp;amp;</td>" in text
        assert "<img" not in text


def test_a_measure_of_text_is_shown_as_it_is_though_it_reads_as_a_number() -> None:
    kinds = {"country": pa.string(), "code": pa.string(), "lines": pa.int64(), "ratio": pa.float64()}
    columns = [["FR", "DE"], ["00123", "1e5"], [1234, None], [1e5, math.nan]]
    shown = Shown(pa.table(columns, schema=pa.schema(kinds)), kinds, more=False)
    plan = Plan(
        by=("country",), measures=("code", "lines", "ratio"), where=(), having=(), start=None, end=None, since=None,
        bucket=None, window=None, fill=None, tz="UTC", order_by=(("country", False),), limit=2,
    )  # fmt: skip
    told = {"view": "sales", "seq": 1, "behind": {"seconds": 0}, "complete": True, "approximate": [], "id": "s1.1.x"}
    text = embed.document(shown, plan, told).decode()
    number = '<td class="number">'
    assert f"<td>FR</td><td>00123</td>{number}1,234</td>{number}100,000.0</td>" in text
    assert f'<td>DE</td><td>1e5</td>{number}<span class="null">null</span></td>{number}NaN</td>' in text
    assert '<th scope="col">code</th><th scope="col" class="number">lines</th>' in text


def test_the_audit_log_has_a_line_for_each_and_a_link_counts_as_its_key(server: Place, key: str) -> None:
    path = made(server, key).json()["path"]
    shown(server, path)
    file = server.stand.layout.access / "audit.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()[-2:]]
    assert [(line["what"], line["who"], line["view"], line["status"]) for line in lines] == [
        (what, f"key {keys.id_of(key)} (test)", "sales", 200) for what in ("make a link", "embed")
    ]
    assert path not in file.read_text()
    assert redacted(f"GET {path} failed") == "GET /embed/[redacted] failed"


def test_the_command_line_has_the_server_make_a_link(server: Place, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(server.client.http.base_url).rstrip("/")
    with pytest.raises(QueryError):
        asking.embed(address, "sales", QUESTION, expires="1h")
    monkeypatch.setenv("DOVETAIL_KEY", key)
    told = asking.embed(address, "sales", QUESTION, expires="1h")
    assert told["expires"] == pytest.approx(time.time() + 3_600, abs=60)
    assert shown(server, urlsplit(told["url"]).path).status_code == 200
