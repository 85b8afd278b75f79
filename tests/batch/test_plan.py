"""A plan sees each change that may change an answer, says where it is, and sees none where there is none."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from dovetail.batch.plan import Planned, plan
from dovetail.cli import main
from dovetail.shared import manifest as rules
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.commit import attach, open_source
from dovetail.shared.imports import File, Import, Imports
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import ORIGIN, Admitted, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project
from dovetail.shared.tables import AppendTable

HELPER = '''
"""Helpers."""
FACTOR = 2


def unrelated(x):
    return x


def doubled(column):
    """Twice as much."""
    return column * FACTOR  # twice
'''
LINES = "key,line\na,Planes\nb,Ships\n"
VIEWS = """
import json
import dovetail as dv
from pyspark.sql import functions as F

from helper import doubled

events = dv.source("events", schema="key string, n bigint, at timestamp", event_time="at")
with_line = dv.transforms.lookup("lines.csv", on="key")


def made(limit):
    def bounded(lines):
        return lines.where(F.col("n") < limit)
    return bounded


def summed(lines, name="total"):
    return lines.withColumn(name, doubled(F.col("n")))


totals = dv.view("totals", source=events, transform=[summed, made(10), with_line], keys=["key"], bucket="1h",
                 measures={"total": dv.sum("total"), "rows": dv.count()})
"""


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A project whose view answers from the origin, by its stored version."""
    (tmp_path / "dovetail.toml").write_text("")
    (tmp_path / "views.py").write_text(VIEWS)
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "lines.csv").write_text(LINES)
    project = loaded(tmp_path)
    bundle = project.store(project.view("totals"))
    at = Position({0: 0})
    run = Run(ORIGIN, bundle.version, -1, 0, Range(at, at))
    DeltaManifest(project.layout.manifest("totals")).swap(rules.first("totals", (run,), "first"))
    return tmp_path


def loaded(folder: Path) -> Project:
    for name in ("views", "helper"):
        sys.modules.pop(name, None)
    sys.path[:] = [p for p in sys.path if not Path(p, "dovetail.toml").exists()]
    return projects.load(settings.load(folder))


def changed(folder: Path, file: str, *edits: tuple[str, str]) -> Planned:
    text = (folder / file).read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / file).write_text(text)
    project = loaded(folder)
    return plan(project, project.view("totals"))


@pytest.mark.parametrize(
    ("file", "edit", "what", "at"),
    [
        ("helper.py", ("column * FACTOR", "column + FACTOR"), "doubled has changed", "def doubled"),
        ("helper.py", ("FACTOR = 2", "FACTOR = 3"), "FACTOR has changed", "FACTOR = 3"),
        ("views.py", ('name="total"', 'name="totals"'), "summed has changed", "def summed"),
        ("views.py", ("made(10)", "made(11)"), "limit has changed", ""),
        ("views.py", ('< limit', '<= limit'), "made.<locals>.bounded has changed", "def bounded"),
        ("views.py", ('keys=["key"]', "keys=[]"), "keys were key, and are none", "totals ="),
        ("views.py", ('bucket="1h"', 'bucket="1d"'), "the bucket was 1h, and is 1d", "totals ="),
        ("views.py", ('dv.sum("total")', 'dv.sum("n")'), "measure total has changed", "totals ="),
        ("views.py", (', "rows": dv.count()', ""), "measure rows is gone", "totals ="),
        ("views.py", ("n bigint", "n int"), "the source's schema has changed", "events ="),
        ("views.py", ("at timestamp", "at timestamp, note string"), "the source's schema has changed", "events ="),
        ("lines.csv", ("b,Ships", "b,Boats"), "lookup lines.csv has changed", ""),
        ("views.py", ("[summed, made(10)", "[made(10), summed"), "the order of its transforms", "totals ="),
    ],
    ids=lambda v: v[1] if isinstance(v, tuple) else None,
)  # fmt: skip
def test_what_may_change_an_answer_is_told_with_its_line(
    stored: Path, file: str, edit: tuple[str, str], what: str, at: str
) -> None:
    found = changed(stored, file, edit)
    assert (found.state, found.next) == ("changed", "dovetail reprocess totals")
    told = [reason for reason in found.reasons if reason.what.startswith(what)]
    assert len(told) == 1, found.reasons
    line = next((n for n, text in enumerate((stored / file).read_text().splitlines(), 1) if at and at in text), None)
    if line:
        assert told[0].where.endswith(f"{file}:{line}")


