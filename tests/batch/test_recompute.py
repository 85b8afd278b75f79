"""Which cut a batch chooses, what it compares, and how it goes on when speed is stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.batch import promote, recompute
from dovetail.batch.recompute import Written
from dovetail.shared import commit as steps
from dovetail.shared import manifest as rules
from dovetail.shared.commit import Folded
from dovetail.shared.errors import Busy, GateClosed, IntegrityError, NotYet
from dovetail.shared.imports import File, Import
from dovetail.shared.ledger import Books, LedgerRow, LostRace, VersionId, follows
from dovetail.shared.manifest import Admitted, RunId
from dovetail.shared.position import Position, Range

A, B = VersionId("sales@a"), VersionId("sales@b")
ORIGIN = Position({0: 3})


class Ledger:
    """A LedgerStore in memory; `rival` does something once, just before the next append."""

    def __init__(self) -> None:
        self.stored, self.rival = [], None

    def last(self):
        return self.stored[-1] if self.stored else None

    def rows(self, after=-1):
        return self.stored[after + 1 :]

    def append(self, row):
        rival, self.rival = self.rival, None
        if rival:
            rival()
        if row.seq != len(self.stored):
            raise LostRace("taken")
        follows(self.last(), row)
        self.stored.append(row)


class Manifests:
    """A ManifestStore in memory."""

    def __init__(self, manifest=None) -> None:
        self.now = manifest

    def read(self):
        return self.now

    def swap(self, new):
        self.now = new


class Master:
    """A master that holds every offset from the origin to `claimed` once; a state row a record."""

    def __init__(self, claimed: int) -> None:
        self.claimed, self.runs, self.gaps, self.failed = Position({0: claimed}), [], [], 0

    def claim(self):
        return self.claimed

    def fold(self, span, versions):
        n = records(span)
        return Folded({v: range(n) for v in versions}, Books(consumed=n, decoded=n, offered=n))

    def passed(self):
        return self.gaps

    def counts(self, rows):
        return {r.seq: records(r.range) for r in rows}

    def write_run(self, version, run, rows, imports):
        span = Range(rows[0].range.from_, rows[-1].to)
        self.runs.append((version, run, span))
        admitted = tuple(Admitted(each.id, each.records) for each in imports)
        return Written(records(span), self.counts(rows), self.failed, admitted)


class States:
    def write_states(self, version, commit_id, seq, states):
        return len(states)

    def write_quarantined(self, commit_id, seq, records): ...


def records(span: Range) -> int:
    return sum(b - a for _, a, b in span.partitions())


def commit(ledger, to):
    epoch = ledger.last().epoch
    return steps.commit(ledger, States(), epoch=epoch, to=Position({0: to}), fold=Master(0).fold)


@pytest.fixture
def ledger():
    """Seq 0 opens at 3, seq 1 attaches A, seqs 2 and 3 commit up to 10 and 20."""
    ledger = Ledger()
    steps.open_source(ledger, topic_id="t", origin=ORIGIN)
    steps.attach(ledger, A)
    commit(ledger, 10)
    commit(ledger, 20)
    return ledger


def batch(ledger, manifests, master, version=A, *, full=False, **more):
    return recompute.run(
        "sales", version, full=full, owner="test", manifests=manifests, ledger=ledger, master=master, **more
    )


def test_only_a_run_from_the_beginning_takes_in_imports_and_those_that_join_it_keep_them(ledger):
    manifests, old = Manifests(), [Import(n, "f", (File("a.csv", "00", 1, 5),), 5, 0) for n in (1, 2)]
    batch(ledger, manifests, Master(10), imports=old[:1])
    assert [i.id for i in manifests.now.imports] == [1]
    batch(ledger, manifests, Master(20), imports=old)
    assert [[i.id for i in run.imports] for run in manifests.now.runs] == [[1], []]
    batch(ledger, manifests, Master(20), full=True, imports=old[1:])
    assert [[i.id for i in run.imports] for run in manifests.now.runs] == [[2]]


@pytest.mark.parametrize(("claimed", "cut"), [(25, 3), (20, 3), (19, 2), (10, 2), (9, 1)])
def test_the_cut_is_the_newest_row_that_the_archive_holds_whole(ledger, claimed, cut):
    assert recompute.choose_cut(ledger.rows(), Position({0: claimed}), A).seq == cut


def test_a_version_is_cut_no_earlier_than_where_it_was_attached(ledger):
    steps.attach(ledger, B)
    commit(ledger, 30)
    assert recompute.choose_cut(ledger.rows(), Position({0: 20}), B).seq == 4
    assert recompute.choose_cut(ledger.rows(), Position({0: 19}), B) is None


def test_a_version_that_the_archive_has_not_reached_is_found_out_in_one_pass():
    passes = []

    class Rows(list):
        def __iter__(self):
            passes.append(len(self))
            return super().__iter__()

    rows = Rows(LedgerRow(n, 0, "commit", Range(at(n), at(n + 1)), {A: 1}, "t") for n in range(50))
    rows.append(LedgerRow(50, 0, "attach", Range(at(50), at(50)), {A: 0, B: 0}, "t"))
    assert recompute.choose_cut(rows, at(49), B) is None
    assert len(passes) == 1


def at(offset: int) -> Position:
    return Position({0: offset})


def test_a_batch_that_the_archive_has_not_reached_says_so(ledger):
    steps.attach(ledger, B)
    with pytest.raises(NotYet, match="cannot be computed yet"):
        batch(ledger, Manifests(), Master(19), B)


def test_the_first_batch_covers_all_from_the_origin_on(ledger):
    manifest = batch(ledger, Manifests(), Master(20))
    (only,) = manifest.runs
    assert (only.from_seq, only.to_seq, only.records) == (-1, 3, 17)
    assert (only.range.from_, only.cut) == (ORIGIN, Position({0: 20}))


def test_an_incremental_batch_joins_the_runs_that_are_there(ledger):
    manifests, master = Manifests(), Master(40)
    batch(ledger, manifests, master)
    commit(ledger, 30)
    manifest = batch(ledger, manifests, master)
    assert [(r.from_seq, r.to_seq, r.records) for r in manifest.runs] == [(-1, 3, 17), (3, 4, 10)]


def test_a_full_batch_starts_again_from_the_origin(ledger):
    manifests = Manifests()
    batch(ledger, manifests, Master(20))
    manifest = batch(ledger, manifests, Master(20), full=True)
    assert [(r.from_seq, r.to_seq) for r in manifest.runs] == [(-1, 3)]
    assert manifest.generation == 1


def test_without_a_new_record_nothing_is_written(ledger):
    manifests, master = Manifests(), Master(20)
    batch(ledger, manifests, master)
    steps.open_epoch(ledger)
    assert batch(ledger, manifests, master) is None
    assert len(master.runs) == 1


def test_a_version_that_was_out_of_force_gets_a_run_without_a_new_record(ledger):
    manifests, master = Manifests(), Master(20)
    batch(ledger, manifests, master)
    steps.detach(ledger, A)
    steps.attach(ledger, A)
    assert batch(ledger, manifests, master).seq == ledger.last().seq


def test_a_new_batch_drops_the_pins_of_a_killed_one(ledger):
    manifests = Manifests()
    batch(ledger, manifests, Master(20))
    manifests.now = rules.pinned(manifests.now, RunId("dead"), rules.Pin(A, 1, "killed"))
    batch(ledger, manifests, Master(20))
    assert manifests.now.pins == {}


def test_a_master_that_holds_another_number_of_records_than_were_consumed_stops_the_batch(ledger):
    manifests, master = Manifests(), Master(20)
    master.counts = lambda rows: {2: 7, 3: 9}
    with pytest.raises(IntegrityError, match=r"holds 9 records of ledger seq 3 .* consumed 10"):
        batch(ledger, manifests, master)
    assert manifests.now is None


@pytest.mark.parametrize(("version", "lacks"), [(A, ""), (B, "0@8..10 0@10..12")])
def test_what_is_in_no_place_any_more_is_compared_with_nothing_and_named_where_the_version_never_counted_it(
    ledger, version, lacks
):
    steps.attach(ledger, B)
    master = Master(20)
    master.gaps = [Range(Position({0: 8}), Position({0: 12}))]
    master.counts = lambda rows: {2: 5, 3: 8}
    (run,) = batch(ledger, Manifests(), master, version).runs
    assert run.lacks == lacks


def test_a_lost_row_is_no_commit_to_compare(ledger):
    steps.pass_lost(ledger, Range(Position({0: 20}), Position({0: 24})), because="gone")
    commit(ledger, 30)
    master = Master(30)
    master.counts = lambda rows: {2: 7, 3: 10, 5: 6}
    (run,) = batch(ledger, Manifests(), master).runs
    assert (run.cut, run.records) == (Position({0: 30}), 23)


def test_a_batch_killed_while_it_writes_leaves_what_answers(ledger):
    manifests, master = Manifests(), Master(20)
    before = batch(ledger, manifests, master)
    master.write_run = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        batch(ledger, manifests, master, full=True)
    assert manifests.now.runs == before.runs


def caught_up(ledger, master):
    return recompute.catch_up(ledger, States(), master, slices=lambda span: [Position({0: span.from_[0] + 1}), span.to])


def test_what_the_archive_holds_beyond_the_ledger_is_committed_in_slices(ledger):
    assert caught_up(ledger, Master(25)) == 5
    opened, one, rest = ledger.rows(after=3)
    assert (opened.kind, one.to, rest.to) == ("open", Position({0: 21}), Position({0: 25}))
    assert [set(r.versions) for r in (one, rest)] == [{A}, {A}]


@pytest.mark.parametrize("claimed", [0, 19, 20])
def test_an_archive_that_is_not_ahead_changes_nothing(ledger, claimed):
    assert caught_up(ledger, Master(claimed)) == 0
    assert ledger.last().seq == 3


def test_a_paused_writer_that_commits_before_the_fence_is_taken_into_account(ledger):
    ledger.rival = lambda: commit(ledger, 28)
    assert caught_up(ledger, Master(25)) == 0
    assert ledger.last().to == Position({0: 28})


def test_a_source_that_was_never_opened_has_nothing_to_catch_up():
    assert caught_up(Ledger(), Master(25)) == 0


def test_a_run_that_is_judged_wrong_does_not_answer_and_its_pin_goes(ledger):
    manifests, judged = Manifests(), []
    before = batch(ledger, manifests, Master(10))

    def judge(started, runs):
        judged.append((started.runs, [(r.from_seq, r.to_seq) for r in runs]))
        raise GateClosed("too far")

    with pytest.raises(GateClosed):
        batch(ledger, manifests, Master(20), judge=judge)
    assert judged == [(before.runs, [(-1, 2), (2, 3)])]
    assert (manifests.now.runs, manifests.now.generation, manifests.now.pins) == (before.runs, before.generation, {})


def test_what_a_judge_says_is_written_in_the_history(ledger):
    manifest = batch(ledger, Manifests(), Master(20), judge=lambda *_: " despite its gates: meant")
    assert manifest.note == "incremental batch by test despite its gates: meant"


def test_a_batch_does_not_undo_what_was_promoted_while_it_ran(ledger):
    """As a scheduled one would, that began before a person promoted and ends after."""
    steps.attach(ledger, B)
    manifests, master = Manifests(), Master(20)
    batch(ledger, manifests, Master(10))
    other = (
        replace(manifests.now.runs[0], id=RunId("b"), version=B, to_seq=4, range=Range(ORIGIN, Position({0: 20}))),
    )

    def promoted_meanwhile(version, run, rows, imports):
        started = manifests.now
        manifests.swap(rules.staged(started, other, note=""))
        promote.switch(manifests, ledger, view="sales", started=started, to=other, note="by ann")
        return Written(1, master.counts(rows))

    master.write_run = promoted_meanwhile
    with pytest.raises(Busy, match="generation 0 to 1") as said:
        batch(ledger, manifests, master)
    assert "by ann" in said.value.why
    assert manifests.now.runs == other


def test_after_a_rollback_a_batch_goes_on_with_the_version_gone_back_to(ledger):
    steps.attach(ledger, B)
    manifests = Manifests()
    batch(ledger, manifests, Master(20))
    old = manifests.now.runs
    other = (replace(old[0], id=RunId("b"), version=B, to_seq=4),)
    manifests.swap(rules.promoted(manifests.now, other, keep=2, note=""))
    promote.switch(manifests, ledger, view="sales", started=manifests.now, to=old, note="back")
    commit(ledger, 30)
    manifest = batch(ledger, manifests, Master(30), version=manifests.now.live)
    assert (manifest.live, manifest.runs[: len(old)]) == (A, old)
