"""What of an answer has to be delivered: the groups that differ from what was delivered last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import orjson

from dovetail.client import Answer
from dovetail.client.question import plain
from dovetail.shared.errors import UsageError
from dovetail.shared.push import Push

Row: TypeAlias = dict[str, Any]
"""Columns with their values as the server writes them in JSON."""


@dataclass(frozen=True)
class Group:
    """A group of an answer. `fired` says whether it satisfies the alert; None where there is none."""

    key: Row
    values: Row
    fired: bool | None = None


@dataclass(frozen=True)
class Change:
    """A group that is another than was delivered last; `before` and `after` are None where it was or is not there."""

    key: Row
    before: Row | None
    after: Row | None
    fired: bool | None = None

    def as_json(self) -> Row:
        told = {"key": self.key, "before": self.before, "after": self.after}
        return told if self.fired is None else {**told, "fired": self.fired}


Groups: TypeAlias = Mapping[str, Group]
"""By their keys as JSON."""


def groups(push: Push, answer: Answer) -> Groups:
    """Raises UsageError for an answer that is cut off: what it lacks is not gone."""
    if answer.more:
        raise UsageError(
            f"a push of {push.view.name} has more than {len(answer):,} groups", where=push.place,
            next="group by less, or where=… for a part of them",
        )  # fmt: skip
    columns = (*push.by, *(["bucket"] if push.bucket else []))
    return keyed(
        Group(
            {name: _as_json(row[name]) for name in columns},
            {name: _as_json(value) for name, value in row.items() if name not in columns},
            push.fires(row),
        )
        for row in answer
    )


def keyed(of: Iterable[Group]) -> Groups:
    return {_text(group.key): group for group in of}


def changes(before: Groups, now: Groups) -> list[Change]:
    """What is to be delivered so that who knows `before` knows `now`; of alerts, only those that begin or end."""
    found = list[Change]()
    for text in {**before, **now}:
        old, new = before.get(text), now.get(text)
        group = new or old
        if group is None or _same(old, new):
            continue
        fired = None if group.fired is None else bool(new and new.fired)
        found.append(Change(group.key, old.values if old else None, new.values if new else None, fired))
    return found


def applied(before: Groups, delivered: Iterable[Change]) -> Groups:
    """What is known to who knew `before`, once these changes are delivered."""
    known = dict(before)
    for change in delivered:
        if change.after is None:
            known.pop(_text(change.key), None)
        else:
            known[_text(change.key)] = Group(change.key, change.after, change.fired)
    return known


def _same(old: Group | None, new: Group | None) -> bool:
    either = old or new
    if either is not None and either.fired is not None:
        return bool(old and old.fired) == bool(new and new.fired)
    return (old and old.values) == (new and new.values)


def _text(key: Row) -> str:
    return orjson.dumps(key, option=orjson.OPT_SORT_KEYS).decode()


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    return {k: _as_json(v) for k, v in value.items()} if isinstance(value, dict) else plain(value)
