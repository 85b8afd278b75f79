"""Answers that are sent as they change, in server-sent events: the streams of one question share every look at it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import anyio
import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus, SendTimeoutError
from starlette.types import Receive, Scope, Send

from dovetail.serving import problems
from dovetail.serving.fields import Fields, about
from dovetail.serving.problems import TooMany
from dovetail.serving.view import View
from dovetail.shared import duration
from dovetail.shared.errors import DeclarationError, DovetailError, QueryError
from dovetail.shared.grants import Principal

EVERY = "100ms"
"""Least time between two events of a stream, where not asked otherwise."""
HEARTBEAT = 10.0
"""Seconds between two signs of life."""
SEND = 30.0
"""Seconds that a client may leave what it is sent unread; then its stream ends."""
ALSO = ("every",)
OF_ONE_ANSWER = ("as_of", "cursor", "at_least", "max_age", "timeout")
"""What is asked of one answer and means nothing of those to come."""

log = logging.getLogger(__name__)

# The flag that the library would end streams by is never lowered again in a process; `Live.end` is ours.
AppStatus.enable_automatic_graceful_drain = False


@dataclass(frozen=True)
class Told:
    """What a stream sends: an answer, or the problem that there is none. Those of equal `content` are sent once."""

    event: bytes
    content: bytes
    id: str = ""
    token: int | None = None
    """Of the edition that answered."""
    refused: DovetailError | None = None

    @classmethod
    def answer(cls, receipt: str, rows: bytes, document: bytes, token: int) -> Told:
        return cls(b"id: %b\nevent: answer\ndata: %b\n\n" % (receipt.encode(), document), rows, receipt, token)

    @classmethod
    def problem(cls, error: Exception) -> Told:
        document = bytes(problems.of(error).body)
        refused = error if isinstance(error, DovetailError) else None
        return cls(b"event: problem\ndata: %b\n\n" % document, document, refused=refused)


Answer: TypeAlias = Callable[[View, Principal, str, Fields], Awaitable[Told]]
"""Answers somebody's question of a view, which is called by a text of its own."""


def checked(fields: Fields) -> Fields:
    """The same question; raises QueryError for what cannot be asked of a stream."""
    for name in OF_ONE_ANSWER:
        if name in fields.scalars:
            raise QueryError(
                f"{name} is of one answer, not of a stream of them",
                next=f"leave out {name}, or GET /v1/views/VIEW/query",
            )
    _every(fields)
    return fields


class Live:
    """The streams of this process. For the thread of its event loop, but for `ring`."""

    def __init__(self, answer: Answer, most: int, share: int) -> None:
        """`most` streams are open at a time, `share` of them of one asker."""
        self.streams = 0
        self._answer, self._most, self._share = answer, most, share
        self._of = Counter[str]()
        self._questions: dict[tuple[str, str], Question] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def open(self, view: View, who: Principal, fields: Fields, last: str, *, life: float | None) -> Stream:
        """A stream of answers to a question, from the one after the receipt `last` on, for `life` seconds at most.

        Raises:
            QueryError: the question cannot be answered as asked.
            TooMany: there are as many streams as are allowed, of all or of this one.
            DovetailError: the view has not answered yet, so that no question of it can be checked.
        """
        if self.streams >= self._most:
            raise TooMany(f"{self.streams} streams are open: limits.live_streams")
        if self._of[who.name] >= self._share:
            raise TooMany(f"{self._of[who.name]} streams of yours are open, of limits.live_streams")
        question = self._joined(view, who, fields)
        try:
            first = await question.look()
            if isinstance(first.refused, QueryError) or (first.refused and view.published is None):
                raise first.refused
        except BaseException:
            self._leave(question, who)
            raise
        return Stream(_events(question, first, last, life), leave=lambda: self._leave(question, who))

    def ring(self, view: View) -> None:
        """Tells that the view has another edition, or cannot be answered; from any thread."""
        if self._questions and self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._rung, view)

    def end(self) -> None:
        """Ends every stream, for good."""
        self._ended.set()
        for question in self._questions.values():
            question.wake()

    def _joined(self, view: View, who: Principal, fields: Fields) -> Question:
        self._loop = asyncio.get_running_loop()
        grant = who.grant(view.name)  # those who see the same share a question
        parts = (grant.as_json() if grant else None, fields.scalars, fields.lists, fields.where, fields.having)
        raw = "live " + orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()
        question = self._questions.get((view.name, raw))
        if question is None:
            question = self._questions[view.name, raw] = Question(
                view, partial(self._answer, view, who, raw, fields), raw, fields, self._ended
            )
        question.streams += 1
        self.streams += 1
        self._of[who.name] += 1
        return question

    def _leave(self, question: Question, who: Principal) -> None:
        self.streams -= 1
        self._of[who.name] -= 1
        if not self._of[who.name]:
            del self._of[who.name]
        question.streams -= 1
        if not question.streams:
            question.close()
            del self._questions[question.view.name, question.raw]

    def _rung(self, view: View) -> None:
        for question in self._questions.values():
            if question.view is view:
                question.stale.set()


