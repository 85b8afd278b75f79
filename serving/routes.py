"""The routes: each reads what was sent, asks the service, and says what it gives."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.routing import APIRoute
from sse_starlette import EventSourceResponse

from dovetail.serving import describe, live, lookup, openapi, page, query
from dovetail.serving.fields import Fields, from_json, from_object, from_url, parsed
from dovetail.serving.formats import chosen
from dovetail.serving.openapi_questions import (
    EMBED_BODY,
    EMBEDDED,
    EXPIRES,
    KNOWN,
    LOOKUP_BODY,
    OF_LIVE,
    OF_QUERY,
    QUERY_BODY,
    SQL_BODY,
    STATEMENT,
)
from dovetail.serving.problems import Forbidden, TooLarge
from dovetail.serving.query import Asked
from dovetail.serving.service import Serving, understood
from dovetail.serving.shape import Shape
from dovetail.shared.errors import QueryError
from dovetail.shared.grants import Principal

PAST = ("as_of", "cursor")
"""What makes a question one about an earlier answer."""
REFUSED = (404, 406, 409, 410, 422, 429, 503)
"""What a question may be refused with."""
LARGEST_BODY = 1 << 20


class Direct(APIRoute):
    """A route whose function reads the request itself: what FastAPI would look for in it takes a third of an answer's
    time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        named = [field.name for field in self.dependant.path_params]

        async def handle(request: Request) -> Response:
            given = {name: request.path_params[name] for name in named}
            if self.dependant.request_param_name:
                given[self.dependant.request_param_name] = request
            answer: Response = await self.endpoint(**given)
            return answer

        return handle


def add(app: FastAPI, serving: Serving) -> None:
    """Adds every route, those first that are asked most: they are tried one after the other."""
    app.router.route_class = Direct
    _add_questions(app, serving)
    _add_views(app, serving)
    _add_sql(app, serving)
    _add_embeds(app, serving)
    _add_care(app, serving)
    page.add(app)
    openapi.install(app, keys=serving.door.required)


def _add_views(app: FastAPI, serving: Serving) -> None:
    @app.get("/v1/views", tags=["views"], summary="The views that answer", responses=openapi.of_document("Views"))
    async def views(request: Request) -> Response:
        who = _who(request)
        held = serving.views(who).items()
        return _json({"views": [describe.line(view, inside=who.operates(name)) for name, view in held]})

    @app.get(
        "/v1/views/{view}", tags=["views"], summary="Keys, measures and standing of a view",
        responses=openapi.of_document("View", 404, 422, 503),
    )  # fmt: skip
    async def one(view: str, request: Request) -> Response:
        who = _who(request)
        held = serving.view(view, who)
        told = describe.whole(held, serving.seen(held, who), inside=who.operates(view))
        return _json({**told, "shares": who.shares(view) is not None})

    @app.get(
        "/v1/status", tags=["views"], summary="What is wrong, and where each view stands in its log",
        responses=openapi.of_document("Status"),
    )  # fmt: skip
    async def status(request: Request) -> Response:
        return _json(await serving.status(_who(request)))

    @app.get(
        "/v1/receipts/{receipt}", tags=["views"], summary="What the answer with this receipt was made of",
        responses=openapi.of_document("Account", 404, 410, 422, 429, 503),
    )  # fmt: skip
    async def receipt(receipt: str, request: Request) -> Response:
        who = _who(request)
        with serving.admitted(who):
            told = await serving.receipt(receipt, who)
        return serving.note(who, "receipt", _json(told), view=told["view"], receipt=receipt)


def _add_questions(app: FastAPI, serving: Serving) -> None:
    @app.get(
        "/v1/views/{view}/query", tags=["questions"], summary="Merged rows with their receipt",
        openapi_extra={"parameters": OF_QUERY}, responses=openapi.of_answer(*REFUSED),
    )  # fmt: skip
    async def ask(view: str, request: Request) -> Response:
        raw = request.scope["query_string"].decode("latin-1")
        return await _answer(serving, view, request, raw, lambda: from_url(raw))

    @app.get(
        "/v1/views/{view}/live", tags=["questions"], summary="The answer now, and again whenever its rows change",
        description=openapi.LIVE_TEXT, openapi_extra={"parameters": OF_LIVE}, response_class=EventSourceResponse,
        responses=openapi.of_events(404, 409, 422, 429, 503),
    )  # fmt: skip
    async def follow(view: str, request: Request) -> Response:
        who, raw = _who(request), request.scope["query_string"].decode("latin-1")
        held, fields = serving.view(view, who), live.checked(from_url(raw, also=live.ALSO))
        with serving.admitted(who):
            return await serving.follow(held, who, fields, request.headers.get("last-event-id", ""))

    @app.post(
        "/v1/views/{view}/query", tags=["questions"], summary="The same, asked as JSON",
        openapi_extra={"requestBody": QUERY_BODY, "parameters": [KNOWN]}, responses=openapi.of_answer(*REFUSED, 413),
    )  # fmt: skip
    async def ask_json(view: str, request: Request) -> Response:
        serving.view(view, _who(request))  # before anything is read for who may not ask it
        body = await _body(request)
        raw = f"POST {body.decode('utf-8', 'backslashreplace')}"
        return await _answer(serving, view, request, raw, lambda: from_json(body))

    @app.post(
        "/v1/views/{view}/lookup", tags=["questions"], summary="A row for each of many keys",
        openapi_extra={"requestBody": LOOKUP_BODY, "parameters": [KNOWN]}, responses=openapi.of_answer(*REFUSED, 413),
    )  # fmt: skip
    async def look_up(view: str, request: Request) -> Response:
        who = _who(request)
        held, given = serving.view(view, who), parsed(await _body(request), example=lookup.EXAMPLE)
        keys, fields = given.pop("keys", None), from_object(given)

        def read(shape: Shape) -> Asked:
            return lookup.asked(shape, keys, fields, serving.seen(held, who, shape))

        with serving.admitted(who):
            if "as_of" in fields.scalars:
                answer = await serving.answer_of_then(held, fields, _form(request), read, who)
            else:
                with serving.parts("plan", view):
                    asked = await understood(lambda: read(held.edition.shape), lambda: fields)
                answer = await serving.answer(held, asked, _form(request), _known(request), who)
        return serving.note(who, "lookup", answer, view=view)


