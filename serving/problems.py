"""Errors as problem+json (RFC 9457), with what to do next and without anything of the inside."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from dovetail.shared.errors import DovetailError, IntegrityError, QueryError, Retry

log = logging.getLogger(__name__)

Kind = Literal["not-found", "gone", "incomplete", "too-large", "query", "integrity", "not-yet", "http", "crash"]
"""What a problem's `type` ends with: a fixed set, which is counted by."""


class NotFound(QueryError):
    """What is asked for by its name is not there."""


class Gone(QueryError):
    """What an older receipt stands for has been pruned."""


class Incomplete(QueryError):
    """An answer without gaps is asked for, and there is none."""


class TooLarge(QueryError):
    """More was sent than is read."""


class Problem(Response):
    """A problem+json, which knows its kind."""

    media_type = "application/problem+json"
    kind: Kind


def problem(kind: Kind, title: str, status: int, detail: str, next_: str = "", *, retry: bool = False) -> Problem:
    body = {"type": f"urn:dovetail:{kind}", "title": title, "status": status, "detail": detail, "next": next_}
    told = Problem(orjson.dumps(body), status_code=status, headers={"Retry-After": "1"} if retry else None)
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


async def _ours(request: Request, error: Exception) -> Problem:
    if not isinstance(error, DovetailError):
        return await _crash(request, error)
    detail = ": ".join(part for part in (error.what, error.why) if part)
    if isinstance(error, NotFound):
        return problem("not-found", "There is nothing of that name", 404, detail, error.next)
    if isinstance(error, Gone):
        return problem("gone", "That answer is not kept any more", 410, detail, error.next)
    if isinstance(error, Incomplete):
        return problem("incomplete", "There is no answer without gaps", 409, detail, error.next)
    if isinstance(error, TooLarge):
        return problem("too-large", "More was sent than is read", 413, detail, error.next)
    if isinstance(error, QueryError):
        return problem("query", "The question cannot be answered as asked", 422, detail, error.next)
    if isinstance(error, IntegrityError):
        return problem("integrity", "No answer rather than a wrong one", 503, detail, error.next, retry=True)
    if isinstance(error, Retry):
        return problem("not-yet", "The answer does not exist yet", 503, detail, error.next, retry=True)
    return await _crash(request, error)


async def _http(_: Request, error: Exception) -> Problem:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    next_ = "see /docs" if status in (404, 405) else ""
    return problem("http", detail or "HTTP error", status, detail, next_)


async def _invalid(_: Request, error: Exception) -> Problem:
    return problem("query", "The question cannot be answered as asked", 422, str(error), "see /docs")


async def _crash(request: Request, error: Exception) -> Problem:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem("crash", "Dovetail failed", 500, "an error of Dovetail itself; its log has more", "dovetail doctor")
