"""Connections that nobody can hold for ever: a request has to come in time, and unread answers hold so much memory."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 20.0
"""Seconds from the connection, or from a request's first byte, until that request has to be there in whole."""


class Connection(HttpToolsProtocol):
    """One connection. uvicorn itself bounds how long it is idle between two requests, and nothing else."""

    unread_bytes: int
    """What the answers that wait to be read may hold, those of all connections together."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._overdue: asyncio.TimerHandle | None = None
        self._unread_since = 0.0
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._came()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Called when more waits to be read than the system takes off our hands."""
        self._unread_since = self.loop.time()
        super().pause_writing()
        self._make_room()

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
