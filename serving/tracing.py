"""Traces of requests, from the request to the merge, for an OTLP collector. Where they are off, nothing of this runs.

A span has a route's template and names that a project declares; never a path, a value of a question or an error's text.
The provider is this server's own: FastAPI records whole URLs for one that is set for the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dovetail.shared.errors import SettingsError

GIVE_UP = 5.0
"""Seconds after which a collector that does not answer is left."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CARRIED = (b"traceparent", b"tracestate")


@dataclass(frozen=True)
class Tracing:
    """What makes spans, None where they are off; `stop` sends what is left of them."""

    tracer: Tracer | None = None
    stop: Callable[[], None] = lambda: None


def start(address: str) -> Tracing:
    """Traces that go to the OTLP/HTTP collector at `address`; off where that is empty.

    Raises:
        SettingsError: the libraries for it are not installed.
    """
    if not address:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "traces need libraries that are not installed",
            where="telemetry.traces",
            next="pip install 'dovetail[otel]'",
        ) from None
    endpoint = address if urlsplit(address).path.strip("/") else f"{address.rstrip('/')}/v1/traces"
    service = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "dovetail-serving")})
    provider = TracerProvider(resource=service, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=GIVE_UP)))
    return Tracing(provider.get_tracer("dovetail.serving"), provider.shutdown)


class Traced:
    """ASGI middleware: a span a request, which goes on the trace that a traceparent names."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, status = scope["method"] if scope["method"] in METHODS else "HTTP", 500
        span = self._tracer.start_span(method, self._parent(scope), SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(span))

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
            # After a crash it stays the current one: who handles that outside of this logs it with its trace, and then
            # the request's task is over.
            context.detach(token)
        finally:
            _end(span, method, getattr(scope.get("route"), "path", ""), status)

    def _parent(self, scope: Scope) -> Context:
        carried = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k in CARRIED}
        return self._propagator.extract(carried)


def _end(span: Span, method: str, route: str, status: int) -> None:
    span.set_attribute("http.request.method", method if method in METHODS else "_OTHER")
    span.set_attribute("http.response.status_code", status)
    if route:
        span.set_attribute("http.route", route)
        span.update_name(f"{method} {route}")
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    span.end()
