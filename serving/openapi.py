"""The OpenAPI description: of every route what it takes, each status it answers with, and who may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from dovetail.serving.fields import SCALARS
from dovetail.serving.formats import ARROW, CSV, JSON, NDJSON, RECEIPT
from dovetail.serving.openapi_answers import SCHEMAS, ref
from dovetail.serving.openapi_questions import TEXT

Responses = dict[int | str, dict[str, Any]]

PROBLEM = "application/problem+json"
WHY = {
    400: "The Host header names no host that is served.", 401: "No good key or token came with the request.",
    403: "No grant of the key is for this.", 404: "There is no such view, receipt or path, or it is not for this key.",
    406: "There is no such form of an answer.", 409: "There is no answer without gaps.",
    410: "That answer is not kept any more.", 413: "The body is too large.", 414: "Path and query are too long.",
    422: "The question cannot be answered as asked.", 429: "More is asked than is allowed.",
    431: "The headers are too large.", 500: "Dovetail failed.",
    503: "There is no answer now, rather than a wrong one; ask again.",
}  # fmt: skip
EVERYWHERE = (400, 414, 431, 500)
AFTER = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds after which to ask again."}}
ETAG = {"ETag": {"schema": TEXT, "description": "The receipt's id, weak: `behind` may differ for the same rows."}}
PATHS = {
    "view": {"description": "A view that GET /v1/views lists.", "example": "sales"},
    "link": {"description": "The end of a link that was made.", "example": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmVk"},
    "receipt": {"description": "`receipt.id` of an earlier answer.", "example": SCALARS["as_of"]},
}
OPEN = "/health"
"""The one described path that needs no key."""
EMBED_TEXT = (
    "Whoever has the link sees the answer to this one question, as your grant shows it, until the link expires or your "
    "key, the grant or its role share is taken away. It counts as your key asking."
)
LIVE_TEXT = (
    "Server-sent events. `answer`: the JSON of a query in one line, its receipt's id as the event's; sent at once, and "
    "when the rows are others than those sent last. `problem`: why there is no answer now, once, as problem+json; the "
    "next answer follows when there is one. Sends a comment every 10 s."
)


def of_document(schema: str, *refused: int, also: int | None = None) -> Responses:
    """The responses of a route with one JSON document, or a problem; the document comes `also` with that status."""
    good = {"description": "As it stands now.", "content": {JSON: {"schema": ref(schema)}}}
    found = {200: good, **_problems(refused)}
    if also is not None:
        found[also]["content"].update(good["content"])
    return found


def of_text(*refused: int) -> Responses:
    return {
        200: {"description": "As it stands now.", "content": {"text/plain": {"schema": TEXT}}},
        **_problems(refused),
    }


def of_page(*refused: int) -> Responses:
    good = {"description": "A document that any page may have in a frame.", "content": {"text/html": {"schema": TEXT}}}
    return {200: good, **_problems(refused)}


def of_events(*refused: int) -> Responses:
    good = {"description": "Events until either side ends it.", "content": {"text/event-stream": {}}}
    return {200: good, **_problems(refused)}


def of_answer(*refused: int, tagged: bool = True) -> Responses:
    """The responses of a route that answers a question in the form that Accept asks for."""
    forms = {JSON: {"schema": ref("Answer")}, NDJSON: {}, CSV: {}, ARROW: {}}
    receipt = {RECEIPT: {"schema": TEXT, "description": "The receipt as JSON, where the form has no room for it."}}
    good = {
        "description": "Rows with their receipt.",
        "content": forms,
        "headers": {**receipt, **(ETAG if tagged else {})},
    }
    same: Responses = {304: {"description": "The answer with that ETag is the answer still.", "headers": ETAG}}
    return {200: good, **(same if tagged else {}), **_problems(refused)}


def install(app: FastAPI, *, keys: bool) -> None:
    """Completes the description that FastAPI makes: the schemas, what any request may meet, and the `keys` it needs."""
    made = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = made()
            found.setdefault("components", {})["schemas"] = SCHEMAS
            for path, operations in found["paths"].items():
                for operation in operations.values():
                    _complete(operation, keys=keys and path != OPEN)
            if keys:
                found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI has it done


def _complete(operation: dict[str, Any], *, keys: bool) -> None:
    for parameter in operation.get("parameters", ()):
        parameter.update(PATHS.get(parameter["name"], {}) if parameter["in"] == "path" else {})
    responses = operation["responses"]
    for status, response in _problems((*EVERYWHERE, *((401, 503) if keys else ()))).items():
        responses.setdefault(str(status), {}).setdefault("description", response["description"])
        responses[str(status)].setdefault("content", {}).update(response["content"])
    operation["responses"] = dict(sorted(responses.items()))
    if keys:
        operation["security"] = [{"key": []}]


def _problems(statuses: tuple[int, ...]) -> Responses:
    schema: Mapping[str, Any] = {PROBLEM: {"schema": ref("Problem")}}
    again = {429, 503}
    return {
        s: {"description": WHY[s], "content": {**schema}, **({"headers": AFTER} if s in again else {})}
        for s in statuses
    }
