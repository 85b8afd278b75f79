"""The two ways that changes are delivered: posted to a webhook, signed, and sent to a topic."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any, Protocol

import anyio
import httpx
import orjson

from dovetail.client.patience import Outcome, Patience
from dovetail.client.server import HERE
from dovetail.pushing.state import Delivery
from dovetail.shared import produce
from dovetail.shared.errors import Mend, ServiceMissing
from dovetail.shared.log import Log
from dovetail.shared.produce import Line

PATIENCE = Patience(retries=60, seconds=300.0, statuses=(408, 429, *range(500, 600)))
"""How long a receiver may be away."""
AGAIN = "dovetail push, once it is there: that begins with the same delivery"


class Deliver(Protocol):
    """Raises ServiceMissing where the receiver cannot be reached, and Mend where it refuses."""

    async def __call__(self, delivery: Delivery) -> None: ...


class ToWebhook:
    """Posts to one address, and tries again what a receiver may take later."""

    def __init__(self, url: str, secret: str, patience: Patience | None = None) -> None:
        self._url, self._secret, self._patience = httpx.URL(url), secret.encode(), patience or PATIENCE
        self._options: dict[str, Any] = {
            "timeout": httpx.Timeout(30, connect=5),
            "trust_env": self._url.host not in HERE,
        }

    async def __call__(self, delivery: Delivery) -> None:
        attempts, body, began = self._patience.attempts(), delivery.body, self._patience.now()
        async with httpx.AsyncClient(**self._options) as http:
            while True:
                outcome = await self._posted(http, delivery.key, body)
                if isinstance(outcome, httpx.Response) and outcome.is_success:
                    return
                wait = attempts.wait(outcome)
                if wait is None:
                    raise self._given_up(delivery, outcome, self._patience.now() - began)
                await anyio.sleep(wait)

    async def _posted(self, http: httpx.AsyncClient, key: str, body: bytes) -> Outcome:
        headers = {
            "Content-Type": "application/json", "Idempotency-Key": key,
            "Dovetail-Signature": signature(self._secret, body, int(time.time())),
        }  # fmt: skip
        try:  # what it says is not read
            async with http.stream("POST", self._url, content=body, headers=headers) as response:
                return response
        except httpx.TransportError as error:
            return error

    def _given_up(self, delivery: Delivery, outcome: Outcome, seconds: float) -> Mend | ServiceMissing:
        where = f"push {delivery.push} to {self._url.host}"  # an address may be as good as a key
        if isinstance(outcome, httpx.Response) and outcome.status_code not in self._patience.statuses:
            return Mend(f"the webhook refuses a delivery: HTTP {outcome.status_code}", where=where, next=AGAIN)
        status = isinstance(outcome, httpx.Response) and f"HTTP {outcome.status_code}"
        return ServiceMissing(
            f"the webhook has not taken a delivery in {seconds:.0f} s", where=where,
            why=status or str(outcome) or type(outcome).__name__, next=AGAIN,
        )  # fmt: skip


class ToTopic:
    """Sends a record for each change; its key is the group's."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log, self._topic = log, topic
        produce.ready(log, topic)

    async def __call__(self, delivery: Delivery) -> None:
        await anyio.to_thread.run_sync(self._sent, delivery)

    def _sent(self, delivery: Delivery) -> None:
        told = {"push": delivery.push, "view": delivery.view, "receipt": delivery.receipt}
        headers = [("push", delivery.push.encode()), ("receipt", delivery.receipt.encode())]
        lines = [
            Line(n, orjson.dumps(told | change.as_json()), orjson.dumps(change.key), headers=headers)
            for n, change in enumerate(delivery.changes)
        ]
        try:
            produce.load(self._log, self._topic, lines)
        except ServiceMissing as error:
            where = f"push {delivery.push} to {self._topic} at {error.where}"
            raise ServiceMissing(error.what, where=where, why=error.why, next=AGAIN) from None


def signature(secret: bytes, body: bytes, at: int) -> str:
    """What proves to a receiver that a body is ours, and when it was sent: `t=…,v1=…`, of `t.body`, in hexadecimal."""
    signed = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"
