"""The HTTP interface: routes that parse, ask one view and say the answer."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dovetail.serving import describe, problems, query, tracing
from dovetail.serving.answer import Rows
from dovetail.serving.behind import Behind, LogEnd, kafka_of
from dovetail.serving.edition import Edition
from dovetail.serving.fields import Fields, from_json, from_url
from dovetail.serving.metrics import Measured, Metrics
from dovetail.serving.parts import Parts
from dovetail.serving.past import Receipt
from dovetail.serving.query import Asked, Cursor
from dovetail.serving.store import Store
from dovetail.serving.view import View
from dovetail.shared import proofs
from dovetail.shared.errors import NotYet, QueryError, ServiceMissing, SettingsError, unknown
from dovetail.shared.position import RecordId
from dovetail.shared.settings import Settings
from dovetail.shared.tables import Layout

AT_ONCE = 4
"""Answers looked up in the database at the same time; more would only share the same cores."""
WAIT = 0.005
"""Seconds between two looks while an answer is waited for."""
PAST = ("as_of", "cursor")
"""What makes a question one about an earlier answer."""
LARGEST_BODY = 1 << 20
SWITCH = 0.001
"""Seconds after which a thread lets another run: Python's 5 ms would show in every answer while a commit comes in."""


class Serving:
    """What the routes share: the store, the log's end, the metrics."""

    def __init__(self, settings: Settings, log_end: LogEnd | None) -> None:
        self.metrics = Metrics()
        self.tracing = tracing.start(settings.telemetry.traces)
        self.parts = Parts(self.metrics.part, self.tracing.tracer)
        self.behind = Behind(log_end or kafka_of(settings))
        self.store = Store(settings.storage.path, on_publish=self._published)
        self._layout = Layout(settings.storage.path)
        self.lookups = anyio.CapacityLimiter(AT_ONCE)

    def view(self, name: str) -> View:
        view = self.store.view(name)
        if view is None and not self.store.looked:
            raise NotYet("the server has just started and is still looking for its views", next="ask again")
        if view is None:
            raise problems.NotFound(unknown("view", name, self.store.views), next="GET /v1/views")
        return view

    async def answer(self, view: View, asked: Asked, none_match: str) -> Response:
        if asked.at_least is not None or asked.max_age is not None:
            with self.parts("wait", view.name):
                await reached(view, asked, self.behind)
        found = view.at_hand(asked.plan)
        edition = found[0] if found else view.edition
        _refuse_gaps(asked, edition)  # also of who has the answer already, asked for without that
        if none_match and edition.id(asked.plan) in none_match:
            return Response(status_code=304, headers=_headers(edition.id(asked.plan)))
        if found is None:
            with self.parts("lookup", view.name, edition.seq):
                found = await anyio.to_thread.run_sync(view.looked_up, asked.plan, limiter=self.lookups)
        return self._said(asked, *found)

    async def answer_of_then(self, view: View, fields: Fields) -> Response:
        """The answer that an earlier receipt stands for, or the page of it that a cursor names."""
        cursor = Cursor.parse(fields.scalars["cursor"]) if "cursor" in fields.scalars else None
        receipt = Receipt.parse(cursor.receipt if cursor else fields.scalars["as_of"])

        def look(edition: Edition) -> tuple[Asked, Edition, Rows]:
            asked = query.plan(edition.shape, fields)
            if cursor and edition.id(asked.plan.first) != cursor.receipt:
                raise QueryError(
                    f"cursor={cursor} is of another question", next="ask as for the page before, and give its cursor"
                )
            return asked, edition, view.looked_up_in(edition, asked.plan)

        with self.parts("lookup", view.name, receipt.seq):
            found = await anyio.to_thread.run_sync(
                self.store.past.asked, view.name, receipt, look, limiter=self.lookups
            )
        return self._said(*found)

    def metrics_text(self) -> bytes:
        sources = {view.published.shape.source for view in self.store.views.values() if view.published}
        for source in sources:
            if proved := proofs.last(self._layout, source):
                self.metrics.count_proof(source, proved)
        for name, view in self.store.views.items():
            edition = view.published
            self.metrics.answerable.labels(name).set(0 if view.problem or edition is None else 1)
            if edition is not None:
                behind = self.behind.of(edition.shape.topic, edition.position)
                for gauge, value in (
                    (self.metrics.records, behind["records"]),
                    (self.metrics.seconds, behind["seconds"]),
                ):
                    gauge.labels(name).set(float("nan") if value is None else value)
        return self.metrics.text()

    def _said(self, asked: Asked, edition: Edition, rows: Rows) -> Response:
        _refuse_gaps(asked, edition)
        with self.parts("render", edition.shape.view, edition.seq):
            behind = self.behind.of(edition.shape.topic, edition.position)
            receipt = edition.receipt(asked.plan, behind=behind, more=rows.more, unmatched=rows.unmatched)
            body = b"".join((b'{"rows":', rows.json, b',"receipt":', orjson.dumps(receipt), b"}"))
        return Response(body, media_type="application/json", headers=_headers(receipt["id"]))

    def _published(self, view: View) -> None:
        edition = view.published
        if edition is not None:
            self.behind.watch(edition.shape.topic)
            self.behind.reached(edition.shape.topic, edition.position)
            self.metrics.published(edition)


