"""API keys: made at random, shown once, kept as keyed hashes that no key can be made from."""

from __future__ import annotations

import hmac
import re
import secrets
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

PREFIX = "dvt"
SECRET_BYTES = 32
KEY = re.compile(rf"{PREFIX}_([a-z2-7]{{8}})_([A-Za-z0-9_-]{{43}})_([0-9a-f]{{8}})")


@dataclass(frozen=True)
class Key:
    """What is kept of a key: the hash of it under a pepper that lies elsewhere. Times are seconds since 1970."""

    id: str
    name: str
    grants: tuple[str, ...]
    hash: str
    created: float
    expires: float | None = None
    revoked: float | None = None

    def good(self, now: float) -> bool:
        """Whether it opens anything now."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Key:
        return cls(**{**given, "grants": tuple(given["grants"])})


def made(name: str, grants: tuple[str, ...], *, pepper: bytes, expires: float | None = None) -> tuple[str, Key]:
    """A new key as it is shown once, and what is kept of it."""
    id_ = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    text = f"{PREFIX}_{id_}_{secret}"
    text = f"{text}_{_check(text)}"
    return text, Key(id_, name, grants, hashed(text, pepper), time.time(), expires)


def rotated(old: Key, *, pepper: bytes, overlap: float) -> tuple[str, Key, Key]:
    """A new key in the place of one that goes on for `overlap` seconds: the text, what is kept of it, the old one."""
    expires = old.expires - old.created + time.time() if old.expires else None
    text, new = made(old.name, old.grants, pepper=pepper, expires=expires)
    end = time.time() + overlap
    return text, new, replace(old, expires=min(end, old.expires) if old.expires else end)


def id_of(text: str) -> str | None:
    """The id in a key; None for what cannot be one, such as a key with a character lost."""
    found = KEY.fullmatch(text)
    return found[1] if found and _check(text.rpartition("_")[0]) == found[3] else None


def opens(text: str, key: Key, pepper: bytes) -> bool:
    """Whether it is this key, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(hashed(text, pepper), key.hash)


def hashed(text: str, pepper: bytes) -> str:
    return hmac.new(pepper, text.encode(), sha256).hexdigest()


def _check(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
