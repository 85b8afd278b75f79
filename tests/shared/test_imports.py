"""Which imports a source has: named as a whole, dropped, and compared with what a view's answers hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from killed import killed_at

from dovetail.batch.import_drop import delete_unneeded, unneeded
from dovetail.shared import manifest as rules
from dovetail.shared.errors import Busy, IntegrityError, UsageError
from dovetail.shared.imports import SCHEMA, File, Import, Imports, coming, going
from dovetail.shared.ledger import VersionId
from dovetail.shared.locks import held
from dovetail.shared.manifest import Admitted, Manifest, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout

VERSION = VersionId("sales@a")
MADE = Import(1, "abc", (File("a.csv", "00", 7, 2),), 2, -5, quarantined=1, oldest=1.5, where="n > 1", note="old")


@pytest.fixture
def imports(tmp_path: Path) -> Imports:
    return Imports(Layout(tmp_path), "lines")


def manifest(*ids: int, from_seq: int = -1) -> Manifest:
    span = Range(Position(), Position({0: 7}))
    admitted = tuple(Admitted(i, 2, 1) for i in ids)
    return rules.first("sales", (Run(RunId("r"), VERSION, from_seq, 3, span, imports=admitted),), "")


def test_an_import_is_there_once_it_is_named_and_goes_when_it_is_dropped(imports: Imports, tmp_path: Path) -> None:
    assert (imports.all(), imports.next_id) == ([], 1)
    imports.add(MADE)
    (found,) = Imports(Layout(tmp_path), "lines").live()
    assert replace(found, at=0.0) == MADE
    assert found.at > 0
    imports.drop(1, note="wrong")
    assert (imports.live(), imports.get(1).dropped is not None) == ((), True)
    assert imports.next_id == 2, "an id is never used again"
    with pytest.raises(UsageError, match="dropped before"):
        imports.drop(1, note="")
    with pytest.raises(UsageError, match=r"no import 7\. Known: 1"):
        imports.get(7)


def test_of_two_that_write_at_once_one_is_refused(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    imports.add(MADE)
    looks = iter([0, 1])  # another process adds one between the look and the write
    monkeypatch.setattr(imports._table, "largest", lambda _: next(looks))
    with pytest.raises(Busy, match="another process imports"):
        imports.add(replace(MADE, id=2))


def test_a_newer_format_is_refused(imports: Imports, tmp_path: Path) -> None:
    row = {"n": 0, "id": 1, "kind": "import", "import": "{}", "note": "", "at": 0.0, "format": 99}
    write_deltalake(str(Layout(tmp_path).imports("lines")), pa.Table.from_pylist([row], schema=SCHEMA))
    with pytest.raises(IntegrityError, match="format 99"):
        imports.all()


def test_what_a_view_lacks_and_what_it_still_holds() -> None:
    live = [replace(MADE, id=2), replace(MADE, id=3)]
    assert (coming(manifest(1, 2), live), going(manifest(1, 2), live)) == ([3], [1])
    assert (coming(manifest(2, 3), live), going(manifest(2, 3), live)) == ([], [])


def test_only_a_run_from_the_beginning_has_imports() -> None:
    with pytest.raises(IntegrityError, match="above what it imports"):
        manifest(1, from_seq=0)


def test_a_manifest_keeps_the_imports_of_its_runs(tmp_path: Path) -> None:
    store = DeltaManifest(tmp_path / "m")
    store.swap(manifest(1))
    found = DeltaManifest(tmp_path / "m").read()
    assert found is not None
    assert found.imports == (Admitted(1, 2, 1),)


@pytest.fixture
def kept(imports: Imports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Import 1 is live, 2 is dropped and in an answer, 3 is dropped, `killed` was never named."""
    layout = Layout(tmp_path)
    for number, folder in enumerate(("one", "two", "three"), start=1):
        imports.add(replace(MADE, id=number, folder=folder))
    for folder in ("one", "two", "three", "killed"):
        (layout.imported("lines") / folder).mkdir(parents=True)
    imports.drop(2, note="")
    imports.drop(3, note="")
    DeltaManifest(layout.manifest("sales")).swap(manifest(1, 2))
    stored = type("Stored", (), {"source": "lines"})
    monkeypatch.setattr("dovetail.batch.import_drop.load", lambda _: stored)
    return layout


def test_records_go_once_no_import_names_them_and_no_run_holds_them(kept: Layout) -> None:
    assert [f.name for f in unneeded(kept, "lines")] == ["killed", "three"]
    with killed_at("import.folder_deleted"):
        delete_unneeded(kept, "lines")
    delete_unneeded(kept, "lines")
    assert sorted(f.name for f in kept.imported("lines").iterdir()) == ["one", "two"]


def test_none_go_while_a_batch_may_have_begun_with_them(kept: Layout) -> None:
    with held(kept.lock("batch-sales"), "a batch"):
        assert unneeded(kept, "lines") == []


def test_a_drop_that_is_killed_is_done_or_not(imports: Imports) -> None:
    imports.add(MADE)
    with killed_at("import.dropped"):
        imports.drop(1, note="")
    assert imports.live() == ()
