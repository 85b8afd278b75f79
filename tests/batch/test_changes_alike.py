"""A table's changes through speed, a catch-up, a full run and a recount: what the table holds, at every cut."""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dovetail.batch import behind, recompute
from dovetail.batch.master import DeltaMaster
from dovetail.batch.recount import truth
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.commit import open_epoch, open_source
from dovetail.shared.decode import RAW, decode, decoded
from dovetail.shared.fold import BUCKET, fold, grouping
from dovetail.shared.inforce import put_in_force
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import Books
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import AppendTable
from dovetail.speed.job import SpeedJob
from dovetail.testing import same

pytestmark = [pytest.mark.java, pytest.mark.long]

VIEWS = """
import dovetail as dv
import pyarrow.compute as pc
from pyspark.sql import functions as F

orders = dv.source(
    "orders", format=dv.changes(format="debezium"), event_time="ordered_at", event_id="id",
    schema="id bigint, customer string, amount decimal(10,2), ordered_at timestamp",
)


def named(rows):
    return rows.select(F.upper("customer").alias("customer"), "amount", "ordered_at", "sign")


totals = dv.view(
    "totals", source=orders, transform=named, keys=["customer"], bucket="1h",
    measures={
        "orders": dv.count(), "large": dv.count(where="amount > 50"), "revenue": dv.sum("amount"),
        "mean": dv.avg("amount"), "spread": dv.variance("amount", population=True),
        "share": dv.ratio(dv.count(where="amount > 50"), dv.count()),
        "small": dv.measure(
            n=dv.count(), large=dv.count(where="amount > 50"), present=lambda n, large: pc.subtract(n, large)
        ),
    },
)
"""
NOON = datetime(2026, 11, 1, 12)
COUNT = 60


def history() -> tuple[list[bytes | None], list[dict[int, dict[str, Any]]]]:
    """The records of a topic, repeats and tombstones among them, and what the table held after each."""
    r = random.Random(7)
    table: dict[int, dict[str, Any]] = {}
    records: list[bytes | None] = []
    held: list[dict[int, dict[str, Any]]] = []

    def told(op: str, before: Any, after: Any) -> None:
        change = {"before": before, "after": after, "source": {"lsn": len(records)}, "op": op, "ts_ms": len(records)}
        records.append(json.dumps(change).encode())
        held.append({**table})

    while len(records) < COUNT:
        key = r.randrange(8)
        before = table.get(key)
        at = NOON + timedelta(hours=r.randrange(3), microseconds=r.randrange(10**6))
        after = {"id": key, "customer": r.choice("abc"), "amount": f"{r.randrange(10**4)}.{r.randrange(100):02}"}
        after["ordered_at"] = f"{at.isoformat()}Z"
        if before is not None and r.random() < 0.3:
            del table[key]
            told("d", before, None)
            records.append(None)
            held.append({**table})
        else:
            table[key] = after
            told("c" if before is None else "u", before, after)
        if r.random() < 0.2:  # the connector was restarted
            again = json.loads(next(v for v in reversed(records) if v is not None)) | {"ts_ms": -1}
            records.append(json.dumps(again).encode())
            held.append({**table})
    return records, held


RECORDS, HELD = history()
ORIGIN, END = Position({0: 0}), Position({0: len(RECORDS)})
SLICES = [Range(Position({0: a}), Position({0: min(a + 17, len(RECORDS))})) for a in range(0, len(RECORDS), 17)]


def of_table(rows: dict[int, dict[str, Any]]) -> dict[tuple[str, datetime], tuple[Any, ...]]:
    """What a database would answer: orders, large, revenue, mean, spread, share, small by customer and hour."""
    groups: dict[tuple[str, datetime], list[Decimal]] = {}
    for row in rows.values():
        hour = datetime.fromisoformat(row["ordered_at"]).replace(minute=0, second=0, microsecond=0)
        groups.setdefault((row["customer"].upper(), hour), []).append(Decimal(row["amount"]))
    found = {}
    for group, amounts in groups.items():
        n, total, large = len(amounts), sum(amounts), sum(a > 50 for a in amounts)
        mean = (total / n).quantize(Decimal("0.000001"), "ROUND_HALF_UP")
        spread = float(statistics.pvariance(map(Fraction, amounts)))
        found[group] = (n, large, total, mean, spread, large / n, n - large)
    return found


