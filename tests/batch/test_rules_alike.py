"""The same records through speed, a catch-up of batch and a full run: equal states, whatever rules say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from dovetail.batch import recompute
from dovetail.batch.master import DeltaMaster
from dovetail.batch.prove import Proof, _prove_books
from dovetail.shared import project as projects
from dovetail.shared import settings, supersede
from dovetail.shared.commit import open_epoch, open_source
from dovetail.shared.commit import supersede as append_supersede
from dovetail.shared.decode import RAW, decode
from dovetail.shared.errors import DeclarationError, RuleBroken
from dovetail.shared.inforce import attach_declared, put_in_force
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import Books, new_commit_id
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.project import Project
from dovetail.shared.states import DeltaStates
from dovetail.speed.job import SpeedJob

pytestmark = pytest.mark.java

VIEWS = """
import dovetail as dv

events = dv.source("events", schema="key string, n bigint, at timestamp", event_time="at", rules=[RULES])
totals = dv.view("totals", source=events, keys=["key"], bucket="1h", measures={"rows": dv.count(), "n": dv.sum("n")})
"""
NOON = datetime(2026, 11, 1, 12)
ORIGIN, END = Position({0: 0}), Position({0: 24})
QUARTERS = [Range(Position({0: a}), Position({0: a + 6})) for a in range(0, 24, 6)]
LATE = "2026-11-01T10:00:00Z"
KEYS = ["key", "_bucket"]


def value(offset: int) -> bytes:
    if offset % 11 == 10:
        return b"{broken"
    at = LATE if offset % 7 == 6 else "2026-11-01T12:00:00Z"
    n = None if offset % 5 == 4 else offset % 4 - 1
    return json.dumps({"key": f"k{offset % 3}", "n": n, "at": at}).encode()


class Case:
    """A project whose source has these rules, its records, and the ways to bring them into answers."""

    def __init__(self, folder: Path, rules: str, spark) -> None:
        (folder / "dovetail.toml").write_text('views = ["ruled_views.py"]\n')
        sys.modules.pop("ruled_views", None)
        (folder / "ruled_views.py").write_text(VIEWS.replace("RULES", rules))
        self.spark, self.folder = spark, folder
        self.project: Project = projects.load(settings.load(folder))
        self.source, self.view = self.project.source("events"), self.project.view("totals")
        layout = self.project.layout
        self.ledger = DeltaLedger(layout.ledger("events"))
        self.states = DeltaStates(layout, "events")
        self.master = DeltaMaster(layout, self.source, spark)
        open_source(self.ledger, topic_id="t", origin=ORIGIN)
        put_in_force(self.project, self.source, self.ledger, spark)
        self.version = self.project.version(self.view)

    def declare(self, rules: str, spark) -> None:
        """Puts the version with these rules in force, for batch to go on with."""
        sys.modules.pop("ruled_views")
        (self.folder / "ruled_views.py").write_text(VIEWS.replace("RULES", rules))
        project = projects.load(settings.load(self.folder))
        view, before = project.view("totals"), self.version
        self.version = attach_declared(project, view, self.ledger, spark)
        assert self.version != before
        self.master = DeltaMaster(project.layout, project.source("events"), spark)

    def records(self, span: Range):
        ((_, first, end),) = span.partitions()
        rows = [(0, o, NOON, None, bytearray(value(o)), None) for o in range(first, end)]
        return self.spark.createDataFrame(rows, RAW)

    def archive(self) -> None:
        self.master.append(self.records(Range(ORIGIN, END)), topic_id="t")
        self.master.write_claim(END)

    def speed(self, *spans: Range) -> None:
        epoch = open_epoch(self.ledger)
        judge = Judge(self.source, self.ledger)
        running = SpeedJob(
            self.project, self.source, self.ledger, self.states, epoch, lambda _: None, judge, lambda: None
        )
        for span in spans:
            running.step(decode(self.records(span), self.source.as_json()), span)

    def catch_up(self) -> None:
        recompute.catch_up(self.ledger, self.states, self.master, slices=lambda _: [q.to for q in QUARTERS])

    def full(self) -> list[dict]:
        manifests = DeltaManifest(self.project.layout.manifest("totals"))
        manifest = recompute.run(
            "totals", self.version, full=True, owner="test", manifests=manifests, ledger=self.ledger, master=self.master
        )
        (run,) = manifest.runs
        return merged(DeltaTable(str(self.project.layout.run(self.version, run.id))).to_pyarrow_table().to_pylist())

    def held(self) -> list[dict]:
        """The states that the ledger names, merged."""
        commits = self.states.commits(self.version, -1)
        named = {r.commit_id for r in self.ledger.rows()}
        return merged([row for c, rows in commits.items() if c in named for row in rows.to_pylist()])

    def said(self) -> tuple[Books, dict]:
        rows = self.ledger.rows()
        broken: dict = {}
        for row in rows:
            broken = {key: broken.get(key, 0) + row.broken.get(key, 0) for key in {*broken, *row.broken}}
        return sum((r.books for r in rows), Books()), broken


def merged(rows: list[dict]) -> list[dict]:
    """Sums per group: each state here is one; null is neutral."""
    groups: dict[tuple, dict] = {}
    for row in rows:
        into = groups.setdefault(tuple(row[k] for k in KEYS), {})
        for name in (n for n in row if n not in (*KEYS, "_commit_id", "_seq")):
            values = [v for v in (into.get(name), row[name]) if v is not None]
            into[name] = sum(values) if values else None
    return sorted(({**dict(zip(KEYS, k, strict=True)), **v} for k, v in groups.items()), key=repr)


@pytest.fixture
def case(tmp_path: Path, spark) -> Iterator:
    def made(name: str, rules: str) -> Case:
        folder = tmp_path / name
        folder.mkdir()
        return Case(folder, rules, spark)

    path = list(sys.path)
    yield made
    sys.path[:] = path
    sys.modules.pop("ruled_views", None)


_RULE = 'dv.rule("n >= 0", otherwise="{}", name="r")'
EVERY = """dv.rule("n <> 2", otherwise="warn"), dv.rule("n >= 0", otherwise="drop"),
    dv.rule.fresh(within="1 hour"), dv.rule("key <> 'nobody'", otherwise="fail"),
    dv.rule.null_rate("n", below="10%", least=1), dv.rule.mean_shift("n", within="1000%", least=1)"""


@pytest.mark.parametrize(
    ("rules", "broken"),
    [
        pytest.param("", {}, marks=pytest.mark.long),
        pytest.param(_RULE.format("quarantine"), {("r", "quarantine"): 5}, marks=pytest.mark.long),
        pytest.param(_RULE.format("drop"), {("r", "drop"): 5}, marks=pytest.mark.long),
        pytest.param(_RULE.format("warn"), {("r", "warn"): 5}, marks=pytest.mark.long),
        pytest.param('dv.rule("key <> \'nobody\'", otherwise="fail", name="r")', {}, marks=pytest.mark.long),
        pytest.param(EVERY, None, marks=pytest.mark.long),
    ],
    ids=["none", "quarantine", "drop", "warn", "fail", "every kind"],
)
def test_speed_catch_up_and_a_full_run_come_to_the_same(case, rules, broken):
    fast, late = case("fast", rules), case("late", rules)
    for each in (fast, late):
        each.archive()
    fast.speed(*QUARTERS)
    late.catch_up()
    truth = fast.full()
    assert fast.held() == late.held() == late.full() == truth
    assert sum(row["_rows"] for row in truth) == fast.said()[0].offered
    assert fast.said() == late.said()
    assert fast.said()[0].consumed == 24
    found = {key: n for key, n in fast.said()[1].items() if n}
    if broken is None:
        assert {key[1] for key in found} == {"warn", "drop", "quarantine"}
        assert found["null_rate of n below 10%", "warn"] == 4
    else:
        assert found == broken
    reasons = sorted(fast.states.quarantined()["reason"].to_pylist())
    assert reasons == sorted(late.states.quarantined()["reason"].to_pylist())
    assert len(reasons) == fast.said()[0].quarantined


def recounted(one: Case) -> list[str]:
    """The problems that a proof of the books finds."""
    rows = one.ledger.rows()
    proof = Proof("events", rows[-1].seq, END, sum((r.books for r in rows), Books()))
    _prove_books(proof, Judge(one.source, one.ledger), rows, one.records(Range(ORIGIN, END)))
    return proof.problems


@pytest.mark.long
def test_a_proof_recounts_what_rules_took_out(case):
    one = case("one", 'dv.rule("n >= 0", otherwise="drop"), dv.rule("key <> \'k1\'")')
    one.speed(*QUARTERS)
    assert recounted(one) == []
    row = one.ledger.last()
    books = replace(row.books, dropped=row.books.dropped - 1, offered=row.books.offered + 1)
    rows = [*one.ledger.rows()[:-1], replace(row, books=books)]
    one.ledger.rows = lambda: rows
    assert recounted(one) == ["the ledger says dropped 3; the log holds 4"]


@pytest.mark.long
def test_a_proof_asks_nothing_of_commits_that_other_rules_judged(case):
    one = case("one", 'dv.rule("n >= 0", otherwise="drop")')
    one.speed(*QUARTERS[:2])
    one.source = replace(one.source, rules=())
    one.speed(*QUARTERS[2:])
    assert one.said()[0].dropped == 2
    assert recounted(one) == []
    rows = [replace(r, books=replace(r.books, quarantined=r.books.quarantined + 1)) for r in one.ledger.rows()]
    one.ledger.rows = lambda: rows
    assert recounted(one) != []


@pytest.mark.long
def test_a_rule_that_says_fail_stops_speed_and_catch_up_alike_and_the_archive_goes_on(case):
    rules = 'dv.rule("n is null or n <> 2", otherwise="fail", name="no twos")'
    one = case("one", rules)
    one.speed(Range(ORIGIN, Position({0: 3})))
    before, held = one.ledger.last(), one.held()
    with pytest.raises(RuleBroken, match=r"record 0@3 .*breaks the rule 'no twos', which says fail"):
        one.speed(Range(Position({0: 3}), Position({0: 6})))
    one.archive()
    with pytest.raises(RuleBroken, match=r"record 0@3 .*breaks the rule 'no twos', which says fail"):
        one.catch_up()
    assert one.ledger.last().to == before.to
    assert one.held() == held
    assert one.states.quarantined().num_rows == 0
    assert one.master.claim() == END


@pytest.mark.long
def test_a_version_that_takes_them_leaves_superseded_records_out(case, spark):
    one = case("one", _RULE.format("quarantine"))
    one.archive()
    one.speed(*QUARTERS)
    assert {0, 8} <= {*one.states.quarantined()["offset"].to_pylist()}
    layout, places = one.project.layout, [RecordId(0, 0), RecordId(0, 8)]
    supersede.write(layout, "events", places, new_commit_id(), one.ledger.last().seq + 1)  # of one that was killed
    append_supersede(one.ledger, partial(supersede.write, layout, "events", places[:1]), allowed=lambda _: None)
    one.declare("", spark)
    assert sum(r["_rows"] for r in one.full()) == 22 - 1


@pytest.mark.long
def test_rules_declared_later_judge_what_was_archived_before(case, spark):
    plain = case("plain", "")
    plain.archive()
    plain.speed(*QUARTERS)
    assert sum(r["_rows"] for r in plain.full()) == 22
    plain.declare('dv.rule("n >= 0", otherwise="drop")', spark)
    assert sum(r["_rows"] for r in plain.full()) == 17


def test_a_rule_that_the_engine_refuses_stops_a_start_with_its_line(case, spark):
    with pytest.raises(DeclarationError, match=r"rule 'abs\(m\) > 0': unknown column 'm'") as caught:
        case("bad", 'dv.rule("abs(m) > 0")')
    assert caught.value.where == "ruled_views.py:4"


@pytest.mark.long
def test_what_is_archived_knows_no_rule_and_is_not_parsed_again_for_another_one(case):
    one = case("one", 'dv.rule("n >= 0", otherwise="drop")')
    one.archive()
    path = str(one.project.layout.master("events"))
    stored = DeltaTable(path).to_pyarrow_table()
    assert set(stored["_reason"].to_pylist()) == {None, "not a JSON object"}
    marked = stored.set_column(stored.column_names.index("n"), "n", pa.array([77] * stored.num_rows, pa.int64()))
    write_deltalake(path, marked, mode="overwrite")
    for rules in (one.source.rules, (), tuple(replace(r, condition="n > 76") for r in one.source.rules)):
        rows = one.master.rows(Range(ORIGIN, END), replace(one.source, rules=rules).as_json())
        assert {r["n"] for r in rows.collect()} == {77}
