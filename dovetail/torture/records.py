"""What is sent to a tortured stack: seeded events with numbers as ids, and what is no event at all."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dovetail.torture.actions import Kind

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
"""The middle of what is dated on time: nothing depends on the clock."""
LARGE = 900_000
SKEWS = (-0.9, 0.9)
"""Hours: a broker refuses what is dated more than one ahead."""
LANES = ("north", "south", "Ünder", "")


@dataclass(frozen=True)
class Event:
    """What a good record says."""

    id: int
    lane: str
    at: datetime
    amount: int


@dataclass(frozen=True)
class Message:
    """A record to send; `event` is None where it must go to quarantine."""

    key: bytes
    value: bytes | None
    event: Event | None
    hours: float = 0
    """How far the clock of its producer is off."""


def made(kind: Kind, count: int, *, seed: int, first: int, earlier: Sequence[Event]) -> Iterator[Message]:
    """`count` messages; new events are numbered from `first` on, repeats are of `earlier` ones."""
    chance = random.Random(seed)  # noqa: S311  a seed is to give the same again
    for n in range(count):
        event = Event(first + n, chance.choice(LANES), _at(chance, kind), chance.randrange(100))
        key = str(chance.random()).encode()  # so that a repeat may lie in another partition than the first
        if kind == "poison":
            yield Message(key, chance.choice(POISON), None)
        elif kind == "repeated" and earlier:
            again = chance.choice(earlier)
            yield Message(key, _value(again), again)
        else:
            more = {"padding": "x" * LARGE} if kind == "large" else {}
            yield Message(key, _value(event, more), event, chance.choice(SKEWS) if kind == "skewed" else 0)


POISON = (b"", b"null", b"[1]", b'{"id": 1', b"\xff\xfe", b'{"id": "one", "at": "2026-03-29T12:00:00Z"}', b"{}", None)


def _at(chance: random.Random, kind: Kind) -> datetime:
    spread = timedelta(seconds=chance.randrange(3 * 86_400))
    return NOW - timedelta(days=30) - spread if kind == "late" else NOW + spread


def _value(event: Event, more: dict[str, Any] | None = None) -> bytes:
    fields = {"id": event.id, "lane": event.lane, "at": event.at.isoformat(), "amount": event.amount, "note": ""}
    return json.dumps(fields | (more or {}), ensure_ascii=False).encode()
