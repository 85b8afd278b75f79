"""The routes: each reads what was sent, asks the service, and says what it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from sse_starlette import EventSourceResponse

from dovetail.serving import describe, live, lookup, query
from dovetail.serving.fields import Fields, from_json, from_object, from_url, parsed
from dovetail.serving.formats import chosen
from dovetail.serving.problems import TooLarge
from dovetail.serving.query import Asked
from dovetail.serving.service import Serving, understood
from dovetail.serving.shape import Shape
from dovetail.serving.view import View

PAST = ("as_of", "cursor")
"""What makes a question one about an earlier answer."""
LARGEST_BODY = 1 << 20


def add(app: FastAPI, serving: Serving) -> None:
    """Adds every route."""
    _add_views(app, serving)
    _add_questions(app, serving)
    _add_care(app, serving)


def _add_views(app: FastAPI, serving: Serving) -> None:
    @app.get("/v1/views", tags=["views"], summary="The views that answer")
    async def views() -> Response:
        told = [describe.line(view) for _, view in sorted(serving.store.views.items())]
        return _json({"views": told})

    @app.get("/v1/views/{view}", tags=["views"], summary="Keys, measures and standing of a view")
    async def one(view: str) -> Response:
        return _json(describe.whole(serving.view(view)))

    @app.get("/v1/receipts/{receipt}", tags=["views"], summary="What the answer with this receipt was made of")
    async def receipt(receipt: str) -> Response:
        return _json(await serving.receipt(receipt))


def _add_questions(app: FastAPI, serving: Serving) -> None:
    @app.get(
        "/v1/views/{view}/query", tags=["questions"], summary="Merged rows with their receipt",
        openapi_extra={"parameters": describe.PARAMETERS},
    )  # fmt: skip
    async def ask(view: str, request: Request) -> Response:
        held, raw = serving.view(view), request.scope["query_string"].decode("latin-1")
        return await _answer(
            serving, held, request, raw, lambda: from_url(raw), of_then=any(name in raw for name in PAST)
        )

    @app.get(
        "/v1/views/{view}/live", tags=["questions"], summary="The answer now, and again whenever its rows change",
        description=describe.LIVE_TEXT, openapi_extra=describe.LIVE, response_class=EventSourceResponse,
    )  # fmt: skip
    async def follow(view: str, request: Request) -> Response:
        held, raw = serving.view(view), request.scope["query_string"].decode("latin-1")
        fields = live.checked(from_url(raw, also=live.ALSO))
        return await serving.live.open(held, fields, request.headers.get("last-event-id", ""))

    @app.post(
        "/v1/views/{view}/query", tags=["questions"], summary="The same, asked as JSON",
        openapi_extra={"requestBody": describe.BODY},
    )  # fmt: skip
    async def ask_json(view: str, request: Request) -> Response:
        held, body = serving.view(view), await _body(request)
        raw = f"POST {body.decode('utf-8', 'backslashreplace')}"
        return await _answer(serving, held, request, raw, lambda: from_json(body), of_then=_past(raw))

    @app.post(
        "/v1/views/{view}/lookup", tags=["questions"], summary="A row for each of many keys",
        openapi_extra={"requestBody": describe.LOOKUP},
    )  # fmt: skip
    async def look_up(view: str, request: Request) -> Response:
        held, given = serving.view(view), parsed(await _body(request), example=lookup.EXAMPLE)
        keys, fields = given.pop("keys", None), from_object(given)

        def read(shape: Shape) -> Asked:
            return lookup.asked(shape, keys, fields)

        if "as_of" in fields.scalars:
            return await serving.answer_of_then(held, fields, _form(request), read)
        asked = await understood(lambda: read(held.edition.shape), lambda: fields)
        return await serving.answer(held, asked, _form(request), _known(request))


async def _answer(
    serving: Serving, view: View, request: Request, raw: str, read: Callable[[], Fields], *, of_then: bool
) -> Response:
    """The answer to a question; `of_then`: it may be one about an earlier answer."""
    if of_then and not {*PAST}.isdisjoint((fields := read()).scalars):
        return await serving.answer_of_then(view, fields, _form(request), lambda shape: query.plan(shape, fields))
    asked = await understood(lambda: view.asked(raw, read), read)
    return await serving.answer(view, asked, _form(request), _known(request))


def _past(raw: str) -> bool:
    return any(name in raw for name in PAST)


def _form(request: Request) -> str:
    return chosen(request.headers.get("accept", ""))


def _known(request: Request) -> str:
    return request.headers.get("if-none-match", "")


def _add_care(app: FastAPI, serving: Serving) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        paths = [route.path for route in app.routes if isinstance(route, APIRoute) and route.path != "/"]
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
            raise TooLarge(f"the body is larger than {LARGEST_BODY} bytes")
    return body


def _json(value: dict[str, Any], *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
