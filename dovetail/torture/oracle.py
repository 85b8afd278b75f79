"""What must be answered, counted in plain Python from the records that the broker acknowledged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dovetail.shared.position import Position, RecordId
from dovetail.torture.records import Event

SHOWN = 12
QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "ids": {"by": "id", "limit": "100000"},
    "lanes": {"by": "lane", "bucket": "1d", "limit": "100000"},
    "totals": {"bucket": "1d", "limit": "100000"},
}
"""How each view is asked for all it holds."""
KEYS = ("lane", "bucket")
Groups = dict[tuple[Any, ...], dict[str, Any]]


@dataclass
class Acknowledged:
    """Every record that the broker acknowledged, by its place; None is one that must go to quarantine."""

    records: dict[RecordId, Event | None] = field(default_factory=dict)
    heavy: dict[str, int] = field(default_factory=dict)
    """What each version of `totals` counts as heavy: amounts above this."""
    _ends: dict[int, int] = field(default_factory=dict)
    _known: dict[Position, tuple[list[Event], int]] = field(default_factory=dict)

    def add(self, placed: Mapping[RecordId, Event | None]) -> None:
        self.records.update(placed)
        for place in placed:
            self._ends[place.partition] = max(self._ends.get(place.partition, 0), place.offset + 1)

    @property
    def end(self) -> Position:
        """Just above the last record of each partition."""
        return Position(self._ends.copy())  # a thread may be adding

    @property
    def events(self) -> list[Event]:
        return [event for event in self.records.values() if event]

    def wrong(self, view: str, answer: Mapping[str, Any]) -> list[str]:
        """What is wrong with an answer at the position that its receipt states; nothing when it is the truth."""
        receipt = answer["receipt"]
        position = Position.from_json(receipt["position"])
        events, poison = self._below(position)
        found = [] if receipt["complete"] else ["it says that it is not complete"]
        if receipt.get("more"):
            found.append("it leaves groups out, so it proves nothing")
        if receipt["quarantined"] != poison:
            found.append(f"{receipt['quarantined']} records are in quarantine, {poison} belong there")
        if view == "ids":
            return found + self._miscounted(answer["rows"], events, position)
        truth = _lanes(events) if view == "lanes" else _totals(events, self.heavy[receipt["version"]])
        return found + differences(answer["rows"], truth)

    def _below(self, position: Position) -> tuple[list[Event], int]:
        """Each event once, and how many records belong in quarantine."""
        if position not in self._known:
            below = [r for p, r in self.records.items() if position.includes(p.partition, p.offset)]
            self._known = {position: (list({e.id: e for e in below if e}.values()), below.count(None))}
        return self._known[position]

    def _miscounted(self, rows: Sequence[Mapping[str, Any]], events: Sequence[Event], position: Position) -> list[str]:
        told, true = Counter[int](), {e.id for e in events}
        for row in rows:
            told[row["id"]] += row["times"]
        lost, doubled = sorted(true - told.keys()), sorted(i for i, n in told.items() if n != 1 or i not in true)
        places = self._places(position) if lost or doubled else {}
        return [
            *(f"LOST id {i}, at {places[i]}" for i in lost),
            *(f"DOUBLED id {i}: counted {told[i]} times, at {places.get(i, 'no place below')}" for i in doubled),
        ]

    def _places(self, position: Position) -> dict[int, str]:
        places = defaultdict[int, list[str]](list)
        for place, event in self.records.items():
            if event and position.includes(place.partition, place.offset):
                places[event.id].append(str(place))
        return {i: " and ".join(found) for i, found in places.items()}


def differences(rows: Sequence[Mapping[str, Any]], truth: Groups) -> list[str]:
    """What is wrong with the rows of an answer, a line for each group."""
    told = [(tuple(row[n] for n in KEYS if n in row), row) for row in rows]
    counted = Counter(group for group, _ in told)
    found = [f"TWICE {group}" for group, n in counted.items() if n > 1]
    found += [f"MISSING {group}: {truth[group]}" for group in truth if group not in counted]
    for group, row in told:
        says = {name: value for name, value in row.items() if name not in KEYS}
        if says != truth.get(group):
            found.append(f"{group} is {says}, the truth is {truth.get(group)}")
    return found


def report(found: Sequence[str]) -> str:
    """The first of what was found, a line each."""
    more = len(found) - SHOWN
    return "\n".join([*found[:SHOWN], *([f"and {more} more"] if more > 0 else [])])


def _lanes(events: Sequence[Event]) -> Groups:
    truth: Groups = defaultdict(lambda: {"records": 0, "amount": 0})
    for e in events:
        group = truth[e.lane, _day(e.at)]
        group["records"] += 1
        group["amount"] += e.amount
    return dict(truth)


def _totals(events: Sequence[Event], heavy: int) -> Groups:
    truth: Groups = defaultdict(lambda: {"records": 0, "heavy": 0})
    for e in events:
        group = truth[(_day(e.at),)]
        group["records"] += 1
        group["heavy"] += e.amount > heavy
    return dict(truth)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}T00:00:00Z"
