"""Tokens of another issuer: those that are made as agreed open what they list, and no other opens anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from access_stand import PEPPER, Place, place, some
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from dovetail.serving.tokens import AGAIN_S, FAILED_S, FETCH_S, FRESH_S, LARGEST, Tokens
from dovetail.shared.access import Access
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.grants import Grant
from dovetail.shared.sections import AccessSettings

ISSUER, AUDIENCE = "https://issuer.example", "dovetail"
RSA, EC, STRANGER = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(public_exponent=65537, key_size=2048),
)
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwks() -> bytes:
    of_rsa, of_ec = (
        RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True),
        ECAlgorithm.to_jwk(EC.public_key(), as_dict=True),
    )
    return json.dumps({"keys": [{**of_rsa, "kid": "r", "alg": "RS256", "use": "sig"}, {**of_ec, "kid": "e"}]}).encode()


class Issuer(BaseHTTPRequestHandler):
    body: Callable[[], bytes] = staticmethod(jwks)
    asked = 0

    def do_GET(self) -> None:
        Issuer.asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(Issuer.body())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        settings = {"jwt_keys": issuer, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
        with place(tmp_path_factory.mktemp("tokens"), some(), **settings) as found:
            with found.as_(Grant("sales", views=("sales",))) as http:
                assert http.get("/v1/views").status_code == 200  # a key that is new makes the server look
            yield found


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    every = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 300, "nbf": now - 10, "dovetail": ["sales"]}
    return {name: value for name, value in {**every, **changed}.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str = "r", headers: Any = (), **of: Any) -> str:
    return jwt.encode(claims(**of), key, algorithm=algorithm, headers={"kid": kid, **dict(headers)})


def by_hand(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims())]
    signed = b".".join(parts)
    return (signed + b"." + base64.urlsafe_b64encode(sign(signed)).rstrip(b"=")).decode()


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()


def status(server: Place, text: str, path: str = "/v1/views/sales/query") -> int:
    with server.with_(f"Bearer {text}") as http:
        return http.get(path).status_code


@pytest.mark.parametrize("made", [
    token, lambda: token(EC, "ES256", "e"), lambda: token(aud=["others", AUDIENCE]),
    lambda: token(dovetail="sales other"), lambda: token(exp=int(time.time()) - 30),
    lambda: token(headers={"jku": "https://evil.example", "x5u": "https://evil.example"}),
])  # fmt: skip
def test_a_token_made_as_agreed_opens_what_it_lists(server: Place, made: Callable[[], str]) -> None:
    given = made()
    assert status(server, given) == 200
    assert status(server, given, "/v1/views/secrets/query") == 404
    assert status(server, given, "/metrics") == 403


def test_a_token_that_lists_nothing_known_is_somebody_who_may_nothing(server: Place) -> None:
    for listed in (None, [], ["unknown"], [1], {"a": 1}, 7):
        assert status(server, token(dovetail=listed)) == 404


BAD: dict[str, Callable[[], str]] = {
    "no signature": lambda: by_hand({"alg": "none", "kid": "r"}, lambda _: b""),
    "no signature in capitals": lambda: by_hand({"alg": "NoNe", "kid": "r"}, lambda _: b""),
    "signed with the public key": lambda: by_hand({"alg": "HS256", "kid": "r"}, hs256(PEM)),
    "signed with the public key and spaces": lambda: by_hand(
        {"alg": "HS256", "kid": "r"}, hs256(b"\n " + PEM + b" \n")
    ),
    "signed with nothing": lambda: by_hand({"alg": "HS256", "kid": "r"}, hs256(b"")),
    "an algorithm that is not allowed": lambda: token(algorithm="RS512"),
    "the key of another": lambda: token(STRANGER),
    "the key of another, brought along": lambda: token(
        STRANGER, headers={"jwk": RSAAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True)}
    ),
    "a key of another kind": lambda: token(EC, "ES256", "r"),
    "a kid that is a path": lambda: token(kid="../../etc/passwd"),
    "a kid that is SQL": lambda: token(kid="r' OR '1'='1"),
    "a kid that is not there": lambda: token(kid="x"),
    "crit that nobody knows": lambda: token(headers={"crit": ["exp2"], "exp2": 1}),
    "crit that is empty": lambda: token(headers={"crit": []}),
    "ended": lambda: token(exp=int(time.time()) - 120),
    "not yet": lambda: token(nbf=int(time.time()) + 120),
    "of another issuer": lambda: token(iss="https://other.example"),
    "for others": lambda: token(aud="others"),
    **{f"without {name}": partial(token, **{name: None}) for name in ("iss", "aud", "exp", "nbf", "sub")},
    "exp that is a text": lambda: token(exp="tomorrow"),
    "too long": lambda: token(pad="x" * 9_000),
    "no JSON": lambda: "e30.e30.e30",
    "deep": lambda: "W" * 3000 + "." + "W" * 3000 + ".x",
}


@pytest.mark.parametrize("made", BAD.values(), ids=BAD.keys())
def test_no_other_token_opens_anything(server: Place, made: Callable[[], str]) -> None:
    assert status(server, made()) == 401


def test_keys_are_fetched_once_however_many_unknown_ones_are_asked_for(server: Place) -> None:
    assert status(server, token()) == 200
    before = Issuer.asked
    for n in range(20):
        assert status(server, token(kid=f"unknown {n}")) == 401
    assert Issuer.asked == before


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": 1}', b'{"keys": [{"kty": "oct", "k": "x"}]}', b"{" * 1000,
                                  b'{"keys": [' + b" " * LARGEST + b"]}"])  # fmt: skip
def test_keys_that_cannot_be_used_are_told_and_open_nothing(
    issuer: str, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(Issuer, "body", staticmethod(lambda: body))
    tokens = Tokens(AccessSettings(jwt_keys=issuer, jwt_issuer=ISSUER, jwt_audience=AUDIENCE))
    with pytest.raises(ServiceMissing, match="the keys of the tokens' issuer cannot be had"):
        tokens.holder(token(), Access())
    assert FETCH_S <= 5


def test_an_issuer_that_cannot_be_had_is_asked_once_in_a_while_however_many_ask(
    issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = 1_000.0, Issuer.asked
    monkeypatch.setattr("dovetail.serving.tokens.time", SimpleNamespace(monotonic=lambda: now))
    tokens = Tokens(AccessSettings(jwt_keys=issuer, jwt_issuer=ISSUER, jwt_audience=AUDIENCE))

    def missing() -> None:
        with pytest.raises(ServiceMissing, match=r"cannot be had(.|\n)*JSONDecodeError"):
            tokens.holder(token(), Access())

    with monkeypatch.context() as down:
        down.setattr(Issuer, "body", staticmethod(lambda: b""))
        for _ in range(5):
            missing()
    missing()
    assert Issuer.asked == before + 1
    now += FAILED_S
    assert tokens.holder(token(), Access())
    now += FRESH_S - 1
    assert tokens.holder(token(), Access())
    assert Issuer.asked == before + 2


def test_while_no_unknown_key_can_be_looked_for_the_known_ones_are_good(
    issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("dovetail.serving.tokens.time", SimpleNamespace(monotonic=lambda: now))
    tokens = Tokens(AccessSettings(jwt_keys=issuer, jwt_issuer=ISSUER, jwt_audience=AUDIENCE))
    assert tokens.holder(token(), Access())
    now += AGAIN_S
    monkeypatch.setattr(Issuer, "body", staticmethod(lambda: b""))
    with pytest.raises(ServiceMissing):
        tokens.holder(token(kid="x"), Access())
    assert tokens.holder(token(), Access())


@pytest.mark.parametrize("url", ["http://issuer.example/keys", "file:///etc/passwd", "ftp://127.0.0.1/keys", "keys"])
def test_keys_come_over_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="an https address"):
        AccessSettings(jwt_keys=url)
