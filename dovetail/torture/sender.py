"""Sends records to the tortured topic and keeps the ledger of those that the broker acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dovetail.shared.errors import IntegrityError, ServiceMissing
from dovetail.shared.log import Log
from dovetail.shared.position import RecordId
from dovetail.torture.actions import Kind
from dovetail.torture.oracle import Acknowledged
from dovetail.torture.records import Event, Message, made

FLUSH_S = 120
TRICKLE = 12
"""Records in each burst that is sent while something is killed."""


class Sender:
    """The one producer of a run. Every call returns when all it sent is acknowledged."""

    def __init__(self, log: Log, topic: str, known: Acknowledged) -> None:
        self._log, self._topic, self._known = log, topic, known
        self._producer = log.producer()
        self._first = 1

    def send(self, kind: Kind, count: int, seed: int) -> None:
        messages = self._made(kind, count, seed)
        if kind in ("committed", "aborted"):
            self._in_transaction(messages, commit=kind == "committed")
        else:
            self._known.add(self._produced(self._producer, messages))

    @contextmanager
    def trickle(self, seed: int) -> Iterator[None]:
        """Sends burst after burst, every third one of repeats, while the block runs."""
        stop, failed = threading.Event(), list[Exception]()

        def run() -> None:
            n = 0
            try:
                while not stop.wait(0.05):
                    n += 1
                    self.send("repeated" if n % 3 == 0 else "ordered", TRICKLE, seed + n)
            except Exception as error:  # noqa: BLE001  the edge of a thread: it is raised below
                failed.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]

    def know_partitions(self, total: int) -> None:
        """Returns when the producer sends to that many partitions; a new producer looks anew."""
        end = time.monotonic() + FLUSH_S
        while len(self._producer.list_topics(self._topic, timeout=30).topics[self._topic].partitions) < total:
            if time.monotonic() > end:
                raise ServiceMissing(f"the broker does not show {total} partitions")
            time.sleep(0.1)
            self._producer = self._log.producer()

    def _made(self, kind: Kind, count: int, seed: int) -> list[Message]:
        messages = [*made(kind, count, seed=seed, first=self._first, earlier=self._known.events)]
        self._first += count
        return messages

    def _in_transaction(self, messages: Iterable[Message], *, commit: bool) -> None:
        from confluent_kafka import Producer

        name = f"{self._topic}-torture"
        producer = Producer({"bootstrap.servers": self._log.bootstrap, "transactional.id": name, "log_level": 2})
        producer.init_transactions(FLUSH_S)
        producer.begin_transaction()
        placed = self._produced(producer, messages)
        if commit:
            producer.commit_transaction(FLUSH_S)
            self._known.add(placed)
        else:
            producer.abort_transaction(FLUSH_S)

    def _produced(self, producer: Any, messages: Iterable[Message]) -> dict[RecordId, Event | None]:
        placed, errors, sent = dict[RecordId, Event | None](), list[Any](), 0

        def remember(event: Event | None) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    placed[RecordId(message.partition(), message.offset())] = event

            return delivered

        for message in messages:
            key, kept = message.key, remember(message.event)
            dated = int((time.time() + message.hours * 3600) * 1000)
            producer.produce(self._topic, message.value, key, on_delivery=kept, timestamp=dated)
            producer.poll(0)
            sent += 1
        if producer.flush(FLUSH_S) or errors:
            raise ServiceMissing(f"the broker did not acknowledge all of {sent} records", why=str(errors[:1]))
        if len(placed) != sent:
            raise IntegrityError(f"{sent} records were acknowledged at {len(placed)} places")
        return placed
