"""Tokens of another issuer (JWT): which are believed, and whom they name."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import orjson

from dovetail.shared.access import Access
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.grants import Principal, ordered
from dovetail.shared.sections import AccessSettings

REQUIRED = ["iss", "aud", "exp", "nbf", "sub"]
LEEWAY_S = 60
LONGEST = 8_192
"""Characters of a token."""
FETCH_S, LARGEST = 5.0, 64 * 1024
"""Seconds and bytes that fetching the issuer's keys may take."""
FRESH_S, AGAIN_S, FAILED_S = 300.0, 60.0, 5.0
"""Seconds for which fetched keys are good, between two looks for a key that is not among them, and after a fetch that
failed."""


class Tokens:
    """Asked by any thread; it may wait for the issuer's keys."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched, self._failed, self._why = -FRESH_S, -FAILED_S, ""
        self._lock = threading.Lock()

    def holder(self, text: str, access: Access) -> Principal | None:
        """Whom a token names and the grants that it lists; None where it is not believed.

        Raises:
            ServiceMissing: the issuer's keys cannot be had.
        """
        if not self._settings.jwt_keys or len(text) > LONGEST:
            return None
        try:
            key = self._key(jwt.get_unverified_header(text).get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                text, key, algorithms=[*self._settings.jwt_algorithms], audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer, leeway=LEEWAY_S, options={"require": REQUIRED},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return Principal(
            f"token of {claims['sub']}", ordered(_names(claims.get(self._settings.jwt_claim)), access.grants)
        )

    def _key(self, kid: Any) -> jwt.PyJWK | None:
        if not isinstance(kid, str):
            return None
        with self._lock:
            age = time.monotonic() - self._fetched
            if age >= FRESH_S or (kid not in self._keys and age >= AGAIN_S):
                self._renew()
            return self._keys.get(kid)

    def _renew(self) -> None:
        """Fetches the keys; a failure stands for a while, or each that waits here would wait out a fetch of its own."""
        if time.monotonic() - self._failed < FAILED_S:
            raise _missing(self._why)
        try:
            self._keys, self._fetched = self._fetch(), time.monotonic()
        except ServiceMissing as error:
            self._failed, self._why = time.monotonic(), error.why
            raise

    def _fetch(self) -> Mapping[str, jwt.PyJWK]:
        url = self._settings.jwt_keys
        try:
            with httpx.stream("GET", url, timeout=FETCH_S, follow_redirects=False) as response:
                response.raise_for_status()
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST:
                        raise ValueError(f"more than {LARGEST} bytes")
            found = jwt.PyJWKSet.from_dict(orjson.loads(body))
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise _missing(type(error).__name__) from None
        return {key.key_id: key for key in found.keys if key.key_id}


def _missing(why: str) -> ServiceMissing:
    return ServiceMissing(
        "the keys of the tokens' issuer cannot be had", where="access.jwt_keys in dovetail.toml", why=why
    )


def _names(claim: Any) -> list[str]:
    """A claim that lists grants: texts, or one text with spaces between, as `scope` is."""
    if isinstance(claim, str):
        return claim.split()
    return [name for name in claim if isinstance(name, str)] if isinstance(claim, list) else []
