"""A client that asks every view for all it holds, on and on, and keeps what it was told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from dovetail.shared.position import Position

PAUSE_S = 0.4
UNAVAILABLE = 503


@dataclass
class Watch:
    """What answers said since the last look. `away` is set while the server may be gone, `torn` holds torn views.

    Nothing may fail but that: a server that is up answers, and refuses only what is torn.
    """

    server: str
    questions: Mapping[str, Mapping[str, str]]
    away: threading.Event = field(default_factory=threading.Event)
    torn: set[str] = field(default_factory=set)
    unchanged: bool = True
    """Whether the server may say that an answer is the same as the last one."""
    answers: list[tuple[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    refused: int = 0
    """How often it was told 503 where that was to be expected; `told_torn` for a view that is torn."""
    told_torn: int = 0
    _reached: dict[str, tuple[int, Position]] = field(default_factory=dict)
    _etags: dict[str, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def taken(self) -> list[tuple[str, Any]]:
        """The answers since the last call, in order."""
        answers, self.answers = self.answers, []
        return answers

    def look(self, http: httpx.Client, view: str) -> None:
        """Asks one view, and keeps the answer or what is wrong with it."""
        away, torn = self.away.is_set(), view in self.torn
        etag = {"If-None-Match": self._etags.get(view, "")}
        try:
            response = http.get(f"{self.server}/v1/views/{view}/query", params=self.questions[view], headers=etag)
        except httpx.TransportError as error:
            if not away and not self.away.is_set():
                self.faults.append(f"{view}: the server was up and did not answer: {type(error).__name__} {error}")
            return
        if response.status_code == httpx.codes.OK:
            self._keep(view, response, torn=torn)
        elif response.status_code == UNAVAILABLE and (away or torn or self.away.is_set()):
            self.refused += 1
            self.told_torn += torn
        elif response.status_code != httpx.codes.NOT_MODIFIED:
            self.faults.append(f"{view}: {response.status_code} {response.text}")

    def _keep(self, view: str, response: httpx.Response, *, torn: bool) -> None:
        if torn:
            self.faults.append(f"{view} answers though its files are torn")
        if self.unchanged:
            self._etags[view] = response.headers["etag"]
        answer = response.json()
        seq, position = answer["receipt"]["seq"], Position.from_json(answer["receipt"]["position"])
        last_seq, last = self._reached.get(view, (-1, Position()))
        if seq < last_seq or not position.reaches(last):
            self.faults.append(f"{view} went back from seq {last_seq} at {last!r} to seq {seq} at {position!r}")
        self._reached[view] = (seq, position)
        self.answers.append((view, answer))

    def _run(self) -> None:
        with httpx.Client(timeout=60, trust_env=False) as http:
            while not self._stop.wait(PAUSE_S):
                for view in self.questions:
                    self.look(http, view)