def create_app(settings: Settings, *, log_end: LogEnd | None = None) -> FastAPI:
    """The application. It follows the storage while its lifespan lasts.

    Args:
        log_end: where the log's end is asked for; the broker that the settings name where None.
    """
    serving = Serving(settings, log_end)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        serving.behind.start()
        serving.store.start()
        yield
        await anyio.to_thread.run_sync(serving.store.stop)
        await anyio.to_thread.run_sync(serving.behind.stop)
        await anyio.to_thread.run_sync(serving.tracing.stop)
        sys.setswitchinterval(switch)

    app = FastAPI(title="Dovetail", summary="Merged answers of batch and speed.", lifespan=lifespan, redoc_url=None)
    problems.install(app, serving.metrics.count_refused)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings), www_redirect=False)
    app.add_middleware(Measured, metrics=serving.metrics)
    if serving.tracing.tracer is not None:
        app.add_middleware(tracing.Traced, tracer=serving.tracing.tracer)
    _add_views(app, serving)
    _add_care(app, serving)
    return app


def serve(settings: Settings, *, on_listening: Callable[[str], None] = lambda _: None) -> None:
    """Serves until SIGINT or SIGTERM; `on_listening` is called with the address once connections are accepted.

    Raises:
        ServiceMissing: the port is in use.
        SettingsError: the host is not this machine's own loopback.
    """
    host, port = settings.serving.host, settings.serving.port
    _check_loopback(host)
    with _listening(host, port) as listener:
        on_listening(f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            create_app(settings), access_log=False, log_config=None, log_level="warning", proxy_headers=False,
            server_header=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


async def understood(view: View, raw: str, read: Callable[[], Fields]) -> Asked:
    """The checked question; one with `at_least` waits for a view that is still being loaded."""
    until: float | None = None
    while True:
        try:
            return view.asked(raw, read)
        except NotYet:
            fields = read()
            until = until or time.monotonic() + query.patience(fields)
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(WAIT)


async def reached(view: View, asked: Asked, behind: Behind) -> None:
    """Waits until the view's answers include what `at_least` names and are as fresh as `max_age` says.

    Raises:
        NotYet: they are not, after the timeout.
    """
    until = time.monotonic() + asked.timeout
    while lacking := _lacking(view.edition, asked, behind):
        if time.monotonic() >= until:
            raise NotYet(f"{view.name} {lacking}", next="ask again, or dovetail status")
        await asyncio.sleep(WAIT)


def _refuse_gaps(asked: Asked, edition: Edition) -> None:
    """Raises Incomplete where a whole answer is asked for and there is none."""
    if asked.whole and edition.gaps_known:
        raise problems.Incomplete(
            f"{edition.shape.view} has passed records that are gone: {edition.gaps_known[0]}",
            next="leave out complete=required to have the answer without them",
        )


def _lacking(edition: Edition, asked: Asked, behind: Behind) -> str:
    """Why an edition is not yet what is asked for; empty where it is."""
    wanted = asked.at_least
    if isinstance(wanted, RecordId):
        there = edition.position.includes(wanted.partition, wanted.offset)
    else:
        there = wanted is None or edition.seq >= wanted
    if not there:
        return f"has not reached {wanted}: it stands at seq {edition.seq}, {edition.position!r}"
    if asked.max_age is None:
        return ""
    seconds = behind.of(edition.shape.topic, edition.position)["seconds"]
    if seconds is None:
        return "may be of any age: the broker does not say where the log ends"
    return f"is {seconds:.1f} s behind, {asked.max_age:g} s are asked for" if seconds > asked.max_age else ""


def _add_views(app: FastAPI, serving: Serving) -> None:
    @app.get("/v1/views", tags=["views"], summary="The views that answer")
    async def views() -> Response:
        told = [describe.line(view) for _, view in sorted(serving.store.views.items())]
        return _json({"views": told})

    @app.get("/v1/views/{view}", tags=["views"], summary="Keys, measures and standing of a view")
    async def one(view: str) -> Response:
        return _json(describe.whole(serving.view(view)))

    @app.get(
        "/v1/views/{view}/query", tags=["views"], summary="Merged rows with their receipt",
        openapi_extra={"parameters": describe.PARAMETERS},
    )  # fmt: skip
    async def ask(view: str, request: Request) -> Response:
        held, raw = serving.view(view), request.scope["query_string"].decode("latin-1")
        if any(name in raw for name in PAST) and not {*PAST}.isdisjoint((fields := from_url(raw)).scalars):
            return await serving.answer_of_then(held, fields)
        with serving.parts("plan", held.name):
            asked = await understood(held, raw, lambda: from_url(raw))
        return await serving.answer(held, asked, request.headers.get("if-none-match", ""))

    @app.post(
        "/v1/views/{view}/query", tags=["views"], summary="The same, asked as JSON",
        openapi_extra={"requestBody": describe.BODY},
    )  # fmt: skip
    async def ask_json(view: str, request: Request) -> Response:
        held, body = serving.view(view), await _body(request)
        if any(name.encode() in body for name in PAST) and not {*PAST}.isdisjoint((fields := from_json(body)).scalars):
            return await serving.answer_of_then(held, fields)
        named = f"POST {body.decode('utf-8', 'backslashreplace')}"
        with serving.parts("plan", held.name):
            asked = await understood(held, named, lambda: from_json(body))
        return await serving.answer(held, asked, request.headers.get("if-none-match", ""))


def _add_care(app: FastAPI, serving: Serving) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        paths = ["/v1/views", "/v1/views/{view}", "/v1/views/{view}/query", "/docs", "/health", "/ready", "/metrics"]
        return _json({"dovetail": "serving", "paths": paths, "views": sorted(serving.store.views)})

    @app.get("/health", tags=["care"], summary="The process is up")
    async def health() -> Response:
        return _json({"up": True})

    @app.get("/ready", tags=["care"], summary="Every view can be answered")
    async def ready() -> Response:
        standing = {name: describe.standing(view) for name, view in sorted(serving.store.views.items())}
        good = serving.store.looked and all(s == "ready" for s in standing.values())
        return _json({"ready": good, "views": standing}, status=200 if good else 503)

    @app.get("/metrics", tags=["care"], summary="Figures for Prometheus")
    async def metrics() -> Response:
        return Response(serving.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise problems.TooLarge(f"the body is larger than {LARGEST_BODY} bytes")
    return body


def _json(value: dict[str, Any], *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _headers(receipt_id: str) -> dict[str, str]:
    # Weak: `behind` may differ while the rows are the same.
    return {"ETag": f'W/"{receipt_id}"', "Cache-Control": "no-cache"}


def _hosts(settings: Settings) -> list[str]:
    host = settings.serving.host
    return ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host]


def _check_loopback(host: str) -> None:
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise SettingsError(
            f"serving.host is '{host}': only this machine may ask until access control exists",
            where="serving.host in dovetail.toml",
            next="127.0.0.1, ::1 or localhost",
        )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
