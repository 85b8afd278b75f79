"""Reads one stream of live answers, and keeps count of the looks at the question that it needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest
from httpx_sse import ServerSentEvent, connect_sse
from serving_stand import Client

from dovetail.serving.service import Serving

LIVE = "/v1/views/sales/live"


class Stream:
    """The events of an open stream, each waited for."""

    def __init__(self, events: Iterator[ServerSentEvent]) -> None:
        self._events = events

    def event(self) -> ServerSentEvent:
        end = time.monotonic() + 30
        for event in self._events:
            if event.data:
                return event
            assert time.monotonic() < end, "nothing but signs of life"
        raise AssertionError("the stream ended")

    def answer(self) -> dict[str, Any]:
        event = self.event()
        assert event.event == "answer", event.data
        document: dict[str, Any] = orjson.loads(event.data)
        assert event.id == document["receipt"]["id"]
        return document

    def lines(self) -> tuple[int, int]:
        """Of the next answer: how many lines, up to which seq."""
        answer = self.answer()
        return answer["rows"][0]["lines"], answer["receipt"]["seq"]

    def problem(self) -> dict[str, Any]:
        event = self.event()
        assert event.event == "problem", event.data
        problem: dict[str, Any] = orjson.loads(event.data)
        return problem

    def rest(self) -> list[ServerSentEvent]:
        return list(self._events)


@contextmanager
def stream(serving: Client, last: str = "", **asked: Any) -> Iterator[Stream]:
    """`where` is given with two underscores for its dots. By default the number of lines, as often as may be."""
    params = {"measures": "lines", "every": "50ms"} | {k.replace("__", "."): v for k, v in asked.items()}
    headers = {"Last-Event-ID": last} if last else {}
    with connect_sse(serving.http, "GET", LIVE, params=params, headers=headers) as source:
        assert source.response.status_code == 200, source.response.read()
        yield Stream(source.iter_sse())


def open_streams(serving: Client) -> int:
    text = serving.http.get("/metrics").text
    return next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("dovetail_live_streams "))


def refused(serving: Client, **asked: Any) -> httpx.Response:
    with serving.http.stream("GET", LIVE, params=asked) as answer:
        assert answer.headers["content-type"] == "application/problem+json"  # else it is read for ever
        answer.read()
    return answer


class Looks(list[int]):
    """The seq of each look that was taken for a stream."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = Serving.told

        async def counted(serving: Serving, view: Any, *asked: Any) -> Any:
            found = await told(serving, view, *asked)
            self.append(view.published.seq)
            return found

        monkeypatch.setattr(Serving, "told", counted)
