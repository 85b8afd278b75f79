"""Records that make a view raise and came before it was in force: its runs set them apart, and all who count know."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from e2e_stand import Stand
from killed import killed_at
from pyspark.sql import SparkSession

from dovetail.batch import master
from dovetail.batch.trace import trace
from dovetail.batch.why import Asked, why
from dovetail.shared.log import Log
from dovetail.shared.position import RecordId
from dovetail.shared.quarantine import Quarantine

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(600)]
BEFORE = """
import dovetail as dv

events = dv.source("before", schema="key string, n bigint")
rows = dv.view("rows", source=events, keys=["key"], measures={"rows": dv.count()})
"""
AFTER = f"""{BEFORE}
shares = dv.view("shares", source=events, keys=["key"], measures={{"rows": dv.count(), "share": dv.sum("100 div n")}})
"""


def stored(stand: Stand, run) -> dict[str, int]:
    rows = DeltaTable(str(stand.layout.run(run.version, run.id))).to_pyarrow_table().to_pylist()
    return {row["key"]: row["_rows"] for row in rows}


def test_they_are_set_apart_by_the_run_and_left_out_by_every_later_one(
    log: Log, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(tmp_path, log, spark, "before", BEFORE)
    _, bad, _ = stand.send({"key": "a", "n": 2}, {"key": "a", "n": 0}, {"key": "b", "n": 5})
    stand.batch("rows")
    stand.declare("after_views", AFTER)
    with killed_at("batch.failed_written"):
        stand.batch("shares")
    (first,) = stand.batch("shares").runs
    assert [table.name for table in stand.layout.failed(first.version, first.id).parent.iterdir()] == [first.id]
    assert (first.failed, stored(stand, first)) == (1, {"a": 1, "b": 1})
    (apart,) = DeltaTable(str(stand.layout.failed(first.version, first.id))).to_pyarrow_table().to_pylist()
    assert (apart["_commit_id"], f"{apart['partition']}@{apart['offset']}", apart["value"]) == (
        first.id, bad, b'{"key": "a", "n": 0}',
    )  # fmt: skip
    (_, later) = stand.send({"key": "b", "n": 1}, {"key": "b", "n": 0})
    stand.commit()
    monkeypatch.setattr(master, "MOST", 0)  # nothing new may be set apart
    joined = stand.batch("shares").runs
    assert [run.failed for run in joined] == [1, 0]
    (whole,) = stand.batch("shares", full=True).runs
    assert (whole.failed, stored(stand, whole)) == (1, {"a": 1, "b": 2})
    proof = stand.proof()
    assert (proof.problems, proof.holds, proof.groups) == ([], True, 4)
    found = why(stand.project, stand.project.view("shares"), Asked({"key": ["a"]}), log, spark)
    assert (found.records, found.agree) == (1, True)
    path = trace(stand.project, stand.source, RecordId.parse(bad), lambda: log, lambda: spark)
    assert {v.view: v.reason for v in path.views} == {"rows": "", "shares": "shares raised DIVIDE_BY_ZERO"}
    (group,) = Quarantine(stand.layout, "before").raising()
    assert (group.reason, group.records) == ("shares raised DIVIDE_BY_ZERO", 2)
    assert {str(group.first), str(group.last)} == {bad, later}
