"""Questions about time answered a second way: by DuckDB's own calendar, over the events themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
from oracle import Row, json_of
from serving_stand import Event

from dovetail.serving.buckets import iso

INTERVALS = {
    "15m": "15 minutes", "1h": "1 hour", "6h": "6 hours", "12h": "12 hours", "1d": "1 day", "7d": "7 days",
    "14d": "14 days", "1w": "7 days", "2w": "14 days", "1mo": "1 month", "1q": "3 months", "1y": "1 year",
}  # fmt: skip
TRUNCATED = {"1w": "week", "1mo": "month", "1q": "quarter", "1y": "year"}
SHORT = ("15m", "1h")
"""Buckets that follow the instants, not the clock; where the offset is whole hours they are those of UTC."""
NOTHING: dict[str, dict[str, Any]] = {
    "zero": {"lines": 0, "cancelled": 0, "revenue": "0.00", "pieces": 0, "least": 0, "most": 0, "average": "0.000000",
             "last": None},
    "null": dict.fromkeys(("lines", "cancelled", "revenue", "pieces", "least", "most", "average", "last")),
}  # fmt: skip
MEASURES = """count(*), count(*) FILTER (cancelled), sum(amount), sum(quantity), min(quantity), max(quantity),
    sum(amount), count(amount), epoch_us(max(moment))"""


@dataclass(frozen=True)
class TimeQuestion:
    """`start` and `end` are in local time; with a window on boundaries of buckets."""

    bucket: str = "1d"
    window: str | None = None
    fill: str | None = None
    tz: str = "UTC"
    by: tuple[str, ...] = ()
    where: dict[str, Any] = field(default_factory=dict)
    start: dt.datetime | None = None
    end: dt.datetime | None = None

    @property
    def fields(self) -> dict[str, Any]:
        asked = {"bucket": self.bucket, "tz": self.tz, "limit": 100_000, "by": ",".join(self.by)}
        asked |= {n: v for n, v in (("window", self.window), ("fill", self.fill)) if v}
        asked |= {n: v.isoformat() for n, v in (("start", self.start), ("end", self.end)) if v}
        for key, value in self.where.items():
            asked |= {f"where.{key}.null": "true"} if value is None else {f"where.{key}": _escaped(value)}
        return asked

    @property
    def base(self) -> str:
        """The zone whose clock the buckets follow."""
        return "UTC" if self.bucket in SHORT and self.tz != "Asia/Kathmandu" else self.tz


def answered(events: Sequence[Event], question: TimeQuestion) -> list[Row]:
    """The rows of a question in the default order, with all measures."""
    connection = duckdb.connect()
    connection.register("events", _table(events))
    matching = " AND ".join(f"{k} IS NOT DISTINCT FROM ${k}" for k in question.where) or "true"
    connection.execute(f"CREATE TABLE e AS SELECT * FROM events WHERE {matching}", question.where or None)
    if question.window is None and question.start:
        connection.execute("DELETE FROM e WHERE moment IS NULL OR moment < ?", [_instant(question.start, question.tz)])
    if question.end:
        connection.execute("DELETE FROM e WHERE moment IS NULL OR moment >= ?", [_instant(question.end, question.tz)])
    connection.execute(f"CREATE TABLE r AS {_rows(question)}")
    by = "".join(f"{k}, " for k in question.by)
    within = "e.moment >= r.since AND e.moment < r.until"
    found = connection.execute(
        f"SELECT {by} epoch_us(r.start), {MEASURES} FROM r JOIN e ON {within} GROUP BY ALL"
    ).fetchall()
    if question.window is None:
        found += connection.execute(f"SELECT {by} NULL, {MEASURES} FROM e WHERE moment IS NULL GROUP BY ALL").fetchall()
    answer = {
        row[: len(question.by) + 1]: _measures(row[len(question.by) + 1 :])
        for row in found
        if row[len(question.by) + 1]
    }
    if question.fill:
        groups = {key[:-1] for key in answer} if question.by else {()}
        for (start,) in connection.execute("SELECT epoch_us(start) FROM r").fetchall():
            for group in groups:
                answer.setdefault((*group, start), NOTHING[question.fill])
    ordered = sorted(answer.items(), key=lambda item: [(v is None, 0 if v is None else v) for v in item[0]])
    return [
        {name: json_of(v) for name, v in zip(question.by, key[:-1], strict=True)}
        | {"bucket": None if key[-1] is None else iso(key[-1], question.tz)}
        | measures
        for key, measures in ordered
    ]


def floored(bucket: str, local: str) -> str:
    """SQL for the start of the bucket of a local timestamp."""
    if bucket in TRUNCATED:
        return f"date_trunc('{TRUNCATED[bucket]}', {local})"
    origin = "1969-12-29" if bucket == "2w" else "1970-01-01"
    return f"time_bucket(INTERVAL '{INTERVALS[bucket]}', {local}, TIMESTAMP '{origin}')"


def _rows(question: TimeQuestion) -> str:
    """The buckets of the answer, empty ones too: `start`, `until` where each ends, `since` where its window begins."""
    base, tz = question.base, question.tz
    step = f"INTERVAL '{INTERVALS[question.bucket]}'"
    start, end = (f"timezone('{base}', {_sql(v, tz)})" if v else "NULL" for v in (question.start, question.end))
    start = floored(question.bucket, start) if question.start else start
    until = f"timezone('{base}', l + {step})"
    if question.window is None:
        since = f"timezone('{base}', l)"
    else:  # so many hours are of the buckets' own clock, days are of the zone's
        clock = base if question.window.endswith(("m", "h")) else tz
        since = f"timezone('{clock}', timezone('{clock}', {until}) - INTERVAL '{INTERVALS[question.window]}')"
    return f"""
        WITH b AS (SELECT {floored(question.bucket, f"timezone('{base}', moment)")} AS b FROM e),
             m AS (SELECT min(b) AS low, max(b) + INTERVAL '1 microsecond' AS high FROM b),
             l AS (SELECT unnest(range(coalesce({start}, low), coalesce({end}, high), {step})) AS l FROM m)
        SELECT timezone('{base}', l) AS start, {until} AS until, {since} AS since FROM l"""


def _instant(local: dt.datetime, tz: str) -> dt.datetime:
    return local.replace(tzinfo=ZoneInfo(tz))


def _sql(local: dt.datetime, tz: str) -> str:
    return f"TIMESTAMPTZ '{_instant(local, tz).astimezone(dt.UTC).isoformat()}'"


def _table(events: Sequence[Event]) -> pa.Table:
    columns = {"country": pa.string(), "product": pa.int32(), "quantity": pa.int64(), "amount": pa.decimal128(38, 2),
               "cancelled": pa.bool_()}  # fmt: skip
    found = {n: pa.array([e[n] for e in events], kind) for n, kind in columns.items()}
    return pa.table(found | {"moment": pa.array([e["ordered_at"] for e in events], pa.timestamp("us", tz="UTC"))})


def _measures(row: tuple[Any, ...]) -> dict[str, Any]:
    lines, cancelled, revenue, pieces, least, most, total, known, last = row
    mean = (Decimal(total) / known).quantize(Decimal("0.000001"), ROUND_HALF_UP) if known else None
    return {
        "lines": lines, "cancelled": cancelled, "revenue": json_of(revenue), "pieces": pieces, "least": least,
        "most": most, "average": json_of(mean), "last": None if last is None else iso(last),
    }  # fmt: skip


def _escaped(value: Any) -> Any:
    return value.replace("\\", "\\\\").replace(",", "\\,") if isinstance(value, str) else value
