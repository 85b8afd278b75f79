"""Connections that nobody can hold for ever: a request has to come in time, and unread answers hold so much memory.

Nor do large answers hold up others: they are handed to the system in pieces, between which the others have their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 20.0
"""Seconds from the connection, or from a request's first byte, until that request has to be there in whole."""
PIECE = 1 << 16
"""Bytes that are handed on at once: while they are copied everybody waits."""


class Gradual:
    """A transport that hands on what is written to it in pieces. What waits counts as not yet read."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport, self._connection = transport, connection
        self._waiting = deque[memoryview]()
        self._bytes, self._closing, self._due = 0, False, False
        self.full = False
        """Whether the transport itself has as much as it takes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._waiting and len(data) <= PIECE:
            self._transport.write(data)
            return
        idle = not self._waiting
        self._waiting.append(memoryview(data))
        self._bytes += len(data)
        self._connection.hold()
        if idle:
            self.go_on()

    def go_on(self) -> None:
        """Hands on the next piece, and the others one by one as they are taken."""
        self._due = False
        if self._waiting and not self.full:
            first = self._waiting.popleft()
            if len(first) > PIECE:
                self._waiting.appendleft(first[PIECE:])
            piece = first[:PIECE]
            self._bytes -= len(piece)
            self._transport.write(piece)
        if self._waiting:
            if not self.full and not self._due:
                self._due = True
                self._connection.loop.call_soon(self.go_on)
        elif self._closing:
            self._transport.close()
        elif not self.full:
            self._connection.release()

    def close(self) -> None:
        """Closes once all that was written is handed on."""
        self._closing = True
        if not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        self.drop()
        self._transport.abort()

    def drop(self) -> None:
        """Lets go of what is not handed on yet: there is nobody who would read it."""
        self._waiting.clear()
        self._bytes = 0

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._bytes + self._transport.get_write_buffer_size()


class Connection(HttpToolsProtocol):
    """One connection. uvicorn itself bounds how long it is idle between two requests, and nothing else."""

    unread_bytes: int
    """What the answers that wait to be read may hold, those of all connections together."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._overdue: asyncio.TimerHandle | None = None
        self._unread_since = 0.0
        self._gradual = Gradual(transport, self)
        super().connection_made(self._gradual)  # type: ignore[arg-type]
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        self._gradual.drop()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._came()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Called when more waits to be read than the system takes off our hands."""
        self._gradual.full = True
        self.hold()

    def resume_writing(self) -> None:
        self._gradual.full = False
        self._gradual.go_on()

    def hold(self) -> None:
        """No more is written until what waits has been handed on."""
        if not self.flow.write_paused:
            self._unread_since = self.loop.time()
        super().pause_writing()
        self._make_room()

    def release(self) -> None:
        super().resume_writing()

    def _expect(self) -> None:
        self._came()
        self._overdue = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _came(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()

    def _make_room(self) -> None:
        """Drops the connections that have let us wait for longest, until the others hold no more than they may."""
        paused = [c for c in self.connections if isinstance(c, Connection) and c.flow.write_paused]
        sizes = {c: c.transport.get_write_buffer_size() for c in paused}
        total = sum(sizes.values())
        for connection in sorted(paused, key=lambda c: c._unread_since):
            if total <= self.unread_bytes or connection is self:
                return
            total -= sizes[connection]
            connection.transport.abort()


def bounded(unread_bytes: int) -> type[asyncio.Protocol]:
    """The kind of connection for uvicorn's `http`."""
    return type("BoundedConnection", (Connection,), {"unread_bytes": unread_bytes})
