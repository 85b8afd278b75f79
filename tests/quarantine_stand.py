"""A source with records in quarantine, written as commits write them; for tests without Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from dovetail.shared import supersede
from dovetail.shared.commit import open_source
from dovetail.shared.commit import supersede as append_supersede
from dovetail.shared.ledger import Books, LedgerRow, VersionId, new_commit_id
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.states import QUARANTINE, DeltaStates
from dovetail.shared.tables import Layout

BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Bad:
    """One record to be quarantined."""

    partition: int
    offset: int
    reason: str = "not a JSON object"
    value: bytes | None = b"broken"
    key: bytes | None = b"k"
    minutes: int = 0

    def row(self) -> dict[str, object]:
        at = BEGAN + timedelta(minutes=self.minutes)
        return {
            "partition": self.partition, "offset": self.offset, "timestamp": at, "key": self.key, "value": self.value,
            "reason": self.reason,
        }  # fmt: skip


class Stand:
    """The ledger and the quarantine of one source, two partitions from their origin on."""

    def __init__(self, layout: Layout, source: str, *, decoder: str = "") -> None:
        self.layout, self.source, self.decoder = layout, source, decoder
        self.ledger, self.states = DeltaLedger(layout.ledger(source)), DeltaStates(layout, source)
        open_source(self.ledger, topic_id="t", origin=Position({0: 0, 1: 0}))

    def commit(self, *bad: Bad, consumed: int = 0, named: bool = True) -> None:
        """A commit with these records in quarantine; not `named`: one that was killed before its ledger row."""
        last = self.ledger.last()
        assert last is not None
        n = max(consumed, len(bad))
        ends = {p: max([last.to[p], *(b.offset + 1 for b in bad if b.partition == p)]) for p in (0, 1)}
        row = LedgerRow(
            last.seq + 1, last.epoch, "commit", Range(last.to, Position(ends)), dict.fromkeys(last.versions, 0), "t",
            new_commit_id(), Books(n, n - len(bad), len(bad), offered=n - len(bad)), decoder=self.decoder,
            at=(BEGAN + timedelta(hours=1, minutes=last.seq)).timestamp(),
        )  # fmt: skip
        self.states.write_quarantined(row.commit_id, row.seq, _table(bad))
        if named:
            self.ledger.append(row)

    def supersede(self, *places: RecordId, named: bool = True, sent: bool = True) -> None:
        """Says that corrected records stand for these; not `named`: killed before its ledger row, not `sent`: after."""

        def write(commit_id: str, seq: int) -> None:
            supersede.write(self.layout, self.source, places, commit_id, seq)

        if named:
            append_supersede(self.ledger, write, allowed=lambda _: None)
            supersede.note_sent(self.layout, self.source, {place: place for place in places if sent})
        else:
            write(new_commit_id(), self.ledger.last().seq + 1)

    def attach(self, *versions: VersionId) -> None:
        last = self.ledger.last()
        assert last is not None
        self.ledger.append(LedgerRow(last.seq + 1, 0, "attach", Range(last.to, last.to), _none(versions), "t"))


def _none(versions: Sequence[VersionId]) -> Mapping[VersionId, int]:
    return dict.fromkeys(versions, 0)


def _table(bad: Sequence[Bad]) -> pa.Table:
    fields = [f for f in QUARANTINE if not f.name.startswith("_")]
    return pa.Table.from_pylist([b.row() for b in bad], schema=pa.schema(fields))
