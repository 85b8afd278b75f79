"""Asking a running server over HTTP, as any client would."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from dovetail.shared.errors import DovetailError, NotYet, QueryError, ServiceMissing

KEY = "DOVETAIL_KEY"
"""The variable that holds the key to ask with, where the server wants one."""
CONNECT_S, ANSWER_S = 5.0, 65.0
"""A server may hold a question for a minute (`at_least`) before it gives up itself."""
ANSWER: Mapping[str, type] = {"rows": list, "receipt": dict}


@dataclass(frozen=True)
class Question:
    """What is asked of a view, in the words of the HTTP interface; empty means not asked.

    `where` maps a key to its values as a URL has them: separated by commas, a comma of a value's own as `\\,`; with an
    operator as in `price.gte`. `having` does so for measures.
    """

    view: str
    by: str = ""
    measures: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    having: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    end: str = ""
    bucket: str = ""
    window: str = ""
    fill: str = ""
    tz: str = ""
    order_by: str = ""
    limit: int | None = None
    at_least: str = ""
    as_of: str = ""
    layer: str = ""

    def parameters(self) -> dict[str, str]:
        """The query string's fields.

        >>> Question("sales", by="country", where={"country": "FR,DE"}, limit=2).parameters()
        {'by': 'country', 'limit': '2', 'where.country': 'FR,DE'}
        """
        time = ("start", "end", "bucket", "window", "fill", "tz")
        named = ("by", "measures", *time, "order_by", "limit", "at_least", "as_of", "layer")
        asked = {name: str(value) for name in named if (value := getattr(self, name)) not in ("", None)}
        conditions = {"where": self.where, "having": self.having}
        return asked | {f"{kind}.{key}": values for kind, given in conditions.items() for key, values in given.items()}


@dataclass(frozen=True)
class Answer:
    """The rows, each a mapping of column to value with decimals as text, and the receipt of the view asked first."""

    rows: list[dict[str, Any]]
    receipt: dict[str, Any]
    receipts: Sequence[dict[str, Any]] = ()
    """All of them, where there are several."""

    @property
    def document(self) -> dict[str, Any]:
        """As the server writes it."""
        several = {"receipts": self.receipts} if self.receipts else {}
        return {"rows": self.rows, "receipt": self.receipt, **several}


def ask(server: str, question: Question) -> Answer:
    """Asks the server at `server` (`http://host:port`).

    Raises:
        ServiceMissing: no server answers there.
        QueryError: it refuses the question.
        NotYet: it has no answer yet.
        DovetailError: it failed, or is no Dovetail.
    """
    told = _told(server, "GET", f"/v1/views/{question.view}/query", ANSWER, params=question.parameters())
    return Answer(told["rows"], told["receipt"])


def ask_sql(server: str, statement: str) -> Answer:
    """Asks the server a statement of SQL; raises as `ask` does."""
    told = _told(server, "POST", "/v1/sql", ANSWER, json={"sql": statement})
    return Answer(told["rows"], told["receipt"], told.get("receipts", ()))


def embed(server: str, view: str, question: str, *, expires: str) -> dict[str, Any]:
    """The address of a signed link to a question, and when it ends; raises as `ask` does."""
    body = {"question": question, "expires": expires}
    made = _told(server, "POST", f"/v1/views/{quote(view, safe='')}/embed", {"path": str, "expires": int}, json=body)
    return {"url": server + made["path"], "expires": made["expires"]}


def views(server: str) -> list[dict[str, Any]]:
    """What the server lists of each view; raises as `ask` does."""
    found: list[dict[str, Any]] = _told(server, "GET", "/v1/views", {"views": list})["views"]
    return found


def view(server: str, name: str) -> dict[str, Any]:
    """What the server says of one view: keys, measures, dimensions; raises as `ask` does."""
    return _told(server, "GET", f"/v1/views/{quote(name, safe='')}", {"keys": dict, "measures": dict})


def _told(server: str, method: str, path: str, holds: Mapping[str, type], **sent: Any) -> dict[str, Any]:
    """The document that the server answers with, which `holds` these fields."""
    try:
        # An answer from this machine goes through no proxy, whatever the environment says of others.
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        with httpx.Client(trust_env=False, timeout=timeout, headers=_authorization()) as client:
            response = client.request(method, f"{server}{path}", **sent)
    except httpx.TransportError as error:
        raise ServiceMissing(
            f"no server answers at {server}", why=str(error), next="dovetail serve (or dovetail dev)"
        ) from None
    document = _document(response)
    if response.is_success and all(isinstance(document.get(name), kind) for name, kind in holds.items()):
        return document
    if response.is_success or "title" not in document:
        raise DovetailError(
            f"what answers at {server} is not Dovetail: HTTP {response.status_code}",
            next="stop it, or set another [serving] port",
        )
    raise _refused(response.status_code, document)


def _authorization() -> dict[str, str]:
    key = os.environ.get(KEY, "")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refused(status: int, problem: Mapping[str, Any]) -> DovetailError:
    """The error that a problem+json document tells, of the kind that its status says."""
    kinds = {503: NotYet, 504: NotYet}
    kind = kinds.get(status, QueryError if 400 <= status < 500 and status != 410 else DovetailError)
    told = {name: str(problem.get(name) or "") for name in ("detail", "title", "where", "why", "next")}
    if status == httpx.codes.UNAUTHORIZED:
        told["next"] = f"export {KEY}=…; dovetail access key makes one"
    return kind(told["detail"] or told["title"], where=told["where"], why=told["why"], next=told["next"])