def _add_sql(app: FastAPI, serving: Serving) -> None:
    @app.post(
        "/v1/sql", tags=["questions"], summary="Rows that a statement in SQL asks of views",
        openapi_extra={"requestBody": SQL_BODY},
        responses=openapi.of_answer(404, 406, 413, 422, 429, 503, tagged=False),
    )  # fmt: skip
    async def sql(request: Request) -> Response:
        who, given = _who(request), parsed(await _body(request), example=STATEMENT)
        text = given.pop("sql", None)
        if given or not isinstance(text, str):
            raise QueryError("the body is not an object with a text as sql alone", next=STATEMENT)
        with serving.admitted(who):
            views, answer = await serving.statement(text, who, _form(request))
        return serving.note(who, "sql", answer, view=", ".join(views))


def _add_embeds(app: FastAPI, serving: Serving) -> None:
    @app.post(
        "/v1/views/{view}/embed", tags=["embeds"], summary="A signed link to the answer, for who has no key",
        description=openapi.EMBED_TEXT, responses=openapi.of_document("Link", 403, 404, 413, 422, 429, 503),
        openapi_extra={"requestBody": EMBED_BODY},
    )  # fmt: skip
    async def link(view: str, request: Request) -> Response:
        who, given = _who(request), parsed(await _body(request), example=EMBEDDED)
        question, expires = given.pop("question", ""), given.pop("expires", EXPIRES)
        if given or not (isinstance(question, str) and isinstance(expires, str)):
            raise QueryError("the body has question and expires, both texts", next=EMBEDDED)
        with serving.admitted(who):
            made = serving.link(view, question, expires, who)
        return serving.note(who, "make a link", _json(made), view=view)

    @app.get(
        "/embed/{link}", tags=["embeds"], summary="What a signed link shows, in a frame of any page",
        response_class=HTMLResponse, responses=openapi.of_page(404, 409, 422, 429, 503),
    )  # fmt: skip
    async def shown(request: Request) -> Response:
        who, given = _who(request), request.state.link
        with serving.admitted(who):
            answer = await serving.embedded(given, _known(request), who)
        return serving.note(who, "embed", answer, view=given.view)


async def _answer(serving: Serving, name: str, request: Request, raw: str, read: Callable[[], Fields]) -> Response:
    """The answer to a question, of now or, where it says so, of then."""
    who = _who(request)
    view = serving.view(name, who)
    with serving.admitted(who):
        if any(past in raw for past in PAST) and not {*PAST}.isdisjoint((fields := read()).scalars):
            answer = await serving.answer_of_then(
                view, fields, _form(request), lambda s: query.plan(s, fields, serving.seen(view, who, s)), who
            )
        else:
            with serving.parts("plan", name):
                asked = await understood(lambda: view.asked(raw, read, serving.seen(view, who)), read)
            answer = await serving.answer(view, asked, _form(request), _known(request), who)
    return serving.note(who, "query", answer, view=name)


def _who(request: Request) -> Principal:
    who: Principal = request.state.who
    return who


def _operator(request: Request) -> None:
    """Raises Forbidden for who may not see how the server stands."""
    if not _who(request).may("operate"):
        raise Forbidden("this needs a grant with the role operate", next="dovetail access grant NAME --role operate")


def _form(request: Request) -> str:
    return chosen(request.headers.get("accept", ""))


def _known(request: Request) -> str:
    return request.headers.get("if-none-match", "")


def _add_care(app: FastAPI, serving: Serving) -> None:
    @app.get("/health", tags=["care"], summary="The process is up", responses=openapi.of_document("Up"))
    async def health() -> Response:
        return _json({"up": True})

    @app.get(
        "/ready", tags=["care"], summary="Every view can be answered",
        responses=openapi.of_document("Ready", 403, 503, also=503),
    )  # fmt: skip
    async def ready(request: Request) -> Response:
        _operator(request)
        who, held = _who(request), sorted(serving.store.views.items())
        standing = {name: describe.standing(view, inside=who.operates(name)) for name, view in held}
        good = serving.store.looked and all(s == "ready" for s in standing.values())
        return _json({"ready": good, "views": standing}, status=200 if good else 503)

    @app.get(
        "/metrics", tags=["care"], summary="Figures for Prometheus", response_class=PlainTextResponse,
        responses=openapi.of_text(403),
    )  # fmt: skip
    async def metrics(request: Request) -> Response:
        _operator(request)
        return Response(await serving.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLarge(f"the body is larger than {LARGEST_BODY} bytes")
    return body


def _json(value: dict[str, Any], *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
