"""The application: its middleware and its lifetime, and the server that it runs in."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import uvicorn
from fastapi import FastAPI

from dovetail.serving import figures, problems, routes, tracing, trino_runs
from dovetail.serving.behind import LogEnd
from dovetail.serving.compressed import Compressed
from dovetail.serving.connections import bounded
from dovetail.serving.door import Door, Guarded, Named
from dovetail.serving.figures import Figures
from dovetail.serving.gone import Awaited
from dovetail.serving.limits import Bounded
from dovetail.serving.live import Live
from dovetail.serving.metrics import Measured
from dovetail.serving.service import Serving
from dovetail.serving.workers import Workers
from dovetail.shared import logs
from dovetail.shared.errors import ServiceMissing, SettingsError
from dovetail.shared.sections import is_loopback
from dovetail.shared.settings import Settings

SWITCH = 0.001
"""Seconds after which a thread lets another run: Python's 5 ms would show in every answer while a commit comes in."""
UNREAD_MS = 60_000
"""A connection is dropped whose other side has taken nothing for so long: what was meant for it is held in memory."""
LOADED_S = 120.0
"""Seconds for which a worker loads before it lets anybody in, where others answer meanwhile."""


def create_app(
    settings: Settings, *, log_end: LogEnd | None = None, figures: Figures | None = None, loads_first: bool = False,
    on_loaded: Callable[[], None] = lambda: None,
) -> FastAPI:  # fmt: skip
    """The application. It follows the storage while its lifespan lasts.

    Args:
        log_end: where the log's end is asked for; the broker that the settings name where None.
        figures: where it leaves its figures for other workers of the same server, and finds theirs.
        loads_first: begins only when every view can be answered, or for a reason cannot.
        on_loaded: called once that is so.
    """
    serving = Serving(settings, log_end, figures)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async def loaded() -> None:
            until = time.monotonic() + LOADED_S
            while not (serving.store.loaded or app.state.stopping() or time.monotonic() >= until):
                await asyncio.sleep(0.02)
            on_loaded()

        switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        serving.behind.start()
        serving.store.start()
        tasks = [asyncio.create_task(loaded()), asyncio.create_task(serving.leave_figures())]
        if loads_first:
            await tasks[0]
        yield
        for task in tasks:
            task.cancel()
        await anyio.to_thread.run_sync(serving.store.stop)
        await anyio.to_thread.run_sync(serving.behind.stop)
        await anyio.to_thread.run_sync(serving.tracing.stop)
        sys.setswitchinterval(switch)

    app = FastAPI(
        title="Dovetail", summary="Merged answers of batch and speed.", lifespan=lifespan, redoc_url=None,
        redirect_slashes=False,  # where to would be made of the Host header
    )  # fmt: skip
    refused = serving.metrics.count_refused
    app.state.live, app.state.stopping = serving.live, bool
    app.state.connection = bounded(serving.limits.unread_megabytes * 1_000_000)
    problems.install(app, refused)
    app.add_middleware(Named, names=_hosts(settings), on_problem=refused)
    app.add_middleware(Guarded, door=serving.door, on_problem=refused)
    app.add_middleware(Bounded, on_problem=refused)
    app.add_middleware(Awaited)
    app.add_middleware(Compressed, lane=serving.broad)
    app.add_middleware(Measured, metrics=serving.metrics)
    if serving.tracing.tracer is not None:
        app.add_middleware(tracing.Traced, tracer=serving.tracing.tracer)
    routes.add(app, serving)
    return app


class Server(uvicorn.Server):
    """Ends the streams of live answers when it is told to stop, rather than wait for them."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(uvicorn.Config(app, http=app.state.connection, **options))
        self._live: Live = app.state.live
        app.state.stopping = lambda: self.should_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.end()
        await super().shutdown(sockets)


def serve(settings: Settings, *, on_listening: Callable[[str], None] = lambda _: None) -> None:
    """Serves until SIGINT or SIGTERM; `on_listening` is called with the address once connections are accepted.

    Raises:
        ServiceMissing: the port is in use, or Trino is the engine and does not answer.
        SettingsError: a key is required and what keys are hashed under is not there, or none is and others could ask.
        UsageError: Trino is the engine and lets nobody in, or its client is not installed.
    """
    host, port = settings.serving.host, settings.serving.port
    if not (settings.access.required or is_loopback(host)):  # also where the settings were not read from a file
        raise SettingsError(f"serving.host is '{host}': only this machine may ask where nobody needs a key")
    if settings.serving.engine == "trino":
        trino_runs.check(settings.trino)
    with _listening(host, port) as listener:
        on_listening(f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}")
        if settings.serving.workers == 1:
            _run(create_app(settings), listener)
        else:
            signal.raise_signal(_run_workers(settings, listener))  # as uvicorn ends where it is alone


def _run(app: FastAPI, listener: socket.socket) -> None:
    server = Server(
        app, access_log=False, log_config=None, log_level="warning", proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server.run(sockets=[listener])


def _run_workers(settings: Settings, listener: socket.socket) -> int:
    """Gives the signal that ended it."""
    Door(settings)  # makes the pepper where there is none: one for all
    with TemporaryDirectory(prefix="dovetail-serve-") as name:
        work = partial(_work, settings, listener, Path(name))
        aside = partial(figures.set_aside, Path(name))
        return Workers(settings.serving.workers, work, on_end=aside).run()


def _work(
    settings: Settings, listener: socket.socket, folder: Path, place: int, alone: bool, on_ready: Callable[[], None]
) -> None:
    """What each of several processes does."""
    logs.start_as(settings)
    app = create_app(settings, figures=Figures(folder, place), loads_first=not alone, on_loaded=on_ready)
    _run(app, listener)


def _hosts(settings: Settings) -> list[str]:
    host = settings.serving.host
    return ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host, *settings.serving.names]


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ServiceMissing(
            f"port {port} of {host} cannot be listened on",
            where="serving.port in dovetail.toml",
            why=error.strerror or str(error),
            next="stop what listens there, or set another port (0 takes a free one)",
        ) from None
    return listener
