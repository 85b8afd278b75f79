"""What a request calls the server, and how it writes a path, opens nothing: only the route that answers it counts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from access_stand import ALL, PEPPER, Place, give, place, some

from dovetail.shared.grants import Grant

SALES = Grant("sales", views=("sales",))
SECRET = "/v1/views/secrets/query"
OPEN = b"/health"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        with place(tmp_path_factory.mktemp("host"), some()) as found:
            yield found


@pytest.fixture(scope="module")
def key(server: Place) -> str:
    """A key that may ask sales alone."""
    return give(server.stand.layout, SALES)


def said(server: Place, raw: bytes, *, key: str = "", head: str = "") -> tuple[int, bytes, bytes]:
    """Status, head and body of what a server says to a request line as it stands, over a plain socket."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    lines = head or "Host: 127.0.0.1\r\n"
    with socket.create_connection(("127.0.0.1", server.client.http.base_url.port or 0), timeout=30) as connection:
        connection.sendall(raw + b"\r\n" + f"{lines}{authorization}Connection: close\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), top, body


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1".encode("latin-1")


HOSTS = [
    "evil.example", "127.0.0.1.evil.example", "evil.example#127.0.0.1", "evil.example/127.0.0.1",
    "localhost@evil.example",
    "evil.example@localhost", "localhost:80@evil.example", "localhost\\@evil.example", "localhost evil.example",
    "127.0.0.1/health", "127.0.0.1/health?", "localhost/health#", "127.1", "2130706433", "[::ffff:127.0.0.1]", "*", "",
    "localhost.", "local\u00adhost", "127.0.0.1:port", "localhost,evil.example", "http://localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_none_of_the_servers_names_is_refused_and_opens_nothing(
    server: Place, key: str, host: str
) -> None:
    for head in (f"Host: {host}\r\n", f"Host: {host}\r\nHost: 127.0.0.1\r\n"):
        for given in ("", key):
            status, top, body = said(server, get(SECRET), head=head, key=given)
            assert status in ((400, 401) if not given else (400, 404)), top
            assert b"location:" not in top.lower()
            assert host == "" or b"evil" not in top + body
    status, _, body = said(server, get("/v1/views/sales/query"), head=f"Host: {host}\r\n", key=key)
    assert (host, status) == (host, 400)
    if body.startswith(b"{"):
        assert orjson.loads(body)["type"] == "urn:dovetail:http"


def test_a_refused_host_is_a_problem_like_any(server: Place, key: str) -> None:
    status, top, body = said(server, get("/v1/views"), head="Host: evil.example\r\n", key=key)
    assert (status, b"content-type: application/problem+json" in top.lower()) == (400, True)
    assert orjson.loads(body)["next"] == "ask by another name, or list this one in serving.names of dovetail.toml"


TARGETS = [
    f"http://127.0.0.1{SECRET}", f"http://evil.example{SECRET}", f"http://127.0.0.1@evil.example{SECRET}",
    f"https://localhost{SECRET}", f"@evil.example{SECRET}", f"/@evil.example{SECRET}", f"//evil.example{SECRET}",
    f"/health@evil.example{SECRET}", f"/{SECRET}", f"/.{SECRET}", f"/health/..{SECRET}", f"/health/%2e%2e{SECRET}",
    f"/health%2f..{SECRET}", f"/health;{SECRET}", f"/health%00{SECRET}", f"/health%23{SECRET}", f"/health%3f{SECRET}",
    f"/health\\..{SECRET}", f"/health%5c..{SECRET}", "/v1/views/secrets%2fquery", "/v1%2fviews%2fsecrets%2fquery",
    "/v1/views/sales/../secrets/query", "/v1/views/sales/%2e%2e/secrets/query", "/v1/views/sales%2f..%2fsecrets/query",
    "/V1/views/secrets/query", "/v1/Views/secrets/query", "/v1/views/Secrets/query", "/v1/views/secrets/QUERY",
    "/v1/views/secrets./query", "/v1/views/secrets%20/query", "/v1/views/%73ecrets/query",
    "/v1/views/secrets/query/", "/v1/views/secrets//query",
    "/v1//views/secrets/query", "/v1/views/secrets;v=1/query", "/v1/./views/secrets/query",
    "/v1/views/secrets/query/..", "/v1/views/secrets/query#", "/v1/views/secrets/%71uery",
    "/%76%31/views/secrets/query",
    "/v1/views/%2573ecrets/query", "/v1/views/secrets%c0%af/query", "/v1/views/secrets%0d%0aX:y/query", "*",
    "/health?/../v1/views/secrets/query", "/health/", "/Health", "/healthz", "/page.js/../metrics", "/metrics",
    "/ready",
    "/metrics/", "/%6detrics", "//metrics", "/openapi.json/",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_however_a_path_is_written_nobody_sees_more_than_by_the_plain_one(server: Place, key: str, target: str) -> None:
    status, top, body = said(server, get(target))
    assert b"location:" not in top.lower(), "nothing is redirected"
    assert status in (400, 401) or (target.partition("?")[0] == OPEN.decode() and body == b'{"up":true}')
    status, top, body = said(server, get(target), key=key)
    assert b"location:" not in top.lower()
    assert b'"rows"' not in body
    assert b"dovetail_view" not in body
    assert status in (400, 403, 404) or body == b'{"up":true}'


MORE = [
    "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: 127.0.0.1", "X-Forwarded-Proto: https",
    "X-Forwarded-Prefix: /health", "X-Forwarded-User: everything", "X-Real-IP: 127.0.0.1", "X-Original-URL: /health",
    "X-Rewrite-URL: /health", "X-HTTP-Method-Override: GET", "Forwarded: for=127.0.0.1;host=localhost;proto=https",
    "X-Forwarded-Uri: /health", "X-Remote-User: everything", "Cookie: key=everything", "Proxy-Authorization: Bearer x",
]  # fmt: skip


@pytest.mark.parametrize("header", MORE)
def test_a_header_of_a_proxy_opens_nothing(server: Place, key: str, header: str) -> None:
    head = f"Host: 127.0.0.1\r\n{header}\r\n"
    assert said(server, get("/v1/views/sales/query"), head=head)[0] == 401
    assert said(server, get(SECRET), head=head, key=key)[0] == 404
    assert said(server, get("/v1/views/sales/query"), head=head, key=key)[0] == 200
    assert said(server, get("/metrics"), head=head, key=key)[0] == 403


def test_a_key_beside_the_authorization_header_opens_nothing(server: Place, key: str) -> None:
    for target in (f"/v1/views?key={key}", f"/v1/views?access_token={key}", f"/v1/views#{key}"):
        assert said(server, get(target))[0] in (400, 401)
    everything = give(server.stand.layout, ALL)
    with_two = f"Host: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nAuthorization: Bearer {everything}\r\n"
    assert said(server, get(SECRET), head=with_two)[0] == 404, "the first counts, whoever put another behind it"


def test_the_address_in_absolute_form_is_the_path_that_it_names(server: Place, key: str) -> None:
    assert said(server, get("http://evil.example/v1/views/sales/query"), key=key)[0] == 200
    assert said(server, get("http://evil.example/v1/views/sales/query"))[0] == 401


def test_nothing_reads_an_address_that_a_host_header_is_part_of() -> None:
    root = Path(__file__).parents[2] / "serving"
    found = [
        f"{file.name}: {word}"
        for file in root.rglob("*.py")
        for word in ("request.url", "base_url", "url_for", "request.client", "x-forwarded", "proxy_headers=True")
        if word in file.read_text("utf-8").lower().replace("proxy_headers=false", "")
    ]
    assert found == []
