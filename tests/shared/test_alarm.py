"""When too much goes to quarantine: how far is looked back, and what stops."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

import dovetail as dv
from dovetail.shared.alarm import MOST, Alarm, recent
from dovetail.shared.commit import Folded
from dovetail.shared.errors import RuleBroken
from dovetail.shared.ledger import Books, LedgerRow
from dovetail.shared.position import Position, Range

SOURCE = dv.source("lines", schema="n int")
SPAN = Range(Position({0: 4}), Position({0: 9}))


class Ledger:
    """A LedgerStore in memory that counts how many rows were read of it."""

    def __init__(self, *commits: tuple[int, int]) -> None:
        self.stored: list[LedgerRow] = []
        self.read = 0
        self.row("open", 0, 0)
        for consumed, quarantined in commits:
            self.row("commit", consumed, quarantined)

    def row(self, kind: str, consumed: int, quarantined: int) -> None:
        books = Books(consumed, consumed - quarantined, quarantined, offered=consumed - quarantined)
        seq = len(self.stored)
        self.stored.append(LedgerRow(seq, 0, kind, Range(Position(), Position()), {}, "t", books=books))

    def last(self) -> LedgerRow:
        return self.stored[-1]

    def rows(self, after: int = -1) -> Sequence[LedgerRow]:
        rows = self.stored[after + 1 :]
        self.read += len(rows)
        return rows

    def append(self, row: LedgerRow) -> None:
        raise NotImplementedError


def folded(consumed: int, *reasons: str) -> Folded:
    n = len(reasons)
    table = pa.table({"partition": [0] * n, "offset": [*range(9, 9 - n, -1)], "reason": [*reasons]})
    return Folded({}, Books(consumed, consumed - n, n, offered=consumed - n), quarantined=table if n else None)


def said(ledger: Ledger, found: Folded, limit: float = 0.2) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        Alarm(SOURCE, ledger, limit).check(found, SPAN)
    return caught.value


def test_as_few_commits_are_looked_at_as_hold_a_thousand_records() -> None:
    assert (recent([(999, 1), (1, 1), (50, 50)]).commits, recent([(1000, 0), (9, 9)]).quarantined) == (2, 0)


def test_no_more_than_twenty_commits_are_looked_at_and_fewer_records_tell_nothing() -> None:
    found = recent([(49, 49)] * 30)
    assert (found.commits, found.consumed) == (20, 980)
    assert not found.above(0.01)


def test_the_error_names_the_setting_the_top_reason_and_its_first_record() -> None:
    error = said(Ledger((700, 0), (900, 199)), folded(100, "no at", "not UTF-8", "no at"))
    assert error.what == "lines: 202 of 1,000 records (20.2%) of the last 2 commits go to quarantine, more than 20%"
    assert error.where == "speed.stop_if_quarantined in dovetail.toml"
    assert error.why == "of 0@4..9, which is not committed, 2 for the reason 'no at', the first 0@7"
    assert error.next == "dovetail quarantine list lines"


def test_a_share_that_is_the_limit_goes_through() -> None:
    Alarm(SOURCE, Ledger((900, 199)), 0.2).check(folded(100, "no at"), SPAN)


def test_a_commit_without_any_goes_through_whatever_came_before() -> None:
    Alarm(SOURCE, Ledger((900, 900)), 0.2).check(folded(100), SPAN)


def test_rows_between_commits_change_nothing_and_only_new_ones_are_read() -> None:
    ledger = Ledger((500, 100), (499, 99))
    alarm = Alarm(SOURCE, ledger, 0.2)
    alarm.check(folded(1, "no at"), Range(Position(), Position({0: 1})))
    for _ in range(2 * MOST):
        ledger.row("supersede", 0, 0)
    read = ledger.read
    with pytest.raises(RuleBroken):
        alarm.check(folded(2, "no at", "no at"), SPAN)
    assert ledger.read == read + 2 * MOST
