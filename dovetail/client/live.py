"""The answers that a server sends as they change: which are new, of which types, and when to connect again."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pyarrow as pa
from httpx_sse import ServerSentEvent

from dovetail.client import errors, question
from dovetail.client.answer import Answer
from dovetail.client.calls import of_view
from dovetail.client.patience import Attempts, Patience
from dovetail.client.question import Length, Question
from dovetail.client.receipt import Receipt

RETRY_S = 1.0
"""Seconds before the first attempt to connect again, until the server says otherwise."""


@dataclass(frozen=True)
class News:
    """An answer as its event has it: in JSON, which has fewer types than Arrow."""

    rows: Sequence[Mapping[str, Any]]
    receipt: Receipt

    @property
    def types(self) -> tuple[object, ...]:
        """What the types of the columns depend on, besides the question."""
        return self.receipt.version, {name: d.get("version") for name, d in self.receipt.dimensions.items()}


class Feed:
    """What is known of one stream over all its connections. The server keeps nothing of it."""

    def __init__(self, view: str, asked: Question, every: Length, patience: Patience, server: str) -> None:
        self.path, self._params = f"{of_view(view)}/live", question.parameters(question.body(asked))
        self._params += [("every", question.plain(every))] if every is not None else []
        self._patience, self._server = patience, server
        self._attempts: Attempts | None = patience.attempts()
        self._seen, self._last, self._retry = "", "", RETRY_S
        self._known: Answer | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the request says besides its path."""
        return {"params": self._params, "headers": {"Last-Event-ID": self._last} if self._last else {}}

    def opened(self, response: httpx.Response) -> bool:
        """Whether events follow. Then the next break is the first, and patience counts from it."""
        if response.status_code != 200:
            return False
        self._attempts = None
        return True

    def news(self, event: ServerSentEvent) -> News | None:
        """The answer in an event; None where there is none, or it was there before.

        Raises:
            ClientError: the server says that there will be no more.
        """
        if event.retry is not None:
            self._retry = event.retry / 1000
        if not event.data:  # a sign of life
            return None
        with errors.understood(self._server):
            told = orjson.loads(event.data)
            if "receipt" not in told:
                raise errors.of_problem(told, int(told["status"]))
            news = News(told["rows"], Receipt.read(told["receipt"]))
        again, self._seen, self._last = news.receipt.id == self._seen, news.receipt.id, event.id
        return None if again else news

    def typed(self, news: News) -> Answer | None:
        """The answer with its types; None where they are not known: ask the question itself for that."""
        known = self._known
        if known is None or News((), known.receipt).types != news.types:
            return None
        with errors.understood(self._server):
            return Answer(_table(news.rows, known.to_arrow().schema), news.receipt)

    def learnt(self, asked: Answer, news: News) -> Answer:
        """The same with the types of an answer that was asked for; that answer itself where it is of newer types."""
        self._known = asked
        answer = self.typed(news)
        return asked if answer is None else answer

    def wait(self, broken: httpx.Response | httpx.TransportError) -> float:
        """Seconds until the next attempt to connect; raises the error where there is none."""
        refused = isinstance(broken, httpx.Response)
        self._attempts = self._attempts or self._patience.attempts()
        wait = self._attempts.wait(broken, least=0.0 if refused else self._retry)
        if wait is None:
            raise errors.of_outcome(broken, self._server)
        return wait


def ended() -> httpx.RemoteProtocolError:
    """What stands for a stream that the server closed in order: it begins again like one that broke."""
    return httpx.RemoteProtocolError("the server closed the stream")


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    readers = {field.name: _reader(field.type) for field in schema}
    typed = [{name: None if row[name] is None else read(row[name]) for name, read in readers.items()} for row in rows]
    return pa.Table.from_pylist(typed, schema=schema)


def _reader(kind: pa.DataType) -> Callable[[Any], Any]:
    """Reads a value that is not null as the server writes its type in JSON."""
    if pa.types.is_decimal(kind):
        return Decimal
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat
    if pa.types.is_date(kind):
        return date.fromisoformat
    if pa.types.is_floating(kind):
        return float
    if pa.types.is_binary(kind):
        return base64.b64decode
    if pa.types.is_list(kind):
        of = _reader(kind.value_type)
        return lambda values: [None if v is None else of(v) for v in values]
    if pa.types.is_struct(kind):
        readers = {field.name: _reader(field.type) for field in kind}
        return lambda row: {name: None if row[name] is None else read(row[name]) for name, read in readers.items()}
    return lambda value: value
