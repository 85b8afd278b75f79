"""Answers held against the truth: every group, every measure, and a diff that can be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Groups = Mapping[tuple[Any, ...], Mapping[str, Any]]
SHOWN = 12


@dataclass(frozen=True)
class Between:
    """What is true of a bound."""

    low: float
    high: float


@dataclass(frozen=True)
class Oracle:
    """How to ask a view for all it holds, or what is `also` asked, and what it must say.

    `truth` gives groups (keys, then the bucket).
    """

    by: tuple[str, ...]
    bucket: str | None
    truth: Callable[[Any], Groups]
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> dict[str, Any]:
        bucket = {"bucket": self.bucket} if self.bucket else {}
        return {"by": ",".join(self.by), "limit": 100_000, **bucket, **self.also}

    def differences(self, rows: Sequence[Mapping[str, Any]], truth: Groups) -> list[str]:
        """What is wrong with the rows of an answer, in words; nothing when every group equals the truth."""
        names = [*self.by, *(["bucket"] if self.bucket else [])]
        true = {tuple(map(_written, group)): measures for group, measures in truth.items()}
        found = list[str]()
        told = dict[tuple[Any, ...], Mapping[str, Any]]()
        for row in rows:
            group = tuple(row[n] for n in names)
            if group in told:
                found.append(f"TWICE {list(group)}")
            told[group] = row
        found += [f"MISSING {list(g)}: {_shown(true[g])}" for g in true.keys() - told.keys()]
        found += [f"UNEXPECTED {list(g)}: {dict(told[g])}" for g in told.keys() - true.keys()]
        for group in true.keys() & told.keys():
            for name, value in true[group].items():
                if not same(told[group][name], value):
                    found.append(f"{list(group)}.{name} is {told[group][name]!r}, the truth is {value!r}")
        return found


def same(told: Any, true: Any) -> bool:
    """Whether a value of an answer's JSON says what is true: decimals as text, sums of doubles within 1e-9."""
    if isinstance(true, Decimal):
        return isinstance(told, str) and Decimal(told) == true
    if isinstance(true, Between):
        return isinstance(told, int | float) and true.low <= told <= true.high
    if isinstance(true, float):
        return isinstance(told, float) and math.isclose(told, true, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(true, datetime):
        return isinstance(told, str) and datetime.fromisoformat(told) == true
    return type(told) is type(true) and bool(told == true)


def report(view: str, differences: Sequence[str]) -> str:
    more = len(differences) - SHOWN
    return "\n  ".join(
        [f"{view}: {len(differences)} differences", *differences[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
    )


def _written(key: Any) -> Any:
    if isinstance(key, datetime):
        return key.isoformat().replace("+00:00", "Z")
    return key.isoformat() if isinstance(key, date) else key


def _shown(measures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in measures.items())
