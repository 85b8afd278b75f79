"""Follows the answers that are to be sent on, each until it is stopped or cannot go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import anyio
import orjson

from dovetail.client import Answer, AsyncClient, NotYet, Question, ServerFault, TooMany, Unreachable, connect_async
from dovetail.client.question import body
from dovetail.pushing.changes import Change, changes, groups
from dovetail.pushing.deliver import Deliver, ToTopic, ToWebhook
from dovetail.pushing.state import Delivery, State, StateFile
from dovetail.shared import aside
from dovetail.shared.asking import KEY
from dovetail.shared.errors import DeclarationError, DovetailError, ServiceMissing
from dovetail.shared.failpoints import failpoint
from dovetail.shared.log import Log
from dovetail.shared.options import resolved
from dovetail.shared.project import Project
from dovetail.shared.push import Push, Topic

T = TypeVar("T")
MOST = 100_000
"""Groups of one push: as many as one answer has."""
PATIENCE = 300.0
"""Seconds that the server may be away."""
REFUSED = 5.0
"""Seconds until a view that cannot be answered is asked for again."""


@dataclass(frozen=True)
class Told:
    """Who is told what happens."""

    delivered: Callable[[Delivery], None] = lambda _: None
    waiting: Callable[[str], None] = lambda _: None


class Following:
    """One push: what it asks, what it has delivered, and what is left to do."""

    def __init__(self, project: Project, name: str) -> None:
        self.name, self.push = name, project.push(name)
        self._asked = question(self.push)
        self.file = StateFile(project.layout.push(name), name, self.push.view.name, digest(self.push, self._asked))
        self._state = self.file.read() or State()

    async def due(self, client: AsyncClient) -> list[Change]:
        """What would be delivered now."""
        now = await client.query(self.push.view.name, **self._asked)
        return changes(self._state.groups, groups(self.push, now))

    async def run(self, client: AsyncClient, deliver: Deliver, told: Told) -> None:
        """Delivers what changes, for as long as it may.

        Raises:
            ServiceMissing: the server or the receiver is not there.
            DovetailError: the question is refused, or the receiver refuses.
        """
        if self._state.begun is not None:
            await self._deliver(self._state.begun, deliver, told)
        waiting = ""
        while True:
            try:
                view = self.push.view.name
                async with aclosing(client.live(view, every=self.push.every, **self._asked)) as answers:
                    async for answer in answers:
                        waiting = ""
                        await self._answered(answer, deliver, told)
            except (NotYet, ServerFault, TooMany) as error:
                if error.what != waiting:
                    waiting = error.what
                    told.waiting(f"{self.name} waits: {waiting}")
            await anyio.sleep(REFUSED if waiting else 0)

    async def _answered(self, answer: Answer, deliver: Deliver, told: Told) -> None:
        due = changes(self._state.groups, groups(self.push, answer))
        if due:
            delivery = self.file.delivery(answer.receipt.id, tuple(due))
            self._state = self._state.begin(delivery)
            self.file.write(self._state)
            failpoint("push.noted")
            await self._deliver(delivery, deliver, told)

    async def _deliver(self, delivery: Delivery, deliver: Deliver, told: Told) -> None:
        await deliver(delivery)
        failpoint("push.delivered")
        self._state = self._state.ended
        self.file.write(self._state)
        told.delivered(delivery)


def run(project: Project, names: Sequence[str], find_log: Callable[[], Log], told: Told) -> None:
    """Follows these pushes until SIGINT or SIGTERM; the first error of one ends them all.

    Raises:
        StandAside: one of them is asked to.
    """
    following = [Following(project, name) for name in names]
    delivers = [_deliver_to(project, each.name, each.push, find_log) for each in following]

    async def follow() -> None:
        async with connect(project) as client, anyio.create_task_group() as group:
            for each, deliver in zip(following, delivers, strict=True):
                group.start_soon(each.run, client, deliver, told)
            group.start_soon(_refuse_when_asked, project, names)
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    break
            group.cancel_scope.cancel()

    _run(follow)


def due(project: Project, name: str) -> list[Change]:
    """What a push would deliver now; nothing is delivered or written."""

    async def ask() -> list[Change]:
        async with connect(project) as client:
            return await Following(project, name).due(client)

    return _run(ask)


def connect(project: Project) -> AsyncClient:
    return connect_async(project.settings.serving.url, os.environ.get(KEY), retries=60, patience=PATIENCE)


def question(push: Push) -> Question:
    """What the server is asked."""
    return Question(by=push.by, measures=push.measures or None, where=push.where, bucket=push.bucket, limit=MOST)


def digest(push: Push, asked: Question) -> str:
    """Tells apart what is asked and when it fires: what was delivered of one is not known of another."""
    terms = [(term.measure, term.op, str(term.number)) for term in push.when]
    try:
        parts = [push.view.name, body(asked), terms]
    except TypeError as error:
        raise DeclarationError(f"where: {error}", where=push.place) from None
    return blake2b(orjson.dumps(parts), digest_size=4).hexdigest()


async def _refuse_when_asked(project: Project, names: Sequence[str]) -> None:
    while True:
        for each in names:
            aside.refuse(project.layout, "push", each)
        await anyio.sleep(aside.LOOK_S)


def _deliver_to(project: Project, name: str, push: Push, find_log: Callable[[], Log]) -> Deliver:
    if isinstance(push.to, Topic):
        return ToTopic(find_log(), push.to.name)
    where = f"push {name} ({push.place}):"
    secret = resolved({"secret": push.to.secret}, folder=project.settings.folder, where=where)["secret"]
    return ToWebhook(push.to.url, secret)


def _run(main: Callable[[], Awaitable[T]]) -> T:
    """Raises the first error of several at once, and ServiceMissing where the server is not there."""
    try:
        return anyio.run(main)
    except (DovetailError, BaseExceptionGroup) as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, Unreachable):
            error = ServiceMissing(error.what, why=error.why, next="dovetail serve (or dovetail dev)")
        raise error from None
