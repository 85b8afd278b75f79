"""Signed links: each shows one question to whoever has it, as a key of this server sees the answer, and for a time."""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import jwt

PATH = "/embed/"
ALGORITHM = "HS256"
CLAIMS = {"view": str, "question": str, "key": str, "grant": str, "exp": int}
LONGEST = 4_000
"""Characters of a question: a link with more could be longer than a URL may be."""


@dataclass(frozen=True)
class Link:
    """A `question` of a view as a query string; the id of the key and the name of its grant that it is shown by; and
    when it ends, in seconds since 1970."""

    view: str
    question: str
    key: str
    grant: str
    exp: int

    def signed(self, pepper: bytes) -> str:
        """What stands for it in a path."""
        return jwt.encode(asdict(self), _secret(pepper), ALGORITHM)

    @classmethod
    def opened(cls, text: str, pepper: bytes) -> Link | None:
        """The link that this stands for; None where it has ended, or is not as it was signed."""
        try:
            claims: dict[str, Any] = jwt.decode(text, _secret(pepper), [ALGORITHM], options={"require": ["exp"]})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        if {name: type(value) for name, value in claims.items()} != CLAIMS:
            return None
        link = cls(**claims)
        # A text may be padded, or another one for the same bytes: only the one that was given is good.
        return link if hmac.compare_digest(link.signed(pepper).encode(), text.encode()) else None


def _secret(pepper: bytes) -> bytes:
    """A secret of its own: no hash of a key is ever a signature."""
    return hmac.new(pepper, b"links", sha256).digest()
