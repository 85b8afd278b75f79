"""`dovetail init`: a project from a template, whole and without what running leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dovetail.shared import template

from .conftest import Run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files(folder: Path) -> set[str]:
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("name", ["shop", "traffic", pytest.param("delivery", marks=pytest.mark.long)])
def test_the_counts_are_those_of_the_new_project(run: Run, tmp_path: Path, name: str) -> None:
    said = run("init", name, "--json")

    assert said.code == 0
    document = said.document
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / name,
        capture_output=True,
        text=True,
    )
    assert f"{document['tests']} tests collected" in listed.stdout
    assert (document["sources"], document["views"]) == {"shop": (1, 2), "traffic": (1, 1), "delivery": (1, 2)}[name]


def test_the_line_for_people_says_what_comes_next(run: Run) -> None:
    said = run("init", "shop")
    assert said.code == 0
    assert said.out.startswith("Created shop/: 1 source, 2 views, ")
    assert said.out.endswith(" tests. Next: cd shop && dovetail dev\n")


def test_dot_files_dimensions_and_fixtures_are_copied(run: Run, tmp_path: Path) -> None:
    run("init", "shop")
    run("init", "traffic")
    assert {".gitignore", "dovetail.toml", "views.py", "dims/dim_products.csv", "tests/conftest.py"} <= files(
        tmp_path / "shop"
    )
    assert "tests/fixtures/reports.csv" in files(tmp_path / "traffic")


def test_data_and_caches_in_the_template_are_left_out(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = tmp_path / "examples" / "used"
    for name in ("dovetail.toml", ".gitignore", "data/ledger/x", "__pycache__/views.pyc", ".venv/bin/python", "a/b.py"):
        (used / name).parent.mkdir(parents=True, exist_ok=True)
        (used / name).write_text("")
    monkeypatch.setattr(template, "_examples", lambda: tmp_path / "examples")

    assert run("init", "mine", "--template", "used").code == 0
    assert files(tmp_path / "mine") == {"dovetail.toml", ".gitignore", "a/b.py"}


def test_another_name_takes_the_shop(run: Run, tmp_path: Path) -> None:
    assert run("init", "bakery", "--json").document["template"] == "shop"
    assert (tmp_path / "bakery" / "generator.py").is_file()


def test_a_template_can_be_named(run: Run, tmp_path: Path) -> None:
    assert run("init", "roads", "--template", "traffic").code == 0
    assert not (tmp_path / "roads" / "generator.py").exists()
    said = run("init", "--help").out
    assert [name for name in template.names() if name not in said] == []


def test_an_unknown_template_is_refused_with_the_closest(run: Run) -> None:
    said = run("init", "mine", "--template", "trafic")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error  unknown template 'trafic': did you mean 'traffic'? Known: delivery, shop, traffic\n"


def test_a_folder_that_holds_something_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")

    said = run("init", "shop")

    assert said.code == 2
    assert said.err == ("error  shop is not an empty folder\n next  choose another name, or empty it first\n")
    assert files(tmp_path / "shop") == {"mine.txt"}


def test_an_empty_folder_is_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assert run("init", "shop").code == 0


def test_a_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    said = run("init", "shop", "--dry-run")
    assert said.code == 0
    assert said.out.startswith("Would create shop/: ")
    assert said.out.endswith("Nothing written.\n")
    assert "  views.py\n" in said.out
    assert not (tmp_path / "shop").exists()


def test_a_place_that_cannot_be_written_is_said_with_exit_3(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = run("init", "file/shop")
    assert said.code == 3
    assert said.err.startswith("error  file/shop cannot be written\n")
