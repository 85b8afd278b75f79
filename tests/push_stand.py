"""A receiver of webhooks, and a push that runs in a thread of its own against the real server."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
from anyio.from_thread import start_blocking_portal
from serving_stand import Client

import dovetail as dv
from dovetail.client.patience import Patience
from dovetail.pushing import run
from dovetail.pushing.deliver import ToWebhook
from dovetail.shared.declare import View
from dovetail.shared.project import Declared, Project
from dovetail.shared.push import Push, Webhook
from dovetail.shared.settings import Settings

SECRET = "s3cret"
lines = dv.source("orders", schema="country string, product int, amount decimal(10,2), at timestamp", event_time="at")
sales: View = dv.view(
    "sales", source=lines, keys=["country", "product"], bucket="1h",
    measures={"lines": dv.count(), "revenue": dv.sum("amount"), "last": dv.max("at"), "average": dv.avg("amount")},
)  # fmt: skip


@dataclass(frozen=True)
class Received:
    """A POST as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def changes(self) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = orjson.loads(self.body)["changes"]
        return changes

    @property
    def signed(self) -> bool:
        """Whether it is signed as a receiver would check it."""
        parts = dict(part.split("=") for part in self.headers["Dovetail-Signature"].split(","))
        expected = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, parts["v1"])


class Receiver:
    """Answers with the statuses it is told, then 204, and keeps what came."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def after(self, n: int) -> list[Received]:
        """What came, once it is `n`."""
        Client.until(lambda: len(self.received) >= n, 30)
        return self.received


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def declared(folder: Path, serving: Client, push: Push) -> Project:
    """A project with one push, called `low`."""
    settings = Settings(folder=folder, serving={"port": serving.http.base_url.port})  # type: ignore[arg-type]
    return Project(settings, {"orders": lines}, {"sales": Declared(sales, "views", "sales")}, pushes={"low": push})


def to(receiver: Receiver) -> Webhook:
    return dv.webhook(receiver.url, secret="env:PUSH_SECRET")


class Running:
    """A push that runs."""

    def __init__(self, following: run.Following, done: Future[None]) -> None:
        self.following, self._done = following, done

    def noted(self) -> None:
        """Waits until what was delivered is noted."""
        Client.until(lambda: (state := self.following.file.read()) is not None and state.begun is None, 30)

    def error(self) -> BaseException | None:
        """Waits until it ends by itself, and gives why."""
        return self._done.exception(60)


@contextmanager
def pushing(project: Project, patience: Patience | None = None) -> Iterator[Running]:
    """The push `low` of a project, which goes to a webhook."""
    following = run.Following(project, "low")
    assert isinstance(following.push.to, Webhook)
    deliver = ToWebhook(following.push.to.url, SECRET, patience)

    async def follow() -> None:
        async with run.connect(project) as client:
            await following.run(client, deliver, run.Told())

    with start_blocking_portal() as portal:
        done = portal.start_task_soon(follow)
        yield Running(following, done)
        if not done.cancel():
            done.exception()
