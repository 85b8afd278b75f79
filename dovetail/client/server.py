"""Where the server is, and how it is spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from dovetail.client.errors import ClientError

CONNECT_S, ANSWER_S = 5.0, 65.0
"""A server may hold a question for a minute (`at_least`), and a stream without news sends a sign of life sooner."""
HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Server:
    """An address and the key to it, which is shown nowhere.

    Raises:
        ClientError: it is no address, or the key cannot be sent.
    """

    url: str
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL:
            url = httpx.URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise ClientError("that is no http address", next="dovetail.connect('http://127.0.0.1:8000')")
        if url.userinfo:
            raise ClientError("the url holds a user or a password", next="dovetail.connect(url, key=…)")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            raise ClientError(
                "the key cannot be sent: it holds a blank, a line break or a letter beyond ASCII",
                next="key.strip(), where it was read from a file",
            )

    @property
    def options(self) -> dict[str, Any]:
        """How an httpx client is made for it."""
        return {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {self.key}"} if self.key is not None else {},
            "timeout": httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            # What goes to this machine goes through no proxy, whatever the environment says of others.
            "trust_env": httpx.URL(self.url).host not in HERE,
        }
