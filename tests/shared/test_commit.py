"""How a ledger grows: epochs, attach and detach, and commits that lose a race or are fenced."""

from __future__ import annotations

from dataclasses import replace

import pytest
from killed import killed_at

from dovetail.shared import commit as steps
from dovetail.shared.commit import Folded
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import Books, Fenced, Judged, LedgerRow, LostRace, VersionFails, VersionId, follows
from dovetail.shared.position import Position

A, B = VersionId("sales@a"), VersionId("sales@b")
ORIGIN, END = Position({0: 3}), Position({0: 8})


class Ledger:
    """A LedgerStore in memory; `rival` does something once, just before the next append."""

    def __init__(self) -> None:
        self.stored: list[LedgerRow] = []
        self.rival = None

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


class States:
    """A CommitStore in memory."""

    def __init__(self) -> None:
        self.written, self.quarantined, self.apart = [], [], []

    def write_states(self, version, commit_id, seq, states):
        self.written.append((version, commit_id, seq))
        return len(states)

    def write_quarantined(self, commit_id, seq, records):
        self.quarantined.append((commit_id, seq, records))

    def write_repeats(self, *given):
        self.apart.append(("repeats", *given))

    def write_failing(self, *given):
        self.apart.append(("failing", *given))


@pytest.fixture
def ledger():
    ledger = Ledger()
    steps.open_source(ledger, topic_id="t", origin=ORIGIN)
    steps.attach(ledger, A)
    return ledger


def fold(span, versions):
    return Folded({v: ["x", "y"] for v in versions}, Books(consumed=5, decoded=5, offered=5), newest=7)


def test_a_source_is_opened_once_at_its_origin(ledger):
    assert (ledger.stored[0].seq, ledger.stored[0].to, ledger.stored[0].versions) == (0, ORIGIN, {})
    assert steps.open_source(ledger, topic_id="t", origin=Position({0: 99})) == ledger.last()


def test_two_that_open_a_source_agree():
    ledger = Ledger()
    ledger.rival = lambda: steps.open_source(ledger, topic_id="t", origin=ORIGIN)
    assert steps.open_source(ledger, topic_id="t", origin=ORIGIN).to == ORIGIN
    assert len(ledger.stored) == 1


def test_a_commit_publishes_its_range_for_every_version_in_force(ledger):
    steps.attach(ledger, B)
    states, epoch = States(), steps.open_epoch(ledger)
    row = steps.commit(ledger, states, epoch=epoch, to=END, fold=fold)
    assert (row.range.from_, row.to, row.versions, row.newest) == (ORIGIN, END, {A: 2, B: 2}, 7)
    assert states.written == [(A, row.commit_id, row.seq), (B, row.commit_id, row.seq)]
    assert ledger.last() == row


def test_what_rules_said_of_a_commit_is_in_its_row(ledger):
    broken, stats = {Judged("n > 0", "drop"): 2}, {"n": {"nulls": 1}}

    def judged(span, versions):
        books = Books(consumed=7, decoded=7, offered=5, dropped=2)
        return replace(fold(span, versions), books=books, decoder="d", broken=broken, stats=stats)

    row = steps.commit(ledger, States(), epoch=steps.open_epoch(ledger), to=END, fold=judged)
    assert ledger.last() == row
    assert (row.books.dropped, row.decoder, row.broken, row.stats) == (2, "d", broken, stats)


@pytest.mark.parametrize(
    "point",
    [
        "speed.batch_begin",
        "speed.quarantine_written",
        "speed.repeats_written",
        "speed.failing_written",
        "speed.between_versions",
        "speed.before_ledger",
    ],
)
def test_killed_before_its_row_a_commit_never_was_and_the_next_one_has_its_range(ledger, point):
    def whole(span, versions):
        books = Books(consumed=9, decoded=8, quarantined=1, repeats=1, failed=2, offered=5)
        return replace(
            fold(span, versions), books=books, quarantined=["bad"], repeats=["again"], failing={A: ["x", "y"]}
        )

    states, epoch = States(), steps.open_epoch(ledger)
    before = ledger.last()
    with killed_at(point):
        steps.commit(ledger, states, epoch=epoch, to=END, fold=whole)
    assert ledger.last() == before
    row = steps.commit(ledger, states, epoch=epoch, to=END, fold=whole)
    assert row.commit_id not in {commit_id for commit_id, *_ in states.quarantined[:-1]}
    assert (ledger.last(), row.range.from_) == (row, ORIGIN)


def test_quarantined_records_are_kept_under_the_commit_id(ledger):
    states = States()

    def with_quarantined(span, versions):
        return replace(fold(span, versions), quarantined=["bad"], books=Books(6, 5, 1, 0, 0, 5))

    row = steps.commit(ledger, states, epoch=steps.open_epoch(ledger), to=END, fold=with_quarantined)
    assert states.quarantined == [(row.commit_id, row.seq, ["bad"])]


