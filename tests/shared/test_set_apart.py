"""What commits have set apart is left out by batch too, each for whom it was set apart. Real Spark."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from dovetail.shared import supersede
from dovetail.shared.ledger import Books, LedgerRow, VersionId, new_commit_id
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.set_apart import counted
from dovetail.shared.states import FAILING, DeltaStates
from dovetail.shared.tables import Layout

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java

A, B = VersionId("sales@a"), VersionId("sales@b")
SPAN = Range(Position(), Position({0: 6}))


def at(offset: int) -> pa.Table:
    return pa.table({"_partition": [0], "_offset": [offset]})


def raising(offset: int, version: VersionId) -> pa.Table:
    row = {"partition": 0, "offset": offset, "timestamp": datetime(2026, 11, 1), "reason": "raised", "version": version}
    return pa.Table.from_pylist([row], schema=pa.schema([f for f in FAILING if not f.name.startswith("_")]))


def test_a_repeat_what_was_put_right_and_what_raises_are_left_out_and_nothing_else(
    spark: SparkSession, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    states, killed = DeltaStates(layout, "orders"), new_commit_id()
    commit = LedgerRow(1, 0, "commit", SPAN, {}, "t", books=Books(6, 5, 1, 1, 1, 3), failing={A: 1, B: 1})
    right = LedgerRow(2, 0, "supersede", Range(SPAN.to, SPAN.to), {}, "t")
    for commit_id, again, fails in ((commit.commit_id, 1, 2), (killed, 5, 0)):
        states.write_repeats(commit_id, 1, at(again))
        states.write_failing(commit_id, 1, raising(fails, A))
    states.write_failing(commit.commit_id, 1, raising(4, B))
    supersede.write(layout, "orders", [RecordId(0, 3)], right.commit_id, 2)
    supersede.write(layout, "orders", [RecordId(0, 0)], killed, 2)

    def left(version: VersionId) -> list[int]:
        records = spark.createDataFrame([(0, o) for o in range(6)], "_partition int, _offset bigint")
        found = counted(records, version, [commit], source="orders", ledger=[commit, right], layout=layout)
        return sorted(row["_offset"] for row in found.collect())

    assert left(A) == [0, 4, 5]
    assert left(B) == [0, 2, 5]
