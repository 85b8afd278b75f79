"""Which version may answer without a batch: one that was in force from the first record on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.shared.commit import Folded, attach, commit, detach, open_source
from dovetail.shared.inforce import answer_from_origin
from dovetail.shared.ledger import Books, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position

A, B = VersionId("sales@a"), VersionId("sales@b")


@pytest.fixture
def ledger(tmp_path: Path) -> DeltaLedger:
    ledger = DeltaLedger(tmp_path / "ledger")
    open_source(ledger, topic_id="t", origin=Position({0: 3}))
    attach(ledger, A)
    return ledger


@pytest.fixture
def manifests(tmp_path: Path) -> DeltaManifest:
    return DeltaManifest(tmp_path / "manifest")


def read(ledger: DeltaLedger, to: int) -> None:
    states: Any = SimpleNamespace(write_states=lambda *_: 0)
    last = ledger.last()
    assert last is not None
    folded = Folded(dict.fromkeys(last.versions), Books(1, 1, offered=1))
    commit(ledger, states, epoch=last.epoch, to=Position({0: to}), fold=lambda *_: folded)


def test_a_version_that_was_there_before_the_first_record_answers_at_once(
    ledger: DeltaLedger, manifests: DeltaManifest
) -> None:
    read(ledger, 4)
    assert answer_from_origin("sales", A, ledger, manifests) is not None
    assert [(r.id, r.to_seq, r.cut) for r in manifests.read().runs] == [("origin", 1, Position({0: 3}))]


def test_a_version_that_came_after_the_first_record_waits_for_a_batch(
    ledger: DeltaLedger, manifests: DeltaManifest
) -> None:
    read(ledger, 4)
    attach(ledger, B)
    assert (answer_from_origin("sales", B, ledger, manifests), manifests.read()) == (None, None)


def test_a_version_that_was_out_of_force_meanwhile_waits_for_a_batch(
    ledger: DeltaLedger, manifests: DeltaManifest
) -> None:
    detach(ledger, A)
    read(ledger, 4)
    attach(ledger, A)
    assert (answer_from_origin("sales", A, ledger, manifests), manifests.read()) == (None, None)


def test_a_long_ledger_is_read_from_where_the_version_came_into_force(
    ledger: DeltaLedger, manifests: DeltaManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        attach(ledger, VersionId(f"other@{n}"))
    attach(ledger, B)
    attach(ledger, VersionId("other@b"))
    read, rows = [], ledger.rows
    monkeypatch.setattr(ledger, "rows", lambda after=-1: read.append(after) or rows(after))
    assert answer_from_origin("sales", B, ledger, manifests).runs[0].to_seq == 22
    assert min(read) > 15
    answer_from_origin("other", A, ledger, DeltaManifest(manifests._table.path.parent / "other"))
    assert min(read) == -1