class Question:
    """What any number of streams ask: looked up once an edition, and no more often than `every` without a new one."""

    def __init__(
        self, view: View, answer: Callable[[], Awaitable[Told]], raw: str, fields: Fields, ended: asyncio.Event
    ) -> None:
        self.view, self.raw, self.streams = view, raw, 0
        self.stale = asyncio.Event()
        self._every, self._answer, self._ended = _every(fields), answer, ended
        self._latest = Told(b"", b"")
        self._looking, self._news = asyncio.Lock(), asyncio.Event()
        self._following = asyncio.create_task(self._follow())

    async def look(self) -> Told:
        """The answer as it stands now."""
        async with self._looking:
            if not self._stands:
                self._latest = await self._told()
                self.wake()
            return self._latest

    async def after(self, told: Told) -> Told | None:
        """The newest that differs, when there is one and `every` is over; None once all streams are to end."""
        with anyio.move_on_after(self._every):
            await self._ended.wait()
        while not self._ended.is_set():
            if self._latest.content != told.content:
                return self._latest
            await self._news.wait()
        return None

    def wake(self) -> None:
        """Has every stream compare."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def close(self) -> None:
        self._following.cancel()

    @property
    def _stands(self) -> bool:
        """Whether the latest answer is of the edition that is answered from now."""
        published = self.view.published
        return published is not None and not self.view.problem and published.token == self._latest.token

    async def _follow(self) -> None:
        while True:
            await self.stale.wait()
            self.stale.clear()
            await self.look()
            await asyncio.sleep(self._every)

    async def _told(self) -> Told:
        try:
            return await self._answer()
        except DovetailError as error:
            return Told.problem(error)
        except Exception as error:  # the edge of the task: whatever it was, the streams are told
            log.exception("a live question of %s failed", self.view.name)
            return Told.problem(error)


class Stream(EventSourceResponse):
    """Sends events as fast as the client reads them, and holds one at most. One that is not sent has to `leave`."""

    def __init__(self, events: AsyncIterator[bytes], *, leave: Callable[[], None]) -> None:
        super().__init__(
            events, ping=HEARTBEAT, ping_message_factory=lambda: ServerSentEvent(comment=""), sep="\n",
            send_timeout=SEND,
        )  # fmt: skip
        self.leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a stream ends: its client has read nothing for %g s", SEND)
        finally:
            self.leave()


async def _events(question: Question, first: Told, last: str, life: float | None) -> AsyncIterator[bytes]:
    end = math.inf if life is None else time.monotonic() + life
    if first.id != last or not last:
        yield first.event
    told: Told | None = first
    while told is not None:
        with anyio.move_on_after(end - time.monotonic()) as over:
            told = await question.after(told)
        if over.cancelled_caught or told is None:
            return
        yield told.event


def _every(fields: Fields) -> float:
    try:
        return duration.pace(fields.scalars.get("every", EVERY))
    except DeclarationError as error:
        with about("every", fields.scalars.get("every", EVERY), next="every=1s"):
            raise QueryError(error.what, next=error.next) from None