class Case:
    """A project over that topic, and the ways to bring its records into answers."""

    def __init__(self, folder: Path, spark) -> None:
        folder.mkdir()
        (folder / "dovetail.toml").write_text('views = ["changed_views.py"]\n')
        (folder / "changed_views.py").write_text(VIEWS)
        sys.modules.pop("changed_views", None)
        self.spark, self.project = spark, projects.load(settings.load(folder))
        self.source, self.view = self.project.source("orders"), self.project.view("totals")
        self.bundle, layout = self.project.store(self.view), self.project.layout
        self.ledger, self.states = DeltaLedger(layout.ledger("orders")), DeltaStates(layout, "orders")
        open_source(self.ledger, topic_id="t", origin=ORIGIN)
        put_in_force(self.project, self.source, self.ledger, spark)
        self.judge = Judge.of_commits(self.source, self.ledger, layout, None, spark)
        self.master = DeltaMaster(layout, self.source, spark, judge=self.judge)

    def records(self, span: Range) -> DataFrame:
        ((_, first, end),) = span.partitions()
        values = ((o, RECORDS[o]) for o in range(first, end))
        rows = [(0, o, NOON, None, None if v is None else bytearray(v), None) for o, v in values]
        return self.spark.createDataFrame(rows, RAW)

    def archive(self) -> None:
        self.master.append(self.records(Range(ORIGIN, END)), topic_id="t")
        self.master.write_claim(END)

    def speed(self) -> None:
        epoch = open_epoch(self.ledger)
        job = SpeedJob(
            self.project, self.source, self.ledger, self.states, epoch, lambda _: None, self.judge, lambda: None
        )
        for span in SLICES:
            job.step(decode(self.records(span), self.source.as_json()), span)

    def catch_up(self) -> None:
        recompute.catch_up(self.ledger, self.states, self.master, slices=lambda _: [s.to for s in SLICES])

    def full(self) -> list[dict[str, Any]]:
        layout, version = self.project.layout, self.bundle.version
        manifests = DeltaManifest(layout.manifest("totals"))
        manifest = recompute.run(
            "totals", version, full=True, owner="test", manifests=manifests, ledger=self.ledger, master=self.master
        )
        return DeltaTable(str(layout.run(version, manifest.runs[0].id))).to_pyarrow_table().to_pylist()

    def held(self) -> list[dict[str, Any]]:
        commits, named = self.states.commits(self.bundle.version, -1), {r.commit_id for r in self.ledger.rows()}
        return [row for c, rows in commits.items() if c in named for row in rows.to_pylist()]

    def answers(self, states: list[dict[str, Any]]) -> dict[tuple[str, datetime], tuple[Any, ...]]:
        """What serving presents of states, merged."""
        groups: dict[tuple[str, datetime], list[dict[str, Any]]] = {}
        for row in states:
            groups.setdefault((row["customer"], row[BUCKET].replace(tzinfo=UTC)), []).append(row)
        types = AppendTable.existing(self.project.layout.states(self.bundle.version)).schema
        return {group: tuple(self._presented(m, rows, types) for m in self.bundle.presented.values())
                for group, rows in groups.items()}  # fmt: skip

    def _presented(self, measure: Any, rows: list[dict[str, Any]], types: Any) -> Any:
        merged = [s.kind.merge_values([row[s.column] for row in rows]) for s in measure.states]
        kinds = [types.field(s.column).type for s in measure.states]
        arrays = [pa.array([value], kind) for value, kind in zip(merged, kinds, strict=True)]
        return measure.presenter.present(*arrays)[0].as_py()


@pytest.fixture
def case(tmp_path: Path, spark) -> Iterator[Any]:
    path = list(sys.path)
    yield lambda name: Case(tmp_path / name, spark)
    sys.path[:] = path
    sys.modules.pop("changed_views", None)


