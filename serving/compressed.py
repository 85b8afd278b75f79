"""Answers as gzip for who takes it: small ones at once, large ones by turns with whatever else takes long."""

from __future__ import annotations

from contextlib import nullcontext

from starlette.middleware.gzip import GZipResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from dovetail.serving.limits import Lane

FROM, LEVEL = 4_096, 1
"""Bytes from which on an answer is compressed, and zlib's level: the higher ones cost more time than they save on the
way."""
LARGE = 128 * 1024
"""Bytes from which on that takes a millisecond, and is done beside the event loop."""


class Compressed:
    """ASGI middleware that looks at an answer only where who asks takes compressed ones."""

    def __init__(self, app: ASGIApp, lane: Lane) -> None:
        self._app, self._lane = app, lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = any(name == b"accept-encoding" and b"gzip" in value for name, value in scope.get("headers", ()))
        await (_Compressing(self._app, self._lane) if taken else self._app)(scope, receive, send)


class _Compressing(GZipResponder):
    def __init__(self, app: ASGIApp, lane: Lane) -> None:
        super().__init__(app, FROM, LEVEL, thread_minimum_size=LARGE)
        self._lane = lane

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        async with self._lane.place() if len(body) >= LARGE else nullcontext():
            return await super().apply_compression(body, more_body=more_body)
