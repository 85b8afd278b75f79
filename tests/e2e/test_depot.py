"""A depot that runs from the first test to the last: whatever happens to its processes, every answer stays true.

The tests share one running system and go in this order; each leaves it exact. Between them a client asks all views on
and on, and every answer it got is held against the truth at the position that its receipt states.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest
from depot_scans import Record, records
from depot_truth import DEPOT, ORACLES, first_ones, totals_of_heavier
from e2e_oracle import Oracle
from e2e_system import System

from dovetail.shared.errors import Busy
from dovetail.shared.ledger import CommitId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.states import DeltaStates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(400)]

BURST = 250
bursts = count(1)
SENT: list[Record] = []

FIRST = "speed.batch_begin:crash|nth=2"
"""Each start of speed makes one commit of what came while it was down; the next commit is the one that is hit."""
KILLS = {
    FIRST: "speed.before_ledger:crash|nth=2",
    "speed.before_ledger:crash|nth=2": "speed.after_ledger:crash|nth=2",
    "speed.after_ledger:crash|nth=2": "",
}
"""Where speed is killed, and where the job that takes over will be."""


@pytest.fixture(scope="module")
def system(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("depot") / "project"
    with System.create(DEPOT, folder, log, topic="depot.scans.through-it-all", partitions=3) as system:
        yield system


@pytest.fixture
def depot(system: System, request: pytest.FixtureRequest) -> System:
    """The running system, unless an earlier test has left it wounded."""
    failed = request.session.testsfailed
    assert system.failures in (None, failed), "an earlier test of this file failed"
    system.failures = failed
    return system


def burst() -> Iterator[Record]:
    n = next(bursts)
    return records(BURST, seed=n, sent=SENT)


def test_late_future_dated_and_broken_records_are_answered_exactly_from_the_stream_alone(depot: System) -> None:
    depot.topic.send(burst())
    depot.start("archive", failpoint="archive.before_claim:crash|nth=2", wait=False)
    depot.start("speed", failpoint=FIRST)
    depot.serve()
    depot.exact()
    depot.wait_claimed()


def test_a_batch_while_all_runs_moves_the_cut_and_changes_no_answer(depot: System, spark: SparkSession) -> None:
    depot.batch(spark)
    depot.exact()
    assert all(depot.ask(view)["receipt"]["cut"] == depot.topic.end.as_json() for view in ORACLES)


def test_what_cannot_be_read_is_kept_byte_for_byte_and_the_stream_goes_on(depot: System) -> None:
    kept = DeltaStates(depot.project.layout, "scans").quarantined().to_pylist()
    broken = [(p.partition, p.offset, r.key, r.value) for p, r in depot.topic.sent.items() if r.scan is None]
    assert len(broken) > 5
    assert sorted((r["partition"], r["offset"]) for r in kept) == sorted(b[:2] for b in broken)
    assert {(r["partition"], r["offset"], r["key"], r["value"]) for r in kept} == set(broken)


def test_a_second_speed_job_is_refused_with_the_owner_of_the_first(depot: System, spark: SparkSession) -> None:
    from dovetail.speed.job import run

    pid = depot.stack.children["speed"].process.pid
    with pytest.raises(Busy, match=f"the speed job of scans runs already: pid {pid} "):
        run(depot.project, depot.source, depot.topic.log, spark)


def test_archive_and_speed_die_of_the_same_records_and_go_on(depot: System) -> None:
    depot.topic.send(burst())
    depot.died("archive", "speed")
    depot.topic.send(burst())
    depot.start("archive", wait=False)
    depot.start("speed", failpoint=KILLS[FIRST])
    depot.exact()
    depot.wait_ready("archive")
    depot.wait_claimed()


@pytest.mark.parametrize("point", list(KILLS)[1:2], ids=lambda p: p.split(":")[0])
def test_speed_killed_in_mid_write_leaves_what_nobody_sees(depot: System, point: str) -> None:
    depot.topic.send(burst())
    depot.died("speed")
    assert orphans(depot)
    depot.topic.send(burst())
    depot.start("speed", failpoint=KILLS[point])
    depot.exact()


def test_a_batch_killed_before_it_promotes_leaves_the_old_runs_answering(depot: System, spark: SparkSession) -> None:
    before = depot.ask("seen")["receipt"]["runs"]
    depot.start("batch", "seen", failpoint="batch.before_promote:crash", wait=False)
    depot.died("batch")
    depot.exact()
    assert depot.ask("seen")["receipt"]["runs"] == before
    depot.batch(spark, "seen")
    depot.exact()
    assert depot.ask("seen")["receipt"]["runs"][:-1] == before


def test_with_speed_killed_after_its_ledger_row_batch_goes_on_alone(depot: System, spark: SparkSession) -> None:
    depot.topic.send(burst())
    depot.died("speed")
    assert not orphans(depot)
    depot.topic.send(burst())
    depot.wait_claimed()
    depot.batch(spark, "seen", "flow")
    depot.exact()
    depot.topic.send(burst())
    depot.start("speed")
    depot.exact()


def test_partitions_added_while_all_runs_are_read_from_their_first_record_on(depot: System) -> None:
    depot.topic.add_partitions(total=5)
    depot.topic.send(burst(), partition=4)
    depot.topic.send(burst())
    assert {3, 4} <= {place.partition for place in depot.topic.sent}
    depot.exact()


def test_aborted_records_are_never_counted_and_holes_in_the_offsets_are_no_gap(
    depot: System, spark: SparkSession
) -> None:
    depot.topic.send_in_transaction(burst(), commit=False)
    depot.topic.send_in_transaction(burst(), commit=True)
    depot.topic.send_in_transaction(burst(), commit=False)
    depot.topic.send(burst())
    depot.exact()
    depot.wait_claimed()
    depot.batch(spark, "seen")
    depot.exact()


def test_a_changed_view_is_adopted_while_speed_runs(depot: System, spark: SparkSession) -> None:
    changed = Oracle((), "1d", totals_of_heavier)
    old = depot.ask("totals")["receipt"]["version"]
    depot.change("totals", changed, ('where="weight > 10"', 'where="weight > 20"'))
    depot.topic.send(burst())
    depot.wait_claimed()
    depot.batch(spark, "totals", full=True)
    depot.exact()
    assert depot.ask("totals")["receipt"]["version"] != old
    depot.topic.send(burst())
    depot.exact()


def test_the_proof_holds_after_all_this(depot: System, spark: SparkSession) -> None:
    from dovetail.batch.prove import prove

    depot.wait_claimed()
    proof = prove(depot.project, depot.source, depot.topic.log, spark)
    assert proof is not None
    assert proof.problems == []
    assert (proof.lost, proof.doubled) == (0, 0)
    assert proof.books.consumed == len(depot.topic.sent)
    assert proof.books.quarantined == sum(r.scan is None for r in depot.topic.sent.values())
    assert proof.books.offered == len(first_ones(depot.topic.sent.values()))
    assert proof.books.repeats > 20


def orphans(depot: System) -> set[CommitId]:
    """The commit ids under which states above the cut were written that no ledger row names."""
    rows = DeltaLedger(depot.project.layout.ledger("scans")).rows()
    states = DeltaStates(depot.project.layout, "scans")
    after = min(depot.ask(view)["receipt"]["seq"] for view in ORACLES)
    written = {commit for version in rows[-1].versions for commit in states.commits(version, after)}
    return written - {row.commit_id for row in rows}
