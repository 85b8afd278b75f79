"""The rules of the ledger: contiguity, coverage, visibility, balanced books."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import Books, LedgerRow, VersionId, checked, covered, follows, new_commit_id, visible
from dovetail.shared.position import Position, Range

A, B = VersionId("sales@a"), VersionId("sales@b")
ORIGIN = Position({0: 3})


def row(seq: int, first: int, end: int, **other) -> LedgerRow:
    span = Range(Position({0: first}), Position({0: end}))
    kind = "open" if span.empty else "commit"
    return LedgerRow(
        **{"seq": seq, "epoch": 1, "kind": kind, "range": span, "versions": {A: 1}, "topic_id": "t"} | other
    )


def chain(*versions_of_each: dict[VersionId, int]) -> list[LedgerRow]:
    return [row(seq, 3 + max(seq - 1, 0), 3 + seq, versions=v) for seq, v in enumerate(versions_of_each)]


def test_a_ledger_begins_empty_at_the_origin():
    follows(None, row(0, 3, 3))
    for wrong in (row(1, 3, 3), row(0, 3, 4)):
        with pytest.raises(IntegrityError, match="begins with seq 0"):
            follows(None, wrong)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (row(2, 5, 6), "jumps"),
        (row(1, 6, 7), "skips"),
        (row(1, 4, 7), "repeats"),
        (row(1, 5, 6, kind="attach"), "its range is empty"),
        (row(1, 5, 6, books=Books(consumed=2, decoded=1)), "balance"),
    ],
)
def test_a_row_that_does_not_follow_is_refused(after, message):
    with pytest.raises(IntegrityError, match=message):
        follows(row(0, 5, 5), after)


def test_a_range_of_holes_is_still_a_commit():
    follows(row(0, 5, 5), row(1, 5, 9, books=Books()))


def test_a_new_partition_begins_at_zero():
    before = row(0, 5, 5)
    follows(before, replace(before, seq=1, kind="commit", range=Range(before.to, Position({0: 5, 1: 4}))))
    from_the_middle = Range(Position({0: 5, 1: 2}), Position({0: 5, 1: 4}))
    with pytest.raises(IntegrityError, match="skips"):
        follows(before, replace(before, seq=1, kind="commit", range=from_the_middle))


def test_rows_are_checked_in_order_of_seq_and_a_slice_may_begin_anywhere():
    rows = chain({A: 1}, {A: 1}, {A: 1}, {A: 1})
    assert checked(reversed(rows)) == rows
    assert checked(rows[2:]) == rows[2:]
    with pytest.raises(IntegrityError, match="jumps"):
        checked([rows[1], rows[3]])


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(-1, 5))
def test_a_run_covers_when_every_later_row_and_the_last_one_name_its_version(named, seq):
    rows = chain(*({A: 0} if n else {B: 0} for n in named))
    assert covered(A, seq, rows) == (all(named[seq + 1 :]) and named[-1])


def test_nothing_is_covered_by_an_empty_ledger():
    assert not covered(A, 0, [])


def test_a_version_detached_and_attached_again_is_not_covered_by_what_it_was_before():
    rows = chain({A: 1}, {B: 1}, {A: 0, B: 0})
    assert not covered(A, 0, rows)
    assert covered(A, 2, rows)


def test_only_commits_that_hold_states_of_the_version_above_the_seq_are_visible():
    rows = chain({A: 1}, {A: 2, B: 3}, {A: 0, B: 1}, {B: 1})
    assert visible(A, rows, after=0) == {rows[1].commit_id: 2}
    assert visible(B, rows, after=1) == {rows[2].commit_id: 1, rows[3].commit_id: 1}


def test_every_attempt_has_its_own_commit_id():
    assert new_commit_id() != new_commit_id()
    assert row(1, 3, 4).commit_id != row(1, 3, 4).commit_id


@pytest.mark.parametrize(
    "books",
    [
        Books(consumed=1),
        Books(consumed=1, decoded=1),
        Books(decoded=1, offered=1),
        Books(3, 2, 1, 1, 1, 1),
        Books(1, 1, 0, 0, 0, 1, 1),
    ],
)
def test_books_that_do_not_balance_are_refused(books):
    with pytest.raises(IntegrityError, match="balance"):
        books.check()


def test_the_sum_of_balanced_books_balances():
    total = Books(5, 4, 1, 1, 1, 1, 1) + Books(2, 2, 0, 0, 0, 1, 1)
    total.check()
    assert total == Books(7, 6, 1, 1, 1, 2, 2)
