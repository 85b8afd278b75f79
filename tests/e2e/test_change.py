"""A changed view is computed beside what answers, in parts that survive a kill; promoted, left and promoted again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from e2e_stand import Stand
from killed import killed_at
from pyspark.sql import SparkSession

from dovetail.batch import change, reprocessing
from dovetail.batch.diff import diff
from dovetail.batch.plan import plan
from dovetail.shared import pauses, sensitive
from dovetail.shared.errors import Busy, Paused, UsageError
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.ledger import VersionId, visible
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Manifest, Run
from dovetail.shared.states import DeltaStates

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("{name}", schema="key string, n bigint", sensitive={{"key": dv.mask.hash()}})
totals = dv.view("totals", source=events, keys=["key"], measures={{"total": dv.sum("{summed}")}})
"""


def event(key: str, n: int) -> dict[str, Any]:
    return {"key": key, "n": n}


class Changing(Stand):
    """A project with the view `totals` over records of one key, and how it answers by the tables that are named."""

    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str) -> None:
        super().__init__(folder, log, spark, name, VIEWS.format(name=name, summed="n"))
        put_in_force(self.project, self.source, open_ledger(self.project, self.source, log), spark)
        for n in (1, 2, 3, 4):
            self.send(event("a", n))
            self.commit()
        self.batch("totals")

    def change(self, summed: str) -> VersionId:
        """From now on the view is declared to sum up something else."""
        self.declare(f"{self.name}_{len(summed)}", VIEWS.format(name=self.name, summed=summed))
        return self.project.version(self.project.view("totals"))

    def reprocess(self, **options: Any) -> Manifest:
        view = self.project.view("totals")
        return reprocessing.run(self.project, view, self.log, self.spark, **options)[0]

    def switch(self, to: tuple[Run, ...], *, started: Manifest | None = None, back: bool = False) -> Manifest:
        view = self.project.view("totals")
        return change.switch(self.project, view, started or self.manifest, to, note="by the test", back=back)

    def total(self, runs: tuple[Run, ...] = ()) -> int:
        """What these runs, or those that answer, come to with the commits of speed above them."""
        runs = runs or self.manifest.runs
        version, rows = runs[-1].version, DeltaLedger(self.layout.ledger(self.name)).rows()
        tables = [DeltaTable(str(self.layout.run(version, r.id))).to_pyarrow_table() for r in runs if r.id != ORIGIN]
        states = DeltaStates(self.layout, self.name).table(version).read()
        named = list(visible(version, rows, after=runs[-1].to_seq))
        tables.append(states.filter(pc.is_in(states["_commit_id"], pc.cast(named, "string"))))
        column = next(c for c in states.column_names if c.startswith("sum"))
        return sum(pc.sum(t[column]).as_py() or 0 for t in tables)


@pytest.fixture
def stand(log: Log, spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Changing:
    return Changing(tmp_path, log, spark, f"change_{abs(hash(request.node.name)) % 10**8}")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL__BATCH__RECORDS_PER_PART", "2")


@pytest.mark.usefixtures("small_parts")
def test_forth_and_back_and_forth_with_nights_between(stand: Changing) -> None:
    old = stand.manifest.live
    assert sensitive.of(stand.layout, "totals") == {"key": "hash"}, "told when it was put in force"
    new = stand.change("n * 10")
    so_far = list[reprocessing.Progress]()
    staged = stand.reprocess(on_part=so_far.append)
    assert [(p.done, p.records) for p in so_far] == [(2, 4), (4, 4), (4, 4)][: len(so_far)]
    assert len(so_far) > 1
    assert (staged.live, stand.total(), stand.total(staged.staged_of(new))) == (old, 10, 100)
    stand.send(event("a", 5))
    stand.batch("totals")  # a night between: it goes on with what answers, and leaves what is staged alone
    assert (stand.manifest.live, stand.total()) == (old, 15)
    stand.switch(change.to_promote(stand.manifest, new))
    assert (stand.manifest.live, stand.total()) == (new, 150)
    stand.send(event("a", 6))
    stand.batch("totals")
    stand.switch(change.to_go_back(stand.manifest), back=True)
    assert (stand.manifest.live, stand.total()) == (old, 21), "the old version was kept up to date"
    stand.batch("totals", full=True)
    assert (stand.manifest.live, stand.total()) == (old, 21), "a full batch brings nothing back that was left"
    assert plan(stand.project, stand.project.view("totals")).next == "dovetail promote totals", (
        "it need not be computed"
    )
    stand.switch(change.to_promote(stand.manifest, new))
    assert (stand.manifest.live, stand.total()) == (new, 210)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "name", ["attach.in_force", "batch.run_written", "reprocess.before_staged", "reprocess.staged"]
)
def test_killed_anywhere_it_goes_on_where_it_was(stand: Changing, name: str) -> None:
    new = stand.change("n * 100")
    with killed_at(name):
        stand.reprocess()
    finished = [r.id for r in stand.manifest.staged_of(new)]
    assert len(finished) == (name == "reprocess.staged")
    runs = stand.reprocess().staged_of(new)
    assert [r.id for r in runs][: len(finished)] == finished, "what was finished is not computed again"
    assert (stand.total(), stand.total(runs)) == (10, 1000)
    stand.switch(runs)
    stand.send(event("a", 5))
    stand.batch("totals")
    assert stand.total() == 1500
    stored = {folder.name for folder in stand.layout.of_runs("totals")}
    assert stored == {r.id for each in stand.manifest.sets for r in each if r.id != ORIGIN}, "no table is left over"


