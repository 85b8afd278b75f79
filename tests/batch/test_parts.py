"""How a history is cut into parts."""

from __future__ import annotations

import pytest

from dovetail.batch.reprocessing import _taken
from dovetail.shared.ledger import Books, CommitId, LedgerRow, VersionId
from dovetail.shared.position import Position, Range

V = VersionId("sales@a")


def rows(*consumed: int) -> list[LedgerRow]:
    """Ledger rows of so many records each; one of none is an attach."""
    made, at = list[LedgerRow](), 0
    for seq, n in enumerate(consumed):
        span = Range(Position({0: at}), Position({0: at + n}))
        made.append(
            LedgerRow(
                seq, 0, "commit" if n else "attach", span, {V: 0}, "t", CommitId(f"{seq}"), books=Books(consumed=n)
            )
        )
        at += n
    return made


@pytest.mark.parametrize(
    ("consumed", "taken"),
    [((5, 5, 5), 2), ((5, 5, 0, 0), 4), ((5, 5, 0, 5), 3), ((0, 0, 20, 0), 4), ((3, 3, 3), 3)],
    ids=["as many as hold so many", "rows of none at the end", "and in between", "one row of more", "all there is"],
)
def test_a_part_takes_rows_of_no_record_that_follow_for_they_would_cost_a_run_of_their_own(consumed, taken):
    every = rows(*consumed)
    assert len(_taken(every, Position({0: 100}), goal=99, size=10)) == taken
