"""Errors as problem+json (RFC 9457), with what to do next and without anything of the inside."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from dovetail.shared.errors import DovetailError, IntegrityError, QueryError, Retry

log = logging.getLogger(__name__)


class NotFound(QueryError):
    """What is asked for by its name is not there."""


class Gone(QueryError):
    """What an older receipt stands for has been pruned."""


class Incomplete(QueryError):
    """An answer without gaps is asked for, and there is none."""


class NotAcceptable(QueryError):
    """None of the forms that the client takes is there."""


class TooLarge(QueryError):
    """More was sent than is read."""


class TooMany(QueryError):
    """As many as the server takes at the same time are there already."""


REFUSED: Mapping[type[QueryError], tuple[str, str, int]] = {
    NotFound: ("not-found", "There is nothing of that name", 404),
    Gone: ("gone", "That answer is not kept any more", 410),
    Incomplete: ("incomplete", "There is no answer without gaps", 409),
    NotAcceptable: ("not-acceptable", "There is no such form of an answer", 406),
    TooLarge: ("too-large", "More was sent than is read", 413),
    TooMany: ("too-many", "As many as are taken at a time are there", 429),
    QueryError: ("query", "The question cannot be answered as asked", 422),
}
CRASH = ("crash", "Dovetail failed", 500, "an error of Dovetail itself; its log has more", "dovetail doctor")


def problem(kind: str, title: str, status: int, detail: str, next_: str = "", *, retry: bool = False) -> Response:
    body = {"type": f"urn:dovetail:{kind}", "title": title, "status": status, "detail": detail, "next": next_}
    return Response(
        orjson.dumps(body),
        status_code=status,
        media_type="application/problem+json",
        headers={"Retry-After": "1"} if retry else None,
    )


def install(app: FastAPI) -> None:
    """Turns whatever a route raises into a problem."""
    app.add_exception_handler(DovetailError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _crash)


def of(error: Exception) -> Response:
    """The problem that an error is; one that is not meant for those who ask is a crash."""
    if not isinstance(error, DovetailError):
        return problem(*CRASH)
    detail = ": ".join(part for part in (error.what, error.why) if part)
    for kind, (name, title, status) in REFUSED.items():
        if isinstance(error, kind):
            return problem(name, title, status, detail, error.next, retry=status == 429)
    if isinstance(error, IntegrityError):
        return problem("integrity", "No answer rather than a wrong one", 503, detail, error.next, retry=True)
    if isinstance(error, Retry):
        return problem("not-yet", "The answer does not exist yet", 503, detail, error.next, retry=True)
    return problem(*CRASH)


async def _ours(request: Request, error: Exception) -> Response:
    told = of(error)
    return told if told.status_code != 500 else await _crash(request, error)


async def _http(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    next_ = "see /docs" if status in (404, 405) else ""
    return problem("http", detail or "HTTP error", status, detail, next_)


async def _invalid(_: Request, error: Exception) -> Response:
    return problem("query", "The question cannot be answered as asked", 422, str(error), "see /docs")


async def _crash(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(*CRASH)