def test_two_who_promote_at_once_are_not_both_obeyed(stand: Changing) -> None:
    started, new = stand.manifest, stand.change("n * 1000")
    runs = stand.reprocess().staged_of(new)
    stand.switch(runs)
    with pytest.raises(Busy, match="generation 1 to 2") as said:
        stand.switch(runs, started=started)
    assert "by the test" in said.value.why


def test_a_version_whose_window_has_ended_goes_out_of_force(stand: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL__RETENTION__ROLLBACK_WINDOW", "1 ms")
    monkeypatch.setenv("DOVETAIL__RETENTION__ROLLBACKS", "0")
    old, new = stand.manifest.live, stand.change("n * 2")
    stand.switch(stand.reprocess().staged_of(new))
    stand.send(event("a", 5))
    with killed_at("batch.retired"):
        stand.batch("totals")
    stand.send(event("a", 6))
    stand.batch("totals")
    assert [*DeltaLedger(stand.layout.ledger(stand.name)).rows()[-1].versions] == [new]
    assert (old not in {r[-1].version for r in stand.manifest.sets}, stand.total()) == (True, 42)


def test_what_was_computed_can_be_given_up(stand: Changing) -> None:
    old, new = stand.manifest.live, stand.change("n + 1")
    view = stand.project.view("totals")
    stand.reprocess()
    with killed_at("reprocess.unstaged"):
        reprocessing.give_up(stand.project, view)
    assert new in DeltaLedger(stand.layout.ledger(stand.name)).rows()[-1].versions
    assert reprocessing.give_up(stand.project, view) == new
    assert [*DeltaLedger(stand.layout.ledger(stand.name)).rows()[-1].versions] == [old]
    with pytest.raises(UsageError, match=r"nothing of .* was computed"):
        reprocessing.give_up(stand.project, view)
    stand.switch(stand.reprocess().staged_of(new))
    assert stand.total() == 14


def test_what_answers_can_be_computed_from_scratch(stand: Changing) -> None:
    live = stand.manifest.live
    with pytest.raises(UsageError, match="there is nothing to reprocess"):
        stand.reprocess()
    runs = stand.reprocess(from_scratch=True).staged_of(live)
    before = {r.id for r in stand.manifest.runs}
    stand.switch(runs)
    assert (stand.manifest.live, stand.total(), before.isdisjoint(r.id for r in runs)) == (live, 10, True)


@pytest.mark.usefixtures("small_parts")
def test_a_pause_lets_it_stand_after_a_part(stand: Changing) -> None:
    new = stand.change("n - 1")

    def pause(_: reprocessing.Progress) -> None:
        pauses.pause(stand.layout, "batch", "totals", because="the night is short")

    with pytest.raises(Paused):
        stand.reprocess(on_part=pause)
    assert len(stand.manifest.staged_of(new)) == 1
    pauses.resume(stand.layout, "batch", "totals")
    assert stand.total(stand.reprocess().staged_of(new)) == 6


def test_a_second_one_is_refused(stand: Changing) -> None:
    stand.change("n * 7")
    with (
        held(stand.layout.lock("reprocess-totals"), "a test"),
        pytest.raises(Busy, match="a reprocessing of totals runs already"),
    ):
        stand.reprocess()


def test_a_batch_waits_for_a_part(stand: Changing) -> None:
    stand.send(event("a", 5))
    part = ExitStack()
    part.enter_context(held(stand.layout.lock("batch-totals"), "a part"))
    with held(stand.layout.lock("reprocess-totals"), "a test"):
        threading.Timer(1.0, part.close).start()
        stand.batch("totals")
    with held(stand.layout.lock("batch-totals"), "a part"), pytest.raises(Busy, match="a part"):
        stand.batch("totals")
    assert stand.total() == 15


def test_a_batch_leaves_the_version_in_force_that_is_being_reprocessed(stand: Changing) -> None:
    new = stand.change("n * 7")
    with killed_at("attach.in_force"):
        stand.reprocess()
    stand.send(event("a", 5))
    with held(stand.layout.lock("reprocess-totals"), "a test"):
        stand.batch("totals")
        assert new in DeltaLedger(stand.layout.ledger(stand.name)).rows()[-1].versions
    stand.send(event("a", 5))
    stand.batch("totals")
    assert new not in DeltaLedger(stand.layout.ledger(stand.name)).rows()[-1].versions, (
        "of a killed one nothing is left"
    )


def test_a_diff_tells_what_the_change_makes_of_the_answers(stand: Changing) -> None:
    stand.send(event("b", 100), event("c", 0))
    stand.commit()
    new, view = stand.change("if(key = 'b', n + 1, n)"), stand.project.view("totals")
    runs = stand.reprocess().staged_of(new)
    stand.send(event("b", 100))
    stand.commit()
    found = diff(stand.project, view, stand.manifest, runs, stand.spark)
    groups = found.found
    assert (found.by, groups.groups, groups.gone, groups.new, groups.same) == (("key",), 3, 0, 0, False)
    [measured] = groups.measures
    assert (measured.differing, measured.before, measured.after) == (1, 210, 212)
    assert measured.worst == ({"key": "b", "before": 200, "after": 202},)
    assert diff(stand.project, view, stand.manifest, runs, stand.spark, within=0.01).found.same
    stand.switch(runs)
    same = stand.reprocess(from_scratch=True).staged_of(new)
    assert diff(stand.project, view, stand.manifest, same, stand.spark).found.same
