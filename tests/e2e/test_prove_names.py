"""With one rule of the ledger broken the proof fails, and names the records that are lost or counted twice."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from e2e_stand import Stand
from killed import killed_at
from pyspark.sql import SparkSession

from dovetail.batch.prove import Proof, prove
from dovetail.shared import commit, private
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import CommitId
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.repeats import Repeats
from dovetail.shared.states import REPEATS, DeltaStates

pytestmark = [pytest.mark.java, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv

events = dv.source("named", schema="id bigint, key string, n bigint", event_id="id", dedup_horizon="1 h")
totals = dv.view("totals", source=events, keys=["key"], measures={"rows": dv.count(), "total": dv.sum("n")})
"""


def event(id_: int, key: str) -> dict[str, Any]:
    return {"id": id_, "key": key, "n": 1}


@pytest.fixture(scope="module")
def made(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    stand = Stand(tmp_path_factory.mktemp("named"), log, spark, "named", VIEWS)
    stand.send(event(1, "a"), event(2, "b"), event(1, "a"))
    stand.batch("totals")
    return stand


@pytest.fixture
def stand(made: Stand) -> Iterator[Stand]:
    """The project after a batch run of three records, one of them a repeat, and sound commits of what other tests sent.

    Put back as it was afterwards: the ids and keys of each test are its own.
    """
    if made.archive():
        made.commit()
    root = made.layout.root
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    yield made
    shutil.rmtree(root)
    kept.rename(root)


def told(proof: Proof) -> str:
    assert not proof.holds
    return "\n".join(proof.problems)


@pytest.mark.long
def test_where_commit_ids_are_not_fresh_what_a_killed_attempt_left_is_counted_and_named(stand, monkeypatch) -> None:
    one, two = stand.send(event(10, "killed"), event(11, "left"))
    monkeypatch.setattr(commit, "new_commit_id", lambda: CommitId("always-the-same"))
    with killed_at("speed.before_ledger"):
        stand.commit()
    seq = stand.commit()
    proof = stand.proof()
    assert (proof.lost, proof.doubled) == (0, 2)
    said = told(proof)
    for key, place in (("killed", one), ("left", two)):
        holds = f"the commit of seq {seq} holds 2 of 1 rows of record {place}"
        assert f"totals[{key}]: 1 rows in the log, 2 stored; {holds}" in said


@pytest.mark.long
def test_where_repeats_are_not_recorded_they_are_named(stand, monkeypatch) -> None:
    again, _, same = stand.send(event(2, "b"), event(20, "b"), event(20, "b"))
    monkeypatch.setattr(Judge, "repeats", lambda self, rows: Repeats())
    monkeypatch.setattr(Judge, "learn", lambda self, row: None)
    stand.commit()
    proof = stand.proof()
    assert (proof.lost, proof.doubled) == (0, 2)
    assert told(proof) == f"repeats, which no commit has recorded and every view counts: {again}, {same}"


@pytest.mark.long
def test_what_is_recorded_as_a_repeat_and_is_none_is_named(stand, monkeypatch) -> None:
    first, _ = stand.send(event(30, "c"), event(31, "c"))
    places = pa.table({"_partition": pa.array([0], pa.int32()), "_offset": [int(first.split("@")[1])]})
    monkeypatch.setattr(Judge, "repeats", lambda self, rows: Repeats(places))
    monkeypatch.setattr(Judge, "learn", lambda self, row: None)
    stand.commit()
    proof = stand.proof()
    assert (proof.lost, proof.doubled) == (1, 0)
    assert told(proof) == f"recorded as a repeat, and repeating nothing that counts: {first}"
    assert [stand.proof(sample=share).lost for share in (1e-6, 0.999999)] == [0, 1]


@pytest.mark.long
def test_repeats_that_are_gone_from_the_table_are_named_and_their_commit_is(stand) -> None:
    table = stand.layout.repeats("named")
    write_deltalake(str(table), REPEATS.empty_table(), mode="overwrite")
    said = told(stand.proof())
    assert "repeats, which no commit has recorded and every view counts: 0@2" in said
    assert "0 of 1 repeats are recorded of the commit of records 0@0..3" in said


@pytest.mark.long
def test_where_another_horizon_was_declared_repeats_are_taken_as_recorded_and_that_is_told(stand) -> None:
    other = replace(stand.source, horizon=timedelta(hours=2))
    proof = prove(stand.project, other, stand.log, stand.spark)
    assert proof.holds
    assert [gap for gap in proof.gaps if "taken as recorded" in gap]
    assert not stand.proof().gaps


@pytest.mark.long
def test_where_a_commit_does_not_write_all_its_states_the_lost_records_are_named(stand, monkeypatch) -> None:
    one, two, _ = stand.send(event(40, "unwritten"), event(41, "unwritten"), event(42, "b"))
    written = DeltaStates.write_states

    def but_the_first(self, version, commit_id, seq, states):
        return written(self, version, commit_id, seq, [t.filter(pc.not_equal(t["key"], "unwritten")) for t in states])

    monkeypatch.setattr(DeltaStates, "write_states", but_the_first)
    seq = stand.commit()
    proof = stand.proof()
    assert (proof.lost, proof.doubled) == (2, 0)
    holds = f"the commit of seq {seq} holds 0 of 2 rows of records {one}, {two}"
    assert told(proof) == f"totals[unwritten]: 2 rows in the log, 0 stored; {holds}"
    private.write(stand.layout.sensitive("totals"), b'{"key": "hash"}')
    assert told(stand.proof()) == f"totals[***]: 2 rows in the log, 0 stored; {holds}"


@pytest.mark.long
def test_a_number_that_is_another_though_all_rows_are_there_is_told_with_its_records(stand) -> None:
    manifest = DeltaManifest(stand.layout.manifest("totals")).read()
    path = stand.layout.run(manifest.live, manifest.runs[-1].id)
    rows = DeltaTable(str(path)).to_pyarrow_table()
    (name,) = (c for c in rows.column_names if c.startswith("sum_"))
    changed = rows.set_column(rows.column_names.index(name), name, pc.add(rows[name], 1))
    write_deltalake(str(path), changed, mode="overwrite")
    said = told(stand.proof())
    assert re.search(r"totals\[a\]: (\d+) rows in the log, \1 stored with another total; of record 0@0", said)
    assert re.search(r"totals\[b\]: (\d+) rows in the log, \1 stored with another total; of records 0@1, 0@", said)


@pytest.mark.long
def test_prove_ends_with_1_and_prints_the_records(stand, monkeypatch) -> None:
    (again,) = stand.send(event(2, "b"))
    monkeypatch.setattr(Judge, "repeats", lambda self, rows: Repeats())
    monkeypatch.setattr(Judge, "learn", lambda self, row: None)
    stand.commit()
    ran = subprocess.run(
        [sys.executable, "-m", "dovetail", "prove"], cwd=stand.folder, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, "0 lost, 1 doubled")
    assert f"every view counts: {again}" in ran.stderr