def agree(answers: dict[Any, tuple[Any, ...]], table: dict[Any, tuple[Any, ...]]) -> None:
    """The groups of the table with its figures, and beside them those that came to nothing."""
    there = {group: answer for group, answer in answers.items() if answer[0]}
    assert there.keys() == table.keys()
    for group, answer in there.items():
        assert same([*answer], [*table[group]]), (group, answer, table[group])
    assert {a for a in answers.values() if not a[0]} <= {(0, 0, None, None, None, None, 0)}


def test_speed_catch_up_and_a_full_run_come_to_what_the_table_holds(case) -> None:
    fast, late = case("fast"), case("late")
    for each in (fast, late):
        each.archive()
    fast.speed()
    late.catch_up()
    run = fast.full()
    table = of_table(HELD[-1])
    for states in (fast.held(), late.held(), run, late.full()):
        agree(fast.answers(states), table)
    for each in (fast, late):
        books = sum((row.books for row in each.ledger.rows()), Books())
        repeats, tombstones = sum(b'"ts_ms": -1' in (v or b"") for v in RECORDS), RECORDS.count(None)
        assert (books.consumed, books.quarantined) == (len(RECORDS), 0)
        assert (books.repeats, books.dropped) == (repeats, tombstones)
        assert books.offered == len(RECORDS) - repeats - tombstones


def test_at_every_cut_what_is_below_and_what_is_above_add_up_to_the_table(case) -> None:
    one = case("one")
    rows = decode(one.records(Range(ORIGIN, END)), one.bundle.decoder).where(
        "get_json_object(string(_value), '$.ts_ms') >= 0"
    )
    placed = decoded(rows, one.bundle.decoder, placed=True)
    states = {s.column: s for m in one.bundle.measures.values() for s in m.states}
    transformed = placed.withColumn("customer", F.expr("upper(customer)"))
    aggregates = [F.expr(s.prepared).alias(column) for column, s in states.items()]
    of_records = (
        transformed.groupBy("_offset", *map(F.expr, grouping(one.bundle))).agg(*aggregates).toArrow().to_pylist()
    )
    for cut in range(len(RECORDS)):
        agree(one.answers([row for row in of_records if row["_offset"] <= cut]), of_table(HELD[cut]))
    whole = one.answers(of_records)
    for cut in range(len(RECORDS)):
        halves = [[r for r in of_records if (r["_offset"] <= cut) is below] for below in (True, False)]
        parts = [row for half in halves for row in merged(half, states)]
        assert one.answers(parts) == whole


def merged(rows: list[dict[str, Any]], states: dict[str, Any]) -> list[dict[str, Any]]:
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["customer"], row[BUCKET]), []).append(row)
    return [
        {
            "customer": customer,
            BUCKET: bucket,
            **{c: s.kind.merge_values([r[c] for r in of]) for c, s in states.items()},
        }
        for (customer, bucket), of in groups.items()
    ]


def test_another_engine_recounts_the_same_states_and_a_row_is_traced_to_its_change(case, tmp_path: Path) -> None:
    one = case("one")
    rows = decode(one.records(Range(ORIGIN, END)), one.bundle.decoder)
    good = decoded(rows, one.bundle.decoder)
    with truth(good, one.bundle, tmp_path / "scratch", chosen="true") as (found, engine):
        assert engine == "DuckDB"
        assert sorted(map(repr, found.collect())) == sorted(map(repr, fold(good, one.bundle).collect()))
    with behind.on_disk(behind.seen(one.records(Range(ORIGIN, END)), one.bundle), tmp_path / "kept") as kept:
        traced = behind.by_record(behind.placed(kept, one.bundle), kept).collect()
    ops = {o: json.loads(v)["op"] for o, v in enumerate(RECORDS) if v is not None}
    assert {row["_offset"]: row["_rows"] for row in traced} == {o: 2 if op == "u" else 1 for o, op in ops.items()}
