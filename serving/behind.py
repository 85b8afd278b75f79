"""How far an answer lies behind the end of the log, from what a thread saw of it last."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from dovetail.shared.errors import DovetailError
from dovetail.shared.log import Log
from dovetail.shared.position import Position
from dovetail.shared.settings import Settings

EVERY = 1.0
"""Seconds between two looks at the end of the log."""
STALE = 5.0
"""Seconds after which what was seen last says nothing any more."""
REMEMBERED = 2_000
"""Looks remembered per topic, each with an offset per partition: of more, some are forgotten."""
CLOSE = 100
"""Looks nearer to each other than one part in so many of their age count as one: so nearly is a lag told."""

log = logging.getLogger(__name__)


class LogEnd(Protocol):
    """Where the log of each topic ends, for readers of committed records."""

    def ends(self, topics: Collection[str]) -> Mapping[str, Position]:
        """Raises DovetailError, or what the client raises, when it cannot be told."""


class KafkaLogEnd:
    """The ends as a broker tells them; `find` gives the cluster, or None while there is none."""

    def __init__(self, find: Callable[[], Log | None]) -> None:
        self._find = find
        self._consumer: Any = None

    def ends(self, topics: Collection[str]) -> Mapping[str, Position]:
        from kafka import TopicPartition

        if self._consumer is None:
            cluster = self._find()
            if cluster is None:
                return {}
            self._consumer = cluster.consumer()
        try:
            known = self._consumer.topics()  # asks the broker, so that new partitions are seen
            named = [
                TopicPartition(t, p) for t in topics if t in known for p in self._consumer.partitions_for_topic(t) or ()
            ]
            found = self._consumer.end_offsets(named) if named else {}
        except Exception:
            self._consumer.close()
            self._consumer = None
            raise
        return {t: Position({n.partition: o for n, o in found.items() if n.topic == t}) for t in topics if t in known}


def kafka_of(settings: Settings) -> LogEnd:
    """The log that the settings name; the embedded broker is looked for at each try."""

    def find() -> Log | None:
        if settings.kafka.bootstrap != "embedded":
            return Log(settings.kafka.bootstrap, settings.kafka.resolved_options())
        from dovetail.shared.broker import running

        bootstrap = running(settings.storage.here / "kafka")
        return Log(bootstrap, {}) if bootstrap else None

    return KafkaLogEnd(find)


class Behind:
    """Looks at the log's end every second in a thread of its own; asking costs nothing but a comparison."""

    def __init__(self, end: LogEnd, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._end, self._clock = end, clock
        self._seen: dict[str, deque[tuple[float, Position]]] = {}
        self._looked: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dovetail-log-end", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=2)  # a client that waits for a broker is left to the end of the process

    def watch(self, topic: str) -> None:
        self._seen.setdefault(topic, deque())

    def end(self, topic: str) -> Position | None:
        """The end of the log; None when it has not been seen of late."""
        seen, now = self._seen.get(topic), self._clock()
        return seen[-1][1] if seen and now - self._looked.get(topic, now) <= STALE else None

    def of(self, topic: str, position: Position) -> dict[str, float | None]:
        """`records` between `position` and the end (at most: offsets have holes) and `seconds` since the oldest end
        that it has not reached was seen; both None when the log has not been seen of late."""
        seen, end, now = self._seen.get(topic), self.end(topic), self._clock()
        if not seen or end is None:
            return {"records": None, "seconds": None}
        records = sum(max(end[p] - position[p], 0) for p in end)
        since = next((at for at, e in list(seen) if not position.reaches(e)), now) if records else now
        return {"records": records, "seconds": round(max(now - since, 0.0), 3)}

    def reached(self, topic: str, position: Position) -> None:
        """Forgets the ends that `position` has reached, but for the newest."""
        seen = self._seen.get(topic)
        while seen and len(seen) > 1 and position.reaches(seen[0][1]):
            seen.popleft()

    def look(self) -> None:
        """One look at the log's end."""
        for topic, end in self._end.ends(list(self._seen)).items():
            now, seen = self._clock(), self._seen[topic]
            self._looked[topic] = now
            if len(seen) > REMEMBERED:
                seen = self._seen[topic] = _thinned(seen, now)
            if not seen or seen[-1][1] != end:
                seen.append((now, end))

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._seen:
                    self.look()
            except DovetailError as error:
                log.info("the end of the log is not known: %s", error.what)
            except Exception as error:  # noqa: BLE001  the edge of the thread: a client may raise anything
                log.info("the end of the log is not known: %s: %s", type(error).__name__, error)
            self._stopping.wait(EVERY)


def _thinned(seen: deque[tuple[float, Position]], now: float) -> deque[tuple[float, Position]]:
    """The looks without those that are close to a later one; the oldest and the newest stay."""
    oldest, *later = [*seen]
    kept = deque([later.pop()])
    for at, end in reversed(later):
        if kept[0][0] - at > (now - at) / CLOSE:
            kept.appendleft((at, end))
    kept.appendleft(oldest)
    return kept
