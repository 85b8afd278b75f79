"""Each request of the client, and what its response means: all that does not depend on how it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import orjson

from dovetail.client import errors, question
from dovetail.client.answer import Answer
from dovetail.client.patience import Outcome
from dovetail.client.question import Question
from dovetail.client.receipt import Receipt

T = TypeVar("T")
ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how to read the response to it. One with a body is a POST."""

    path: str
    read: Callable[[bytes], T]
    accept: str
    body: Mapping[str, Any] | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        headers = {"Accept": self.accept}
        if self.body is None:
            return http.build_request("GET", self.path, headers=headers)
        headers["Content-Type"] = JSON
        return http.build_request("POST", self.path, content=orjson.dumps(self.body), headers=headers)

    def result(self, outcome: Outcome, server: str) -> T:
        """What the response says, or the error that it or its lack tells."""
        if isinstance(outcome, httpx.TransportError) or not outcome.is_success:
            raise errors.of_outcome(outcome, server)
        kind = outcome.headers.get("content-type", "no type").partition(";")[0]
        if kind != self.accept:
            raise errors.no_dovetail(server, f"it sends {kind}, not {self.accept}", outcome.status_code)
        with errors.understood(server):
            return self.read(outcome.content)


def query(view: str, asked: Question) -> Call[Answer]:
    return Call(f"{of_view(view)}/query", Answer.read, ARROW, question.body(asked))


def lookup(view: str, keys: Iterable[Mapping[str, question.Value]], asked: Question) -> Call[Answer]:
    return Call(f"{of_view(view)}/lookup", Answer.read, ARROW, {"keys": question.plain(keys), **question.body(asked)})


def sql(statement: str) -> Call[Answer]:
    return Call("/v1/sql", Answer.read, ARROW, {"sql": statement})


def views() -> Call[list[dict[str, Any]]]:
    return Call("/v1/views", lambda content: list(orjson.loads(content)["views"]), JSON)


def view(name: str) -> Call[dict[str, Any]]:
    return Call(of_view(name), lambda content: dict(orjson.loads(content)), JSON)


def receipt(name: str) -> Call[Receipt]:
    return Call(f"/v1/receipts/{quote(name, safe='')}", lambda content: Receipt.read(orjson.loads(content)), JSON)


def of_view(name: str) -> str:
    return f"/v1/views/{quote(name, safe='')}"
