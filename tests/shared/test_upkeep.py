"""What upkeep deletes: states at or below a floor, never by age and never up to the cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from dovetail.shared import manifest as rules
from dovetail.shared.commit import Folded, attach, commit, open_source
from dovetail.shared.ledger import Books, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout
from dovetail.shared.upkeep import tidy

A = VersionId("sales@a")


def test_states_above_the_floor_stay_though_a_run_covers_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    ledger, states = DeltaLedger(layout.ledger("orders")), DeltaStates(layout, "orders")
    states.create(A, pa.schema([("n", pa.int64())]))
    open_source(ledger, topic_id="t", origin=Position())
    attach(ledger, A)
    for end in (1, 2, 3):
        folded = Folded({A: [pa.table({"n": [end]})]}, Books(1, 1, offered=1))
        commit(ledger, states, epoch=0, to=Position({0: end}), fold=lambda *_, folded=folded: folded)
    run = Run(RunId("1"), A, -1, 4, Range(Position(), Position({0: 3})))
    DeltaManifest(layout.manifest("sales")).swap(replace(rules.first("sales", (run,), ""), floors={A: 2}))
    tidy(layout, "orders")
    assert sorted(seq for rows in states.commits(A, -1).values() for seq in rows["_seq"].to_pylist()) == [3, 4]
    assert [row.seq for row in ledger.rows()] == [0, 1, 2, 3, 4]
