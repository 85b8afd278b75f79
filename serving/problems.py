"""Errors as problem+json (RFC 9457), with what to do next and without anything of the inside."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from dovetail.shared.errors import DovetailError, IntegrityError, QueryError, Retry, ServiceMissing

log = logging.getLogger(__name__)

Kind = Literal[
    "not-found", "unauthorized", "forbidden", "unavailable", "gone", "incomplete", "not-acceptable", "too-much",
    "too-many", "too-large", "query", "integrity", "not-yet", "http", "crash",
]  # fmt: skip
"""What a problem's `type` ends with: a fixed set, which is counted by."""
REQUEST_ID = "X-Request-Id"
LONGEST = 2_000
"""Characters of a detail: of what was given, which may be long, its beginning and what is said at the end."""


def request_id(scope: Scope) -> str:
    """What a request is called in its refusal and in the log."""
    named: str = scope.setdefault("dovetail.request", secrets.token_hex(8))
    return named


class NotFound(QueryError):
    """What is asked for by its name is not there."""


class Forbidden(QueryError):
    """Who asks holds no grant for this."""


class Gone(QueryError):
    """What an older receipt stands for has been pruned."""


class Incomplete(QueryError):
    """An answer without gaps is asked for, and there is none."""


class NotAcceptable(QueryError):
    """None of the forms that the client takes is there."""


class TooLarge(QueryError):
    """More was sent than is read."""


class TooMuch(QueryError):
    """An answer would cost more than a limit allows; the message names it."""


class TooMany(QueryError):
    """More was asked in a time than a limit allows; `after` so many seconds there is room again."""

    def __init__(self, what: str, *, after: float = 1.0) -> None:
        super().__init__(what, next=f"ask again after {after:.3g} s")
        self.after = after


REFUSED: Mapping[type[QueryError], tuple[Kind, str, int]] = {
    NotFound: ("not-found", "There is nothing of that name", 404),
    Forbidden: ("forbidden", "That is not for you", 403),
    Gone: ("gone", "That answer is not kept any more", 410),
    Incomplete: ("incomplete", "There is no answer without gaps", 409),
    NotAcceptable: ("not-acceptable", "There is no such form of an answer", 406),
    TooMuch: ("too-much", "The answer would cost more than is allowed", 422),
    TooMany: ("too-many", "More is asked than is allowed", 429),
    TooLarge: ("too-large", "More was sent than is read", 413),
    QueryError: ("query", "The question cannot be answered as asked", 422),
}
UNAVAILABLE: tuple[Kind, str, int] = ("unavailable", "What answers need is not there now", 503)
CRASH: tuple[Kind, str, int, str, str] = (
    "crash", "Dovetail failed", 500, "an error of Dovetail itself; its log has more", "dovetail doctor",
)  # fmt: skip


class Problem(Response):
    """A problem+json, which knows its kind."""

    media_type = "application/problem+json"
    kind: Kind


def problem(kind: Kind, title: str, status: int, detail: str, next_: str = "", *, retry: float = 0) -> Problem:
    """A problem as it is answered; with the seconds after which to `retry`, where that may help."""
    if len(detail) > LONGEST:
        detail = f"{detail[: LONGEST // 2]} … {detail[-LONGEST // 2 :]}"
    body = {"type": f"urn:dovetail:{kind}", "title": title, "status": status, "detail": detail, "next": next_}
    after = {"Retry-After": str(max(1, round(retry)))} if retry else None
    told = Problem(orjson.dumps(body), status_code=status, headers=after)
    told.kind = kind
    return told


def install(app: FastAPI, on_problem: Callable[[Kind], None] = lambda _: None) -> None:
    """Turns whatever a route raises into a problem, and tells which kind it is."""

    def telling(handler: Callable[[Request, Exception], Awaitable[Problem]]) -> Callable[..., Awaitable[Response]]:
        async def handle(request: Request, error: Exception) -> Response:
            told = await handler(request, error)
            on_problem(told.kind)
            return told

        return handle

    app.add_exception_handler(DovetailError, telling(_ours))
    app.add_exception_handler(HTTPException, telling(_http))
    app.add_exception_handler(RequestValidationError, telling(_invalid))
    app.add_exception_handler(Exception, telling(_crash))


def of(error: Exception) -> Problem:
    """The problem that an error is; one that is not meant for those who ask is a crash."""
    if not isinstance(error, DovetailError):
        return problem(*CRASH)
    for kind, (name, title, status) in REFUSED.items():
        if isinstance(error, kind):
            detail = ": ".join(part for part in (error.what, error.why) if part)
            return problem(name, title, status, detail, error.next, retry=getattr(error, "after", 0))
    # Without `why`, which of what is stored may hold paths and hosts.
    if isinstance(error, IntegrityError):
        return problem("integrity", "No answer rather than a wrong one", 503, error.what, error.next, retry=1)
    if isinstance(error, ServiceMissing):
        return problem(*UNAVAILABLE, error.what, error.next, retry=1)
    if isinstance(error, Retry):
        return problem("not-yet", "The answer does not exist yet", 503, error.what, error.next, retry=1)
    return problem(*CRASH)


async def _ours(request: Request, error: Exception) -> Problem:
    told = of(error)
    return told if told.status_code != 500 else await _crash(request, error)


async def _http(request: Request, error: Exception) -> Problem:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    next_ = "see /docs" if status in (404, 405) else ""
    told = problem("http", detail or "HTTP error", status, detail, next_)
    if status == 405:  # the framework names those of the first route of the path
        at = (r for r in request.app.routes if isinstance(r, Route) and r.matches(request.scope)[0] is not Match.NONE)
        told.headers["Allow"] = ", ".join(sorted({method for route in at for method in route.methods or ()}))
    return told


async def _invalid(_: Request, error: Exception) -> Problem:
    return problem("query", "The question cannot be answered as asked", 422, str(error), "see /docs")


async def _crash(request: Request, error: Exception) -> Problem:
    named = request_id(request.scope)
    # No URL: a Host is in it.
    log.error("%s %s failed: request %s", request.method, request.scope["path"], named, exc_info=error)
    told = problem(*CRASH)
    told.headers[REQUEST_ID] = named
    return told
