"""Answers computed a second way: from the events themselves, in plain Python, never through states."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from serving_stand import Event

Row = dict[str, Any]


def _decimal(values: list[Decimal]) -> str | None:
    return format(sum(values, Decimal("0.00")), "f") if values else None


def _mean(values: list[Decimal]) -> str | None:
    if not values:
        return None
    return format((sum(values) / len(values)).quantize(Decimal("0.000001"), ROUND_HALF_UP), "f")


def _z(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _known(events: Sequence[Event], name: str) -> list[Any]:
    return [e[name] for e in events if e[name] is not None]


MEASURE: dict[str, Callable[[Sequence[Event]], Any]] = {
    "lines": len,
    "cancelled": lambda es: sum(bool(e["cancelled"]) for e in es),
    "revenue": lambda es: _decimal(_known(es, "amount")),
    "pieces": lambda es: sum(_known(es, "quantity")) if _known(es, "quantity") else None,
    "least": lambda es: min(_known(es, "quantity"), default=None),
    "most": lambda es: max(_known(es, "quantity"), default=None),
    "average": lambda es: _mean(_known(es, "amount")),
    "last": lambda es: _z(max(_known(es, "ordered_at"))) if _known(es, "ordered_at") else None,
}


def json_of(value: Any) -> Any:
    """A key as an answer shows it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime):
        return _z(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def day_in(zone: str) -> Callable[[dt.datetime], str]:
    """The start of the local day, written with its offset."""
    tz = ZoneInfo(zone)

    def start(moment: dt.datetime) -> str:
        local = moment.astimezone(tz)
        text = dt.datetime(local.year, local.month, local.day, tzinfo=tz).isoformat()
        return text.replace("+00:00", "Z") if zone == "UTC" else text

    return start


def truth(
    events: Sequence[Event],
    *,
    by: Sequence[str] = (),
    measures: Sequence[str] = tuple(MEASURE),
    where: Callable[[Event], bool] = lambda _: True,
    bucket: Callable[[dt.datetime], str] | None = None,
) -> list[Row]:
    """The rows of a question in the default order."""
    grouped: dict[tuple[Any, ...], list[Event]] = {}
    for e in filter(where, events):
        start = () if bucket is None else (bucket(e["ordered_at"]) if e["ordered_at"] else None,)
        grouped.setdefault((*(e[k] for k in by), *start), []).append(e)
    if not by and bucket is None:
        grouped.setdefault((), [])
    names = [*by, *(["bucket"] if bucket else [])]
    ordered = sorted(grouped.items(), key=lambda item: [(v is None, 0 if v is None else v) for v in item[0]])
    return [
        {n: json_of(v) for n, v in zip(names, key, strict=True)} | {m: MEASURE[m](es) for m in measures}
        for key, es in ordered
    ]
