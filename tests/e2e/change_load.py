"""A shop's lines at a steady rate, and what two versions of its view must answer at any position."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from asking import Ask, Question
from e2e_oracle import same
from e2e_system import beside

from dovetail.shared.log import Log
from dovetail.shared.position import Position

Version = Literal["old", "new"]
RATE = 1_000
BURSTS = 20
"""A second."""
SHOPS = [f"s{n}" for n in range(12)]
DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(5)]
LARGE = 40

VIEWS = """
import dovetail as dv
from amounts import with_amount

lines = dv.source(
    "lines", topic="{topic}", schema="id string, shop string, at timestamp, quantity int, price decimal(9,2)",
    event_time="at", event_id="id",
)
sales = dv.view(
    "sales", source=lines, transform=[with_amount], keys=["shop"], bucket="1d",
    measures={{"lines": dv.count(), "large": dv.count(where="quantity > {large}"), "revenue": dv.sum("amount")}},
)
"""
OLD = '''
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def with_amount(lines: DataFrame) -> DataFrame:
    """Money per line."""
    return lines.withColumn("amount", F.col("quantity") * F.col("price"))
'''
NEW = OLD.replace("Money per line", "Money per line net of a fifth; what was given away does not count").replace(
    'return lines.withColumn("amount", F.col("quantity") * F.col("price"))',
    'net = F.lit("0.80").cast("decimal(3,2)")\n'
    '    return lines.where("quantity > 0").withColumn("amount", F.col("quantity") * F.col("price") * net)',
)
TOML = """
views = ["views.py"]
[kafka]
bootstrap = "{bootstrap}"
[spark]
master = "local[2]"
driver_memory = "700m"
[archive]
trigger = "1 second"
[batch]
records_per_part = 10000
[serving]
port = {port}
"""


def make(folder: Path, log: Log, *, topic: str, port: int) -> Path:
    """The project, as it is before the change."""
    folder.mkdir()
    (folder / "dovetail.toml").write_text(TOML.format(bootstrap=log.bootstrap, port=port))
    (folder / "views.py").write_text(VIEWS.format(topic=topic, large=LARGE))
    (folder / "amounts.py").write_text(OLD)
    return folder


@dataclass(frozen=True)
class Line:
    """What a record counts; nothing of it does where it is broken, or a repeat."""

    shop: str
    day: date
    quantity: int
    price: Decimal


@dataclass
class Sums:
    """The measures of one group."""

    lines: int = 0
    large: int = 0
    revenue: Decimal = Decimal(0)

    def add(self, line: Line, version: Version) -> None:
        self.lines += 1
        self.large += line.quantity > LARGE
        self.revenue += line.quantity * line.price * (Decimal("0.80") if version == "new" else 1)


@dataclass
class Topic:
    """What the broker acknowledged, by partition: a record's place in its list is its offset."""

    log: Log
    name: str
    partitions: int
    arrived: dict[int, list[Line | None]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def filled(self) -> Iterator[None]:
        """RATE records a second while the block runs; all of them are acknowledged when it is left."""
        producer, lines = self.log.producer(), _lines(random.Random(7))

        def send(stop: threading.Event) -> None:
            began, sent = time.monotonic(), 0
            while not stop.wait(max(0.0, began + sent / RATE - time.monotonic())):
                for _ in range(RATE // BURSTS):
                    partition, value, line = next(lines)
                    self._produce(producer, partition % self.partitions, value, line)
                producer.poll(0)
                sent += RATE // BURSTS

        try:
            with beside(send):
                yield
        finally:
            if producer.flush(120):
                self.problems.append("the broker did not acknowledge in time")

    def _produce(self, producer: Any, partition: int, value: bytes, line: Line | None) -> None:
        def delivered(error: Any, message: Any) -> None:
            arrived = self.arrived[partition]
            if error is not None or message.offset() != len(arrived):
                self.problems.append(f"{error or message.offset()} where {len(arrived)} was to come")
            arrived.append(line)

        producer.produce(self.name, value=value, partition=partition, on_delivery=delivered)

    @property
    def end(self) -> Position:
        return Position({partition: len(arrived) for partition, arrived in self.arrived.items()})


class Truth:
    """What is true of both versions at a position, which only grows."""

    def __init__(self, arrived: Mapping[int, list[Line | None]]) -> None:
        self._arrived, self._at = arrived, dict.fromkeys(arrived, 0)
        self.sums: dict[Version, dict[tuple[str, date], Sums]] = {v: defaultdict(Sums) for v in ("old", "new")}

    def advance(self, to: Position) -> None:
        for partition in to:
            at, end = self._at[partition], to[partition]
            if end < at:
                raise ValueError(f"{to} lies below {self._at}")
            for line in self._arrived[partition][at:end]:
                self._count(line)
            self._at[partition] = end

    def _count(self, line: Line | None) -> None:
        if line is None:
            return
        self.sums["old"][line.shop, line.day].add(line, "old")
        if line.quantity > 0:
            self.sums["new"][line.shop, line.day].add(line, "new")

    def rows(self, kind: str, version: Version) -> list[dict[str, Any]]:
        """The rows that a question of this kind must be answered with: "grouped", "total", "sql" or a shop."""
        groups = self.sums[version]
        if kind == "grouped":
            return [
                {"shop": shop, "bucket": f"{day}T00:00:00Z", **vars(groups[shop, day])} for shop, day in sorted(groups)
            ]
        shops = [kind] if kind in SHOPS else SHOPS
        if kind == "sql":
            return [{"shop": s, **vars(_all(groups, [s]))} for s in sorted({shop for shop, _ in groups})]
        return [vars(_all(groups, shops))]


def wrong(answer: Any, kind: str, version: Version, truth: Truth) -> str:
    """How an answer differs from the truth of its position; empty where it does not."""
    rows, true = answer["rows"], truth.rows(kind, version)
    alike = len(rows) == len(true) and all(
        all(same(row[name], value) for name, value in told.items()) for row, told in zip(rows, true, strict=True)
    )
    return "" if alike and answer["receipt"]["complete"] else f"{kind}: {rows}\n  is {true}\n  {answer['receipt']}"


def _all(groups: Mapping[tuple[str, date], Sums], shops: list[str]) -> Sums:
    some = [sums for (shop, _), sums in groups.items() if shop in shops]
    return Sums(sum(s.lines for s in some), sum(s.large for s in some), sum((s.revenue for s in some), Decimal(0)))


def _lines(chance: random.Random) -> Iterator[tuple[int, bytes, Line | None]]:
    """Partition, bytes and what counts: some late, one in a hundred a repeat, one in five hundred broken."""
    recent: list[tuple[int, bytes]] = []
    for n in range(10**9):
        draw = chance.random()
        if recent and draw < 0.01:
            yield (*chance.choice(recent), None)
            continue
        line = Line(
            chance.choice(SHOPS), chance.choice(DAYS), chance.randrange(50), Decimal(chance.randrange(1, 10**5)) / 100
        )
        value = json.dumps(
            {
                "id": f"l{n}", "shop": line.shop, "at": f"{line.day}T{chance.randrange(24):02}:30:00Z",
                "quantity": line.quantity, "price": str(line.price),
            }
        ).encode()  # fmt: skip
        if draw < 0.012:
            yield n, value[:-7], None
            continue
        recent = [*recent[-200:], (n, value)]
        yield n, value, line


def _asked(kind: str, **params: Any) -> Ask:
    params = {"measures": "lines,large,revenue", "limit": 1000, **params}
    return lambda chance, _: Question(kind, lambda http: http.get("views/sales/query", params=params), lambda _: ())


def _of_one_shop(chance: random.Random, _: Any) -> Question:
    shop = chance.choice(SHOPS)
    return _asked(shop, **{"where.shop": shop})(chance, [])


def _in_sql(chance: random.Random, _: Any) -> Question:
    measures = ", ".join(f"MEASURE({name}) AS {name}" for name in ("lines", "large", "revenue"))
    sql = f"SELECT shop, {measures} FROM sales GROUP BY shop ORDER BY shop"
    return Question("sql", lambda http: http.post("sql", json={"sql": sql}), lambda _: ())


QUESTIONS: list[Ask] = [_asked("grouped", by="shop", bucket="1d"), _asked("total"), _of_one_shop, _in_sql]
