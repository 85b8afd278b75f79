"""What is imported is refused where nobody knows whether speed has counted the same events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dovetail as dv
from dovetail.batch import import_overlap
from dovetail.batch.import_overlap import overlapping
from dovetail.shared import commit
from dovetail.shared.claims import Claims
from dovetail.shared.errors import UsageError
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Extent
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout

LINES = dv.source("lines", schema="id int, at timestamp", event_time="at", event_id="id")
GONE = Range(Position({0: 6}), Position({0: 12}))


class StubLog:
    """A topic of one partition that begins at 12."""

    def extent(self, topic: str) -> Extent:
        return Extent(topic, "t", Position({0: 12}), Position({0: 20}))


class Asked(Exception):
    """The log was asked for the events."""


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The archive holds what came up to 0@6."""

    def asked(*_: Any) -> None:
        raise Asked

    monkeypatch.setattr(import_overlap, "_in_log", asked)
    found = Layout(tmp_path)
    commit.open_source(DeltaLedger(found.ledger("lines")), topic_id="t", origin=Position({0: 2}))
    Claims(found.claims("lines")).append(Position({0: 6}))
    return found


def read(layout: Layout, to: int) -> None:
    """A commit up to here."""
    ledger = DeltaLedger(layout.ledger("lines"))
    version = VersionId("sales@a")
    commit.attach(ledger, version)
    ledger.append(LedgerRow(2, 0, "commit", Range(Position({0: 2}), Position({0: to})), {version: 1}, "t"))


def overlap(layout: Layout, *, where: str = "") -> None:
    overlapping(None, LINES, where, layout, StubLog(), None)


@pytest.mark.parametrize("accepted", [False, True])
def test_what_speed_counted_and_nobody_holds_can_be_compared_with_nothing(layout: Layout, accepted: bool) -> None:
    read(layout, 9)
    if accepted:
        Claims(layout.claims("lines")).pass_(GONE, why="retention")
    with pytest.raises(UsageError, match=r"nobody can tell whether 0@6\.\.12 of the log held") as refused:
        overlap(layout)
    assert "--where \"at < '…'\"" in refused.value.next
    with pytest.raises(Asked):
        overlap(layout, where="at < '2019-01-01'")


@pytest.mark.parametrize("accepted", [False, True])
def test_what_nobody_counted_may_come_in_again(layout: Layout, accepted: bool) -> None:
    read(layout, 6)
    if accepted:
        Claims(layout.claims("lines")).pass_(GONE, why="retention")
    with pytest.raises(Asked):
        overlap(layout)
