"""Scans of the depot: what is sent to Kafka, with the truth about each kept aside."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
"""The middle of what is dated on time; the tests do not depend on the clock."""


@dataclass(frozen=True)
class Scan:
    """What a good record says, before it became text."""

    scan_id: str
    depot: int | None
    lane: str | None
    scanned_at: datetime
    due: date | None
    tags: tuple[str, ...] | None
    weight: Decimal | None
    heat: float | None
    damaged: bool | None


@dataclass(frozen=True)
class Record:
    """A Kafka message; `scan` is None where it must go to quarantine."""

    key: bytes | None
    value: bytes | None
    scan: Scan | None


def records(count: int, *, seed: int, sent: list[Record]) -> Iterator[Record]:
    """Seeded records: on time, up to 60 days late, up to a year ahead, repeated, with nulls in every column, broken.

    What is repeated is one of `sent`, to which each good record is added: of this burst, or of one long ago.
    """
    chance = random.Random(seed)
    for n in range(count):
        if sent and chance.random() < 0.05:
            yield _again(chance, chance.choice(sent))
            continue
        scan = _scan(chance, f"burst{seed}-{n}")
        key = None if chance.random() < 0.1 else scan.scan_id.encode()
        fields = _fields(chance, scan)
        if chance.random() < 0.05:
            yield Record(key, chance.choice(BROKEN)(fields), None)
            continue
        sent.append(Record(key, _json(fields), scan))
        yield sent[-1]


def _again(chance: random.Random, record: Record) -> Record:
    """A repeat: the same bytes, maybe in another partition; or the same said in other bytes."""
    if record.scan and chance.random() < 0.3:
        return Record(record.key, _json(_fields(chance, record.scan)), record.scan)
    return Record(chance.choice([record.key, None]), record.value, record.scan)


BROKEN: tuple[Callable[[dict[str, Any]], bytes | None], ...] = (
    lambda fields: _json(fields)[:-9],
    lambda fields: b"[" + _json(fields) + b"]",
    lambda fields: b'"a text"',
    lambda fields: b"42",
    lambda fields: b"null",
    lambda fields: b"",
    lambda fields: None,
    lambda fields: _json(fields | {"lane": "BYTES"}).replace(b"BYTES", b"\xff\xfe"),
    lambda fields: _json(fields | {"depot": "many"}),
    lambda fields: _json(fields | {"depot": 99_999_999_999}),
    lambda fields: _json({name: value for name, value in fields.items() if name != "scanned_at"}),
    lambda fields: _json(fields | {"scan_id": None}),
)
"""What a record must be quarantined for: cut short, no object, no value, bad UTF-8, wrong types, no time, no id."""


def _scan(chance: random.Random, scan_id: str) -> Scan:
    draw = chance.random()
    if draw < 0.1:
        shift = -timedelta(days=60 * chance.random())
    elif draw < 0.15:
        shift = timedelta(days=365 * chance.random())
    else:
        shift = timedelta(hours=6 * chance.random() - 3)
    when = NOW + timedelta(milliseconds=shift // timedelta(milliseconds=1))
    if draw > 0.995:
        when = datetime(1969, 12, 31, 23, 30, tzinfo=UTC)  # a clock that lost its battery

    def perhaps(value: Any) -> Any:
        return None if chance.random() < 0.08 else value

    return Scan(
        scan_id=scan_id,
        depot=perhaps(chance.choice((1, 2, -7))),
        lane=perhaps(chance.choice(("north", " North ", "süd", "a,b", ""))),
        scanned_at=when,
        due=perhaps(date(2026, 3, 1) + timedelta(days=chance.randrange(12))),
        tags=perhaps(tuple(chance.sample(("fragile", "cold", "priority"), chance.randrange(3)))),
        weight=perhaps(Decimal(chance.randrange(1, 30_000)) / 1000),
        heat=perhaps(chance.uniform(-20, 40)),
        damaged=perhaps(chance.random() < 0.2),
    )


def _fields(chance: random.Random, scan: Scan) -> dict[str, Any]:
    when = scan.scanned_at
    if chance.random() < 0.2:  # the same instant, as a device in another zone writes it
        when = when.astimezone(UTC).replace(tzinfo=None) + timedelta(hours=2)
        written = when.isoformat(timespec="milliseconds") + "+02:00"
    else:
        written = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {
        "scan_id": scan.scan_id,
        "depot": scan.depot,
        "lane": scan.lane,
        "scanned_at": written,
        "due": scan.due and scan.due.isoformat(),
        "tags": scan.tags,
        "weight": None if scan.weight is None else float(scan.weight),
        "heat": scan.heat,
        "damaged": scan.damaged,
    }
    for name in [n for n, v in fields.items() if v is None and chance.random() < 0.5]:
        del fields[name]  # a field that is missing is null too
    return fields


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