def test_what_is_set_apart_is_kept_under_the_commit_id(ledger):
    states, books = States(), Books(7, 7, 0, 1, 1, 5)

    def with_both(span, versions):
        return replace(fold(span, versions), books=books, repeats=["again"], failing={A: ["raises"]})

    row = steps.commit(ledger, states, epoch=steps.open_epoch(ledger), to=END, fold=with_both)
    where = row.commit_id, row.seq
    assert states.apart == [("repeats", *where, ["again"]), ("failing", *where, ["raises"])]
    assert row.failing == {A: 1}


def test_a_version_that_cannot_be_had_of_a_range_is_detached_and_the_others_go_on(ledger):
    def failing(span, versions):
        if B in versions:
            raise VersionFails(B, "OVERFLOW")
        return fold(span, versions)

    steps.attach(ledger, B)
    row = steps.commit(ledger, States(), epoch=steps.open_epoch(ledger), to=END, fold=failing)
    detached = ledger.stored[-2]
    assert (detached.kind, detached.to, detached.note) == ("detach", ORIGIN, "it raises OVERFLOW for records 0@3..8")
    assert (row.range.from_, row.versions) == (ORIGIN, {A: 2})


def test_a_commit_that_loses_to_an_attach_is_folded_again_under_a_new_id(ledger):
    states, epoch = States(), steps.open_epoch(ledger)
    ledger.rival = lambda: steps.attach(ledger, B)
    row = steps.commit(ledger, states, epoch=epoch, to=END, fold=fold)
    assert row.versions == {A: 2, B: 2}
    (lost, first_id, _), *again = states.written
    assert lost == A
    assert first_id != row.commit_id
    assert {(v, c) for v, c, _ in again} == {(A, row.commit_id), (B, row.commit_id)}


def test_a_commit_that_loses_to_a_supersede_row_is_folded_again_in_its_epoch(ledger):
    states, epoch = States(), steps.open_epoch(ledger)
    ledger.rival = lambda: steps.supersede(ledger, lambda *_: None, allowed=lambda _: None)
    row = steps.commit(ledger, states, epoch=epoch, to=END, fold=fold)
    assert [r.kind for r in ledger.stored[-2:]] == ["supersede", "commit"]
    assert (row.range.from_, row.to, row.versions) == (ORIGIN, END, {A: 2})
    assert [c for _, c, _ in states.written] != [row.commit_id] * 2


def test_a_supersede_row_has_an_empty_range_and_keeps_versions_and_epoch(ledger):
    before, written = ledger.last(), []
    row = steps.supersede(ledger, lambda *where: written.append(where), allowed=lambda _: None, decoder="d")
    assert (row.kind, row.range.empty, row.to, row.decoder) == ("supersede", True, before.to, "d")
    assert (row.versions, row.epoch) == ({A: 0}, before.epoch)
    assert written == [(row.commit_id, row.seq)]


def test_what_may_be_superseded_is_asked_again_after_a_lost_race(ledger):
    asked, written = [], []

    def allowed(last):
        asked.append(last.seq)
        if B in last.versions:
            raise IntegrityError("counted")

    ledger.rival = lambda: steps.attach(ledger, B)
    with pytest.raises(IntegrityError, match="counted"):
        steps.supersede(ledger, lambda *where: written.append(where), allowed=allowed)
    assert asked == [1, 2]
    assert ledger.last().kind == "attach"
    assert ledger.last().commit_id not in dict(written)


@pytest.mark.parametrize("moment", ["before", "at the append"])
def test_a_writer_of_an_older_epoch_is_fenced(ledger, moment):
    epoch = steps.open_epoch(ledger)
    if moment == "before":
        steps.open_epoch(ledger)
    else:
        ledger.rival = lambda: steps.open_epoch(ledger)
    with pytest.raises(Fenced, match="was opened after this writer's epoch"):
        steps.commit(ledger, States(), epoch=epoch, to=END, fold=fold)
    assert ledger.last().kind == "open"


def test_each_epoch_is_one_above_the_last_whoever_wins(ledger):
    first = steps.open_epoch(ledger)
    ledger.rival = lambda: steps.open_epoch(ledger)
    assert steps.open_epoch(ledger) == first + 2


def test_attach_and_detach_are_rows_with_an_empty_range(ledger):
    attached = steps.attach(ledger, B, note="new")
    assert (attached.kind, attached.range.empty, set(attached.versions), attached.note) == (
        "attach",
        True,
        {A, B},
        "new",
    )
    detached = steps.detach(ledger, A)
    assert (detached.kind, detached.range.empty, set(detached.versions)) == ("detach", True, {B})


def test_what_is_so_already_is_not_written_again(ledger):
    before = ledger.last()
    assert steps.attach(ledger, A) == before
    assert steps.detach(ledger, B) == before
    assert ledger.last() == before


def test_books_that_do_not_balance_are_never_published(ledger):
    before, states = ledger.last(), States()

    def unbalanced(span, versions):
        return replace(fold(span, versions), books=Books(consumed=1))

    with pytest.raises(IntegrityError, match="balance"):
        steps.commit(ledger, states, epoch=before.epoch, to=END, fold=unbalanced)
    assert (ledger.last(), states.written) == (before, [])
