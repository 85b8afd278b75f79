"""The manifest in Delta: every replacement is a row, and only one of two replaces a revision."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest

from dovetail.shared import manifest as rules
from dovetail.shared import manifest_table, tables
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import LostRace, VersionId
from dovetail.shared.manifest import Pin, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range

A = VersionId("sales@a")
FIRST = Run(RunId("1"), A, -1, 4, Range(Position({0: 3}), Position({0: 9, 1: 2})), state_rows=5, records=8)
SECOND = Run(RunId("2"), A, 4, 6, Range(FIRST.cut, Position({0: 9, 1: 7})), state_rows=2, records=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a manifest"


@pytest.fixture
def store(path) -> DeltaManifest:
    store = DeltaManifest(path)
    store.swap(rules.first("sales", (FIRST,), "first"))
    return store


def test_a_manifest_that_is_not_there_is_none(path):
    assert DeltaManifest(path).read() is None


def test_a_manifest_reads_back_as_it_was_written(store, path):
    manifest = rules.promoted(store.read(), (FIRST, SECOND), keep=2, note="a · note")
    manifest = rules.pruned(manifest)
    manifest = rules.staged(rules.pinned(manifest, RunId("x"), Pin(A, 5, "batch 1")), (FIRST,), note="a · note")
    written = rules.replace(manifest, revision=1, replaced={A: 1_700_000_000.25}, left={A: 1})
    before = time.time()
    store.swap(written)
    for reader in (store, DeltaManifest(path)):
        found = reader.read()
        assert found == rules.replace(written, at=found.at)
        assert before <= found.at <= time.time()


def test_of_a_long_history_the_newest_manifest_alone_is_read(store, path, monkeypatch):
    for n in range(4):
        store.swap(rules.promoted(store.read(), (FIRST, SECOND), keep=2, note=str(n)))
    read, opened = [], tables.pq.read_table
    monkeypatch.setattr(tables.pq, "read_table", lambda files, **how: read.append(len(files)) or opened(files, **how))
    assert (DeltaManifest(path).read().note, read) == ("3", [1])


def test_a_held_manifest_sees_what_another_swaps(store, path):
    other = DeltaManifest(path)
    assert other.read().revision == 0
    store.swap(rules.promoted(store.read(), (FIRST, SECOND), keep=2, note=""))
    assert other.read() == store.read()
    assert other.read().runs == (FIRST, SECOND)


def test_the_second_of_two_that_replace_one_revision_is_refused(store, path):
    other = DeltaManifest(path)
    one, two = (rules.promoted(m.read(), (FIRST, SECOND), keep=2, note="") for m in (store, other))
    store.swap(one)
    with pytest.raises(LostRace, match="replaced by another writer"):
        other.swap(two)
    assert len(other.history()) == 2


def test_the_second_of_two_first_manifests_is_refused(path):
    one, two = DeltaManifest(path), DeltaManifest(path)
    assert (one.read(), two.read()) == (None, None)
    one.swap(rules.first("sales", (FIRST,), "one"))
    with pytest.raises(LostRace):
        two.swap(rules.first("sales", (FIRST,), "two"))
    assert two.read().note == "one"


def test_a_compaction_in_between_is_no_conflict(store, path):
    other = DeltaManifest(path)
    other.read()
    for _ in range(3):
        store.swap(rules.pruned(store.read()))
    store._table.compact()
    other.swap(rules.pruned(other.read()))
    assert [m.revision for m in store.history()] == [0, 1, 2, 3, 4]
    assert store.read().revision == 4


def stored(**other) -> pa.Table:
    row = {"revision": 1, "generation": 1, "view": "sales", "manifest": "{}", "note": "", "at": 0.0, "format": 1}
    return pa.Table.from_pylist([row | other], schema=manifest_table.SCHEMA)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (stored(format=5), "format 5 is newer"),
        (stored(manifest='{"runs": [{"id"'), "revision 1, is torn"),
        (stored(manifest='{"runs": []}'), "revision 1, is torn"),
    ],
    ids=["newer", "torn", "not all there"],
)
def test_a_torn_or_newer_manifest_is_refused(store, path, row, message):
    store._table.append(row)
    for reader in (store, DeltaManifest(path)):
        with pytest.raises(IntegrityError, match=message):
            reader.read()
