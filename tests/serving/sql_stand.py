"""Statements asked of views, and the same statements run by DuckDB over the records that the views are of.

`statements` makes both texts of one statement from the same parts: they differ in what a MEASURE and a time bucket are,
and in that DuckDB is told the order of rows which a statement may leave open.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import duckdb
import orjson
import pyarrow as pa
from hypothesis import strategies as st
from serving_stand import STATE_TYPES, T0, TYPES, Event, Stand, ViewSpec, event
from sql_oracle import SHORT, floored

from dovetail.serving import query
from dovetail.serving.fields import Fields
from dovetail.serving.shape import Shape
from dovetail.serving.sql import statement
from dovetail.serving.sql_plan import Answered, Part, answered
from dovetail.serving.store import Store
from dovetail.serving.view import View

T = TypeVar("T")
POOLS: dict[str, list[Any]] = {
    "country": ["FR", "DE", "", "a,b", "O'Neil", "F%", "F\\", None],
    "product": [1, 2, -3, 10, None],
    "day": [dt.date(2026, 3, 1), dt.date(1999, 12, 31), None],
    "vip": [True, False, None],
    "price": [Decimal("1.50"), Decimal("-0.01"), Decimal("99999999.99"), None],
    "seen": [T0, T0 + dt.timedelta(hours=1), T0 + dt.timedelta(microseconds=1), None],
    "big": [2**53 + 1, 2**53, -1, None],
    "ratio": [0.5, 0.1, -1e300, None],
}
MEASURED = {
    "lines": "count(*)", "cancelled": "count(*) FILTER (cancelled)", "revenue": "sum(amount)",
    "pieces": "sum(quantity)", "least": "min(quantity)", "most": "max(quantity)", "last": "max(ordered_at)",
}  # fmt: skip
OF_MEASURE: dict[str, list[Any]] = {
    "lines": [0, 1, 2, 5], "pieces": [2, 3, 30], "revenue": [Decimal("0.01"), Decimal("96.57"), Decimal("-3.33")],
    "last": [T0 + dt.timedelta(days=20)],
}  # fmt: skip
AMONG = [
    "c = ?", "c <> ?", "NOT c = ?", "c IN (?)", "c IN (?, ?, ?)", "c NOT IN (?)", "NOT c IN (?, ?)", "c IS NULL",
    "c IS NOT NULL", "(c = ? OR c IN (?, ?))", "(c IS NULL OR c = ?)", "(c NOT IN (?, ?) OR c IS NULL)",
    "NOT (c = ? OR c IS NULL)", "(c <> ? AND (c <> ?))", "(c IS NOT NULL AND c <> ?)", "(c) != (?)",
]  # fmt: skip
"""Conditions on a column c and literals."""
BOUNDS = ["c < ?", "c <= ?", "c > ?", "c >= ?", "c BETWEEN ? AND ?", "c > ? AND (c <= ?)"]
LIKE = ["c LIKE '%'", "c LIKE 'F%'", "c LIKE 'a,%'", "c LIKE 'O''%'", "c LIKE 'x%'"]
UNITS = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}
ZONES = ["UTC", "Europe/Paris", "America/New_York"]


class OfCancelled(ViewSpec):
    """A view whose transform keeps only what was cancelled."""

    def fold(self, events: Sequence[Event]) -> pa.Table:
        return super().fold([e for e in events if e["cancelled"]])


class Views:
    """Views of one source over some records, half of them below a cut, and what DuckDB holds of the same."""

    def __init__(
        self, folder: Path, specs: Sequence[ViewSpec], records: Sequence[Event], *, source: str = "orders"
    ) -> None:
        self.stand, self.store = Stand(folder, source), Store(folder)
        for spec in specs:
            self.stand.attach(spec)
        self.stand.commit(records[: len(records) // 2])
        for spec in specs:
            self.stand.batch(spec.name)
        self.stand.commit(records[len(records) // 2 :])
        self.look()
        self.duckdb = duckdb.connect()
        self.duckdb.register("records", _table(records))
        for spec in specs:
            bucket = (
                f"time_bucket(INTERVAL '{spec.bucket or 1} seconds', ordered_at, TIMESTAMPTZ '1970-01-01 00:00+00')"
            )
            of = "cancelled" if isinstance(spec, OfCancelled) else "true"
            self.duckdb.execute(f"CREATE TABLE {spec.name} AS SELECT *, {bucket} AS bucket FROM records WHERE {of}")

    def look(self) -> None:
        """Follows until every view has all that is committed."""
        while any(self._seq(name) < self.stand.seq for name in self.stand.views):
            self.store.look()

    def _seq(self, name: str) -> int:
        view = self.store.view(name)
        assert view is None or not view.problem, view
        return view.published.seq if view and view.published else -1

    def view(self, name: str) -> View:
        found = self.store.view(name)
        assert found is not None, name
        return found

    def shape(self, name: str) -> Shape:
        return self.view(name).edition.shape

    def ask(self, name: str, fields: Fields) -> Part:
        view = self.view(name)
        plan = query.plan(view.edition.shape, fields).plan
        edition, rows = view.looked_up(plan)
        receipt = edition.receipt(plan, behind={}, more=rows.more, unmatched=rows.unmatched)
        found = orjson.loads(rows.json)
        kinds = _kinds(edition.shape, plan)
        return Part(pa.table({n: _typed([row[n] for row in found], k) for n, k in kinds.items()}), kinds, receipt)

    def answered(self, text: str) -> Answered:
        return answered(statement(text), self.shape, self.ask)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return _tuples(self.answered(text).table)

    def expected(self, text: str, tz: str = "UTC") -> list[tuple[Any, ...]]:
        self.duckdb.execute(f"SET TimeZone = '{tz}'")
        return _tuples(self.duckdb.sql(text).to_arrow_table())

    def close(self) -> None:
        self.store.stop()
        self.duckdb.close()


def records(n: int, seed: int = 1) -> list[Event]:
    r = random.Random(seed)
    return [
        event(
            **{name: r.choice(pool) for name, pool in POOLS.items()},
            quantity=r.choice([1, 2, 30, -4, None]),
            amount=r.choice([Decimal("0.01"), Decimal("99.90"), Decimal("-3.33"), None]),
            cancelled=r.random() < 0.2,
            ordered_at=r.choice([None, *[T0 + dt.timedelta(minutes=r.randrange(60 * 24 * 40)) for _ in range(9)]]),
        )
        for _ in range(n)
    ]


@dataclass(frozen=True)
class Both:
    """A part of a statement, or all of it: as it is asked, and as DuckDB is told it."""

    asked: str
    told: str

    def __format__(self, which: str) -> str:
        return self.asked if which == "asked" else self.told


@dataclass(frozen=True)
class Generated:
    """A statement in both texts, and the zone that its times are in."""

    asked: str
    told: str
    tz: str


@st.composite
def statements(draw: st.DrawFn, keys: Sequence[str]) -> Generated:
    tz = draw(st.sampled_from(ZONES))
    time = draw(st.none() | _times(tz))
    tz = tz if time else "UTC"
    columns = {name: Both(name, name) for name in draw(_few(keys))} | ({"bucket": time} if time else {})
    measures = {m: Both(f"MEASURE({m})", sql) for m, sql in MEASURED.items()}
    shown = {**columns, **measures}
    names = draw(st.lists(st.sampled_from([*shown]), unique=True, min_size=1, max_size=5))
    called = [draw(st.sampled_from([name, f"{name} {n}"])) for n, name in enumerate(names)]
    where = [draw(conditions(name, POOLS[name], tz)) for name in draw(_few(keys))]
    where += draw(_few(["bucket >= '2026-03-05'", "bucket < TIMESTAMP '2026-04-01 12:00'"]))
    having = {m: draw(conditions(f"MEASURE({m})", OF_MEASURE[m], tz)) for m in draw(_few([*OF_MEASURE]))}
    order = [draw(_ordered(names, called, shown)) for _ in range(draw(st.integers(0, 2)))]
    cut = draw(st.sampled_from(["", "LIMIT 3", "LIMIT 2 OFFSET 1", "OFFSET 2", "LIMIT 100 OFFSET 50"]))

    def text(which: str) -> str:
        items = ", ".join(f'{shown[name]:{which}} AS "{call}"' for name, call in zip(names, called, strict=True))
        left = [c.replace(f"MEASURE({m})", f"{measures[m]:{which}}") for m, c in having.items()]
        by = [f"{o:{which}}" for o in order] + ([c.told for c in columns.values()] if which == "told" else [])
        parts = {
            "WHERE": " AND ".join(where), "GROUP BY": ", ".join(f"{c:{which}}" for c in columns.values()),
            "HAVING": " AND ".join(left), "ORDER BY": ", ".join(by),
        }  # fmt: skip
        return " ".join([f"SELECT {items} FROM typed", *(f"{p} {t}" for p, t in parts.items() if t), cut])

    return Generated(text("asked"), text("told"), tz)


@st.composite
def joins(draw: st.DrawFn) -> Generated:
    """Statements of the views `sales` and `returns`, which DuckDB is told of as joins of two groupings."""
    kind = draw(st.sampled_from(["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "FULL JOIN"]))
    tz = draw(st.sampled_from(ZONES))
    time = draw(st.none() | _times(tz))
    tz = tz if time else "UTC"
    keys = draw(st.lists(st.sampled_from(["country", "product"]), unique=True, min_size=0 if time else 1))
    columns = {name: Both(name, name) for name in keys} | ({"bucket": Both(time.asked, "bucket")} if time else {})
    measures = {f"{v}.{m}": Both(f"MEASURE({v}.{m})", f"{v}.{m}") for v in ("sales", "returns") for m in MEASURED}
    shown = {**columns, **measures}
    names = draw(st.lists(st.sampled_from([*shown]), unique=True, min_size=1, max_size=5))
    called = [draw(st.sampled_from([name, f"{name} {n}"])) for n, name in enumerate(names)]
    merged = [draw(conditions(name, POOLS[name], tz)) for name in keys if draw(st.booleans())]
    merged += draw(_few(["bucket >= '2026-03-05'", "bucket < '2026-04-01'"]))
    own: dict[str, list[str]] = {"sales": [], "returns": []}
    for side in {"J": ("sales", "returns"), "I": ("sales", "returns"), "L": ("sales",), "F": ()}[kind[0]]:
        own[side] += [
            draw(conditions(f"{side}.{name}", POOLS[name], tz)) for name in {*draw(_few(["product", "vip"]))} - {*keys}
        ]
    own["returns"] = [] if kind[0] == "L" else own["returns"]
    having = [
        draw(conditions(f"MEASURE({v}.{m})", OF_MEASURE[m], tz)) for v, m in draw(_few([*product(own, OF_MEASURE)]))
    ]
    order = [draw(_ordered(names, called, shown)) for _ in range(draw(st.integers(0, 2)))]
    cut = draw(st.sampled_from(["", "LIMIT 3", "LIMIT 2 OFFSET 1", "OFFSET 2"]))

    def grouping(side: str) -> str:
        by = [*keys, *([time.told] if time else [])]
        items = [*keys, *([f"{time.told} AS bucket"] if time else []), *(f"{s} AS {m}" for m, s in MEASURED.items())]
        left = " AND ".join([*merged, *own[side]]) or "true"
        return f"(SELECT {', '.join(items)} FROM {side} WHERE {left} GROUP BY {', '.join(by)}) AS {side}"

    def text(which: str) -> str:
        items = ", ".join(f'{shown[name]:{which}} AS "{call}"' for name, call in zip(names, called, strict=True))
        asked = which == "asked"
        views = ("sales", "returns") if asked else (grouping("sales"), grouping("returns"))
        left = [c if asked else re.sub(r"MEASURE\((.*?)\)", r"\1", c) for c in having]
        by = [f"{o:{which}}" for o in order]
        by += [] if asked else [*(c.told for c in columns.values()), "sales.lines IS NULL"]
        parts = {
            "WHERE": " AND ".join([*merged, *own["sales"], *own["returns"]] if asked else left),
            "GROUP BY": ", ".join(c.asked for c in columns.values()) if asked else "",
            "HAVING": " AND ".join(left) if asked else "", "ORDER BY": ", ".join(by),
        }  # fmt: skip
        joined = f"FROM {views[0]} {kind} {views[1]} USING ({', '.join(columns)})"
        return " ".join([f"SELECT {items} {joined}", *(f"{p} {t}" for p, t in parts.items() if t), cut])

    return Generated(text("asked"), text("told"), tz)


@st.composite
def conditions(draw: st.DrawFn, name: str, pool: Sequence[Any], tz: str) -> str:
    """One condition on a column or a measure, as both languages have it."""
    known = [value for value in pool if value is not None]
    forms = [*AMONG, *(BOUNDS if not isinstance(known[0], bool) else ()), *(LIKE if isinstance(known[0], str) else ())]
    form = draw(st.sampled_from(forms)).replace("c", name)
    return re.sub(r"\?", lambda _: draw(_literal(draw(st.sampled_from(known)), tz)), form)


@st.composite
def _literal(draw: st.DrawFn, value: Any, tz: str) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return draw(st.sampled_from([str(value), str(value).upper(), f"'{str(value).lower()}'"]))
    if isinstance(value, dt.datetime):
        local = value.astimezone(ZoneInfo(tz)).replace(tzinfo=None)
        return draw(st.sampled_from([f"TIMESTAMP '{local}'", f"'{local}'", f"'{value.isoformat()}'"]))
    if isinstance(value, dt.date):
        return draw(st.sampled_from([f"DATE '{value}'", f"'{value}'"]))
    return draw(st.sampled_from([str(value), f"'{value}'"]))


@st.composite
def _ordered(draw: st.DrawFn, names: list[str], called: list[str], shown: dict[str, Both]) -> Both:
    n = draw(st.integers(0, len(names) - 1))
    found = draw(
        st.sampled_from([Both(f'"{called[n]}"', f'"{called[n]}"'), Both(str(n + 1), str(n + 1)), *shown.values()])
    )
    down = draw(st.sampled_from(["", " ASC", " DESC", " DESC NULLS LAST"]))
    return Both(f"{found.asked}{down}", f"{found.told}{down}")


def _times(tz: str) -> st.SearchStrategy[Both]:
    def told(span: str) -> str:
        clock = "UTC" if span in SHORT else tz
        local = floored(span, f"timezone('{clock}', bucket)")
        return f"timezone('{clock}', {local})"

    zone = f", '{tz}'"
    truncated = [Both(f"DATE_TRUNC('{unit}', bucket{zone})", told(span)) for unit, span in UNITS.items()]
    spans = [Both(f"TIME_BUCKET('{span}', bucket{zone})", told(span)) for span in ("6h", "7d", "2w")]
    return st.sampled_from([*truncated, *spans, *([Both("bucket", "bucket")] if tz == "UTC" else [])])


def _few(of: Sequence[T]) -> st.SearchStrategy[list[T]]:
    return st.lists(st.sampled_from(of), unique=True, max_size=2)


def _tuples(rows: pa.Table) -> list[tuple[Any, ...]]:
    return [*zip(*(column.to_pylist() for column in rows.columns), strict=True)]


def _kinds(shape: Shape, plan: query.Plan) -> dict[str, pa.DataType]:
    time = {"bucket": pa.timestamp("us", tz=plan.tz)} if plan.bucket else {}
    return {n: shape.grouping_type(n) for n in plan.by} | time | {m: shape.presented(m).result for m in plan.measures}


def _typed(values: list[Any], kind: pa.DataType) -> pa.Array:
    read: dict[bool, Any] = {
        pa.types.is_decimal(kind): Decimal, pa.types.is_timestamp(kind): dt.datetime.fromisoformat,
        pa.types.is_date(kind): dt.date.fromisoformat,
    }  # fmt: skip
    of = read.get(True, lambda value: value)
    return pa.array([None if value is None else of(value) for value in values], kind)


def _table(records: Sequence[Event]) -> pa.Table:
    kinds = {**TYPES, **STATE_TYPES, "cancelled": pa.bool_()}
    return pa.table({name: pa.array([e[name] for e in records], kind) for name, kind in kinds.items()})
