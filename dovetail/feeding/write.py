"""Writes parts into the log: the records of each, and the marks that say so, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException

from dovetail.feeding import marks
from dovetail.feeding.parts import Part
from dovetail.shared.errors import Busy, Mend, ServiceMissing
from dovetail.shared.failpoints import failpoint
from dovetail.shared.feed import Feed
from dovetail.shared.log import OUTAGE_S, Log

FENCED = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE


class Writer:
    """The one writer of its feed: whoever wrote before it cannot any more. `marks` is where that one came to."""

    def __init__(self, log: Log, feed: Feed) -> None:
        self._log, self._feed = log, feed
        into = log.extent(feed.source.topic)
        marks.ready(log, feed)
        self._producer = log.producer(transactional_id=feed.id)
        # First: it ends, one way or the other, what an earlier one has left open. Then its marks stand still.
        self._done(self._producer.init_transactions, 30)
        self.marks = marks.read(log, feed, into)
        failpoint("feed.opened")

    def write(self, part: Part) -> None:
        """Returns once the records and marks of a part are committed; `marks` then holds these.

        Raises:
            Busy: another feeder of this name has begun.
            ServiceMissing: Kafka does not take them. Whether they are committed is known to the next Writer.
            Mend: a record is larger than Kafka takes.
        """
        self._done(self._producer.begin_transaction)
        for row in part.rows:
            headers = [("feed", self._feed.name.encode()), ("feed-place", row.place.encode("utf-8", "surrogateescape"))]
            self._produce(row.place, self._feed.source.topic, value=row.value, key=row.key, headers=headers)
        for name, mark in {marks.ABOUT: self.marks[marks.ABOUT], **part.marks}.items():
            self._produce(f"the mark {name}", self._feed.id, value=orjson.dumps(mark), key=name.encode())
        self._done(self._producer.flush, 60)
        failpoint("feed.sent")
        self._done(self._producer.commit_transaction, 30)
        failpoint("feed.committed")
        self.marks.update(part.marks)

    def _produce(self, place: str, topic: str, **record: Any) -> None:
        while True:
            try:
                self._done(self._producer.produce, topic, **record)
                return
            except BufferError:  # its queue is full: wait for some to be acknowledged
                self._producer.poll(0.1)
            except Mend as error:
                self._done(self._producer.abort_transaction, 30)  # so that readers need not wait for its end
                raise Mend(error.what, where=place, why=error.why, next=error.next) from None

    def _done(self, step: Callable[..., Any], *given: Any, **named: Any) -> None:
        """Tries again what may be: a commit whose answer did not come is asked for once more, and is still one."""
        until = time.monotonic() + OUTAGE_S
        while True:
            try:
                step(*given, **named)
                return
            except KafkaException as error:
                found = error.args[0]
                if not found.retriable() or time.monotonic() > until:
                    raise self._error(found) from None

    def _error(self, found: Any) -> Busy | Mend | ServiceMissing:
        name = self._feed.name
        if found.code() in FENCED:
            return Busy(
                f"another feeder of {name} has begun: this one may write no more", where=f"topic {self._feed.id}",
                why="what it had not committed is not in the log; the other goes on after what is",
            )  # fmt: skip
        if found.code() == TOO_LARGE:
            return Mend(
                "a row is larger than Kafka takes", why=found.str(), next="raise max.message.bytes of the topic"
            )
        return ServiceMissing(
            f"Kafka does not take what {name} feeds", where=self._log.bootstrap, why=found.str(),
            next=f"dovetail doctor; then dovetail feed {name}: it goes on after what the log holds",
        )  # fmt: skip
