"""Gates hold back a promote and a nightly batch that move an answer too far; records behind what a diff finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e_stand import Stand
from pyspark.sql import SparkSession

from dovetail.batch import change, gates, job, reprocessing
from dovetail.batch.diff import diff
from dovetail.batch.master import DeltaMaster
from dovetail.batch.recompute import Written
from dovetail.batch.samples import samples
from dovetail.shared.errors import GateClosed
from dovetail.shared.gates import held_back
from dovetail.shared.imports import Import
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.records import records_of
from dovetail.shared.status import look
from dovetail.shared.troubles import Code, troubles

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv


def only_a(lines):
    return lines.where("key = 'a'")


events = dv.source("{name}", schema="key string, n bigint")
totals = dv.view(
    "totals", source=events, transform=[{step}], keys=["key"],
    measures={{"lines": dv.count(), "total": dv.sum("{summed}")}},
    promote_if=[dv.gate("lines", within="30%"), dv.gate("total", within="10%", groups="50%")],
)
"""


class Gated(Stand):
    """The view `totals` over ten records of two keys, all of them in a batch."""

    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str) -> None:
        super().__init__(folder, log, spark, name, VIEWS.format(name=name, summed="n", step=""))
        put_in_force(self.project, self.source, open_ledger(self.project, self.source, log), spark)
        self.night(10)
        self.batch("totals")

    @property
    def view(self) -> Any:
        return self.project.view("totals")

    def night(self, records: int) -> None:
        """So many records come and are committed by speed."""
        self.send(*({"key": "ab"[n % 2], "n": 1} for n in range(records)))
        self.commit()

    def reprocessed(self, summed: str, step: str = "") -> VersionId:
        """Another declaration is computed beside what answers."""
        text = VIEWS.format(name=self.name, summed=summed, step=step)
        self.declare(f"{self.name}_{abs(hash(text)) % 10**6}", text)
        reprocessing.run(self.project, self.view, self.log, self.spark)
        return self.project.version(self.view)

    def judged(self, version: VersionId) -> list[gates.Judged]:
        now = self.manifest
        return gates.judged(self.project, self.view, now, change.to_promote(now, version), self.spark)

    def codes(self) -> list[Code]:
        return [t.code for t in troubles(look(self.project, self.log))]


@pytest.fixture
def stand(log: Log, spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Gated:
    return Gated(tmp_path, log, spark, f"gates_{abs(hash(request.node.name)) % 10**8}")


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Batches compute no more than the last record of each run."""
    whole = DeltaMaster.write_run

    def write(
        self: DeltaMaster, version: VersionId, run: RunId, rows: Sequence[LedgerRow], imports: Sequence[Import] = ()
    ) -> Written:
        to = rows[-1].to
        last = replace(rows[-1], range=Range(Position({0: to[0] - 1}), to))
        return replace(whole(self, version, run, [last], imports), counts=self.counts(rows))

    monkeypatch.setattr(DeltaMaster, "write_run", write)
    return monkeypatch


@pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
def test_a_batch_that_loses_most_of_what_came_does_not_answer(
    stand: Gated, losing: pytest.MonkeyPatch, full: bool
) -> None:
    before = stand.manifest
    stand.night(4)
    with pytest.raises(GateClosed, match=r"lines (4|14) → 1 .*within 30 %; total moves by more than 10 % in 2 of 2"):
        stand.batch("totals", full=full)
    assert (stand.manifest.runs, stand.manifest.pins) == (before.runs, {})
    assert {f.name for f in stand.layout.of_runs("totals")} <= {r.id for s in stand.manifest.sets for r in s}
    assert Code.GATE_CLOSED in stand.codes()
    losing.undo()
    after = stand.batch("totals", full=full)
    assert (after.runs[-1].records, held_back(stand.layout, after)) == (14 if full else 4, None)
    assert Code.GATE_CLOSED not in stand.codes()


def test_a_person_lets_it_answer_and_the_history_says_why(stand: Gated, losing: pytest.MonkeyPatch) -> None:
    stand.night(4)
    found = job.run(stand.project, stand.view, stand.log, stand.spark, despite="the rest was a test")
    assert found is not None
    (first, *_) = change.history(DeltaManifest(stand.layout.manifest("totals")).history())
    assert "despite its gates (lines 4 → 1 (-75.0%), within 30 %;" in first.note
    assert first.note.endswith(": the rest was a test")


def test_a_night_of_many_more_records_is_no_step(stand: Gated) -> None:
    stand.night(60)
    assert stand.batch("totals").runs[-1].records == 60


def test_a_promote_is_judged_at_one_position(stand: Gated) -> None:
    version = stand.reprocessed("n + 0")
    stand.night(30)
    assert [str(j) for j in stand.judged(version)] == [
        "lines 40 → 40 (+0.0%), within 30 %", "total moves by more than 10 % in 0 of 2 groups, 50 % may",
    ]  # fmt: skip
    version = stand.reprocessed("if(key = 'a', n, n * 2)")
    assert [j.closed for j in stand.judged(version)] == [False, False], "one of two groups may"
    version = stand.reprocessed("n * 2")
    to = change.to_promote(stand.manifest, version)
    with pytest.raises(GateClosed, match="total moves by more than 10 % in 2 of 2 groups"):
        gates.refuse_promote(stand.project, stand.view, stand.manifest, to, stand.spark)


@pytest.mark.parametrize(
    ("summed", "step"), [("if(key = 'a', n, n * 2)", ""), ("n", "only_a")], ids=["another number", "a group that goes"]
)
def test_records_are_shown_behind_the_groups_that_differ_most(stand: Gated, summed: str, step: str) -> None:
    version = stand.reprocessed(summed, step=step)
    now = stand.manifest
    after = change.to_promote(now, version)
    found = diff(stand.project, stand.view, now, after, stand.spark)
    rows = DeltaLedger(stand.layout.ledger(stand.name)).rows()
    records = records_of(stand.source, Range(rows[0].to, rows[-1].to), stand.layout, stand.log, stand.spark)
    (told,) = samples(stand.project, stand.view, found, now.runs, after, records, limit=2)
    assert told.group == {"key": "b"}
    assert [(str(place), value) for place, value in told.records] == [
        ("0@1", b'{"key": "b", "n": 1}'), ("0@3", b'{"key": "b", "n": 1}'),
    ]  # fmt: skip
