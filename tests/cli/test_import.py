"""`dovetail import` as typed: what it lists and drops without Java, and what it refuses before any is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.shared import manifest as rules
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.imports import File, Import, Imports
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range

from .conftest import Run as Command

MADE = Import(
    1, "abc", (File("old/a.csv", "00", 7, 2), File("old/b.csv", "01", 7, 1)), 3, -5,
    quarantined=1, oldest=1556668800.0, newest=1556668860.0, where="n > 1", note="from the old shop",
)  # fmt: skip


@pytest.fixture
def imports(project: Path) -> Imports:
    return Imports(projects.load(settings.load(project)).layout, "lines")


def test_a_list_names_each_import_and_its_files(run: Command, imports: Imports) -> None:
    assert "Nothing was imported into lines." in run("import", "lines", "--list").out
    imports.add(MADE)
    said = run("import", "lines", "--list")
    assert "from the old shop" in said.out
    assert "import:1/2  old/b.csv, 1 row" in said.out
    (document,) = run("import", "lines", "--list", "--json").document  # type: ignore[misc]
    assert (document["id"], document["records"], document["views"]) == (1, 3, [])


def test_a_drop_says_what_comes_next_and_its_dry_run_drops_nothing(run: Command, imports: Imports) -> None:
    imports.add(MADE)
    assert "would be dropped. Nothing written." in run("import", "lines", "--drop", "1", "--dry-run").out
    assert len(imports.live()) == 1
    said = run("import", "lines", "--drop", "1")
    assert said.out.startswith("import 1 of old/a.csv and 1 more is dropped.")
    assert "dovetail batch sales --full" in said.out
    assert imports.live() == ()
    assert run("import", "lines", "--drop", "1").code == 2
    assert run("import", "lines", "--drop", "7").code == 2


def test_of_a_changed_view_it_says_that_the_change_answers_after_it_too(
    run: Command, project: Path, imports: Imports
) -> None:
    of, version, at = projects.load(settings.load(project)), VersionId("sales@0a11"), Position({0: 0})
    answers = rules.first("sales", (Run(ORIGIN, version, -1, 0, Range(at, at)),), "first")
    DeltaManifest(of.layout.manifest("sales")).swap(answers)
    imports.add(MADE)
    declared = of.version(of.view("sales"))
    assert f"--full (which also lets {declared} answer, as it is declared)" in run("import", "lines", "--drop", "1").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "one of FILES, --list and --drop ID is needed"),
        (("none.csv", "--list"), "one of FILES, --list and --drop ID is needed"),
        (("none.csv", "--skip-overlap", "--unchecked"), "give one of them"),
        (("none.csv",), "there is no file none.csv"),
        (("bad.csv",), "it has no column at, and no record counts without one"),
        (("other.jsonl",), "no column of the files is one of lines: unknown column 'contry': did you mean 'country'?"),
        (("good.csv",), "nobody can tell whether the log holds some of these events"),
    ],
)
def test_what_makes_no_import_is_wrong_use(run: Command, project: Path, arguments: tuple[str, ...], says: str) -> None:
    (project / "bad.csv").write_text("country,price\nFR,1.10\n")
    (project / "other.jsonl").write_text('{"contry": "FR"}\n')
    (project / "good.csv").write_text("country,price,at\nFR,1.10,2019-01-01T00:00:00Z\n")
    said = run("import", "lines", *arguments)
    assert (said.code, says in " ".join(said.err.split())) == (2, True), said.err


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_what_was_found_is_told_with_its_rows(
    run: Command, project: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    from dovetail.batch import imports as importing
    from dovetail.batch.import_look import Found
    from dovetail.shared.position import RecordId

    row = RecordId.imported(1, file=1, row=7)
    found = Found(9, 2, 3, {"no at": (1, row)}, 2, 4, 4, [(row, RecordId(0, 5))], 1, 1556668800.0, None)
    done = importing.Imported(importing.Columns(("at",), ("extra",), ("price",)), found, MADE)
    asked: dict[str, bool] = {}

    def stub(*_: object, dry_run: bool, **__: object) -> importing.Imported:
        asked["dry_run"] = dry_run
        return done

    monkeypatch.setattr(importing, "run", stub)
    said = run("import", "lines", "a.csv", "--skip-overlap", *options)
    assert (said.code, asked) == (0, {"dry_run": bool(options)}), said.err
    for line in (
        "9 rows read; columns: at",
        "2 rows left out: about somebody who is forgotten",
        "2 rows dropped by rules",
        "1 row with the event id of an earlier one: an event counts once",
        "import:1/1#7 has the event id of 0@5, which is in the log",
        "4 rows in the log already, by event id: left out",
        "timestamps from 2019-05-01 00:00:00 to unknown",
        "Nothing written." if options else "Views answer with it after: dovetail batch sales --full",
    ):
        assert line in said.out
    assert "1 row in quarantine: no at, the first import:1/1#7" in said.err + said.out
    document = run("import", "lines", "a.csv", "--json", *options).document
    assert isinstance(document, dict)
    assert (document["overlap"], document["bad"][0]["first"], document["written"]) == (4, str(row), not options)
