"""Tables in an object store: a real server of S3's protocol on loopback, and a way to it that fails as networks do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from ledger_rivals import race
from s3_faults import CUT, FORGETFUL, LOST, REFUSED, through
from s3_store import BUCKET, store

from dovetail.shared import commit as steps
from dovetail.shared import manifest as rules
from dovetail.shared import notes, places
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.ledger import LostRace, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.places import place
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import AppendTable

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

RUN = Run(RunId("1"), VersionId("sales@a"), -1, 4, Range(Position(), Position({0: 9})), state_rows=5, records=8)
ROWS = pa.schema([("n", pa.int64())])


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with store(tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def root(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return place(f"s3://{BUCKET}/{uuid.uuid4().hex}")


def rows(*numbers: int) -> pa.Table:
    return pa.table({"n": [*numbers]}, ROWS)


def test_three_processes_that_append_to_one_ledger_get_each_seq_once_without_any_lock(root):
    race(root / "ledger")
    ledger = DeltaLedger(root / "ledger").rows()
    assert [row.seq for row in ledger] == [*range(len(ledger))]
    assert {*ledger[-1].versions} == {f"{name}@{n}" for name in "abc" for n in range(8)}


def test_of_two_that_replace_one_manifest_one_is_refused(root):
    first, second = DeltaManifest(root / "manifest"), DeltaManifest(root / "manifest")
    first.swap(rules.first("sales", (RUN,), "first"))
    one, other = first.read(), second.read()
    first.swap(rules.promoted(one, (RUN,), keep=1, note="of one"))
    with pytest.raises(LostRace):
        second.swap(rules.promoted(other, (RUN,), keep=1, note="of the other"))
    assert [m.note for m in second.history()] == ["first", "of one"]


def test_what_the_network_does_to_requests_loses_no_row_and_doubles_none(root, variables, monkeypatch, tmp_path):
    with through(variables["AWS_ENDPOINT_URL"], tmp_path, [REFUSED, LOST, CUT], share=0.15) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        table, ledger = AppendTable(root / "rows", ROWS), DeltaLedger(root / "ledger")
        steps.open_source(ledger, topic_id="t", origin=Position())
        for n in range(25):
            table.append(rows(n))
            steps.attach(ledger, VersionId(f"sales@{n}"))
    assert {*(tmp_path / "faults").read_text().splitlines()} == {REFUSED, LOST, CUT}
    monkeypatch.setenv("AWS_ENDPOINT_URL", variables["AWS_ENDPOINT_URL"])
    assert sorted(AppendTable(root / "rows", ROWS).read()["n"].to_pylist()) == [*range(25)]
    held = DeltaLedger(root / "ledger").rows()
    assert [row.seq for row in held] == [*range(len(held))]
    assert len({row.commit_id for row in held}) == len(held)
    assert {*held[-1].versions} == {f"sales@{n}" for n in range(25)}


def test_a_store_without_conditional_writes_is_refused(root, variables, tmp_path):
    forgetful = through(variables["AWS_ENDPOINT_URL"], tmp_path, [FORGETFUL], share=1)
    with forgetful as address, pytest.raises(ServiceMissing) as refused:
        places.refuse_unconditional(reached_at(address, root))
    assert "no conditional writes" in refused.value.what
    places.refuse_unconditional(root)
    assert [*root.glob(".probe*")] == []


def test_a_store_that_is_not_there_is_named(root):
    with pytest.raises(ServiceMissing, match="cannot be written"):
        places.refuse_unconditional(place("s3://no-such-bucket/here"))


def test_a_note_a_folder_and_its_size(root):
    notes.keep(root / "paused" / "a.json", {"at": 1})
    assert notes.read(root / "paused" / "a.json") == {"at": 1}
    assert notes.read(root / "paused" / "b.json") is None
    with places.new_folder(root / "made", {"code/a.py": b"a = 1"}, ("whole", b"x")):
        assert not (root / "made" / "whole").exists()
    assert (places.fetched(root / "made") / "code" / "a.py").read_bytes() == b"a = 1"
    assert places.size(root / "made") == 6
    places.copy(root / "made", root / "copied")
    places.delete(root / "made")
    assert ((root / "made").exists(), (root / "copied" / "code" / "a.py").read_bytes()) == (False, b"a = 1")
    places.delete(root / "made")


def test_a_table_hands_out_reads_compacts_and_deletes(root):
    table, other = AppendTable(root / "rows", ROWS), AppendTable(root / "rows", ROWS)
    table.append(rows(1, 2))
    table.append(rows(3))
    assert sorted(n for t in other.fresh() for n in t["n"].to_pylist()) == [1, 2, 3]
    assert sorted(other.between("n", 2)["n"].to_pylist()) == [2, 3]
    table.compact()
    table.delete("n = 1")
    assert sorted(other.read()["n"].to_pylist()) == [2, 3]
    assert other.largest("n") == 3
    assert DeltaTable.is_deltatable(str(root / "rows"))


def reached_at(address: str, root: Path) -> Path:
    """The same place by another way: what s3fs holds open goes by the variables of its start."""
    from upath import UPath

    return UPath(str(root), endpoint_url=address, use_listings_cache=False, skip_instance_cache=True)