@pytest.mark.parametrize(
    ("file", "edits"),
    [
        ("helper.py", [("# twice", "# two times")]),
        ("helper.py", [("Twice as much.", "Two times as much.")]),
        ("helper.py", [("def unrelated(x):\n    return x", "def unrelated(x):\n    return x + 1")]),
        ("helper.py", [("    return column * FACTOR  # twice", "    return (\n        column * FACTOR\n    )")]),
        ("views.py", [("import json\n", ""), ("import doubled\n", "import doubled\nimport json\n")]),
        ("views.py", [("def summed(lines", "def summed(  lines")]),
    ],
    ids=["a comment", "a docstring", "an unrelated function", "a formatter", "the order of imports", "spaces"],
)  # fmt: skip
def test_what_changes_no_answer_is_no_change(stored: Path, file: str, edits: list[tuple[str, str]]) -> None:
    found = changed(stored, file, *edits)
    assert (found.state, found.reasons, found.next) == ("unchanged", (), "")


def test_an_upgrade_of_a_library_is_told(stored: Path) -> None:
    bundle = next((stored / "data").glob("views/totals/versions/*/bundle.json"))
    document = json.loads(bundle.read_text())
    assert "pyspark" in document["libraries"]
    bundle.write_text(json.dumps({**document, "libraries": {"pyspark": "4.0.1"}}))
    found = changed(stored, "views.py")
    assert (found.state, len(found.notes)) == ("unchanged", 1)
    assert found.notes[0].startswith("pyspark was 4.0.1 when this version was stored, and is ")


def test_it_is_told_as_json_and_a_reprocessing_does_that_plan_or_none(
    stored: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stored)
    planned = changed(stored, "helper.py", ("FACTOR = 2", "FACTOR = 3"))
    capfd.readouterr()
    assert main(["plan", "--json"]) == 0
    (told,) = json.loads(capfd.readouterr().out)
    assert told["id"] == planned.id
    assert (told["state"], told["seconds"], told["records"], told["written"], told["verified"]) == (
        "changed", None, 0, 0, None,
    )  # fmt: skip
    assert [reason["what"] for reason in told["reasons"]] == ["FACTOR has changed"]
    assert main(["reprocess", "totals", "--plan", planned.id, "--dry-run", "--json"]) == 0
    changed(stored, "helper.py", ("FACTOR = 3", "FACTOR = 4"))
    assert main(["reprocess", "totals", "--plan", planned.id, "--dry-run"]) == 1
    assert main(["reprocess", "totals", "--relabel", "--dry-run"]) == 2
    assert "were not verified" in capfd.readouterr().err


def test_a_view_that_never_answered_is_new(stored: Path) -> None:
    (stored / "views.py").write_text(VIEWS.replace('totals = dv.view("totals"', 'totals = dv.view("others"'))
    project = loaded(stored)
    found = plan(project, project.view("others"))
    assert (found.state, found.live, found.next) == ("new", None, "dovetail batch others")


@pytest.mark.parametrize(("floor", "state"), [(2, "changed"), (1, "computed")])
def test_what_was_computed_in_part_is_still_to_be_computed(stored: Path, floor: int, state: str) -> None:
    planned = changed(stored, "helper.py", ("FACTOR = 2", "FACTOR = 3"))
    project = loaded(stored)
    project.store(project.view("totals"))
    ledger, manifests = DeltaLedger(project.layout.ledger("events")), DeltaManifest(project.layout.manifest("totals"))
    at = open_source(ledger, topic_id="id", origin=Position({0: 0})).to
    attach(ledger, planned.declared)
    ledger.append(LedgerRow(2, 0, "commit", Range(at, Position({0: 1})), {planned.declared: 1}, "id"))
    part = Run(RunId("part"), planned.declared, -1, 1, Range(at, at))
    now = manifests.read()
    assert now is not None
    manifests.swap(replace(rules.staged(now, (part,), note="part"), floors={planned.declared: floor}))
    assert plan(project, project.view("totals")).state == state


def test_what_was_imported_is_to_be_computed_too_until_a_part_has_taken_it_in(stored: Path) -> None:
    before = changed(stored, "helper.py", ("FACTOR = 2", "FACTOR = 3"))
    project = loaded(stored)
    view, layout = project.view("totals"), project.layout
    Imports(layout, "events").add(Import(1, "abc", (File("old.csv", "0", 7, 50),), 50, 0))
    AppendTable(layout.imported("events") / "abc", pa.schema([("n", pa.int64())])).append(pa.table({"n": [1]}))
    after = plan(project, view)
    assert (before.records, after.records, after.bytes > before.bytes, after.id != before.id) == (0, 50, True, True)
    manifests, at = DeltaManifest(layout.manifest("totals")), Position({0: 0})
    now = manifests.read()
    assert now is not None
    part = Run(RunId("part"), after.declared, -1, 0, Range(at, at), plan=after.id, imports=(Admitted(1, 50),))
    manifests.swap(rules.staged(now, (part,), note="part"))
    assert (plan(project, view).records, part.computed, part.records) == (0, 50, 0)
