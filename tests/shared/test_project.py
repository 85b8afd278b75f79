"""Loading a project: its views are found as module attributes, its mistakes told with file and line."""

import os
import sys

import pytest

from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.errors import DeclarationError, UsageError

SOURCE = 'import dovetail as dv\nevents = dv.source("events", schema="n bigint")\n'
VIEW = 'totals = dv.view("totals", source=events, measures={"rows": dv.count()})\n'


def load(folder, **files):
    (folder / "dovetail.toml").write_text(f"views = {[f'{name}.py' for name in files]}\n")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
    return projects.load(settings.load(folder))


def test_views_and_their_sources_are_found_as_module_attributes(tmp_path):
    project = load(tmp_path, found_views=SOURCE + VIEW)
    assert (list(project.views), list(project.sources)) == (["totals"], ["events"])


def test_two_projects_with_files_of_the_same_name_do_not_mix(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    load(tmp_path / "a", same_name=SOURCE + VIEW)
    other = load(tmp_path / "b", same_name=SOURCE + VIEW.replace("totals", "sums"))
    assert list(other.views) == ["sums"]


@pytest.mark.parametrize("library", [False, True])
def test_a_file_changed_within_a_second_is_read_anew_and_only_libraries_are_kept_compiled(
    tmp_path, monkeypatch, library
):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = tmp_path / ".venv" / "lib" / "site-packages" if library else tmp_path
    (folder / "in_a_package").mkdir(parents=True)
    (folder / "in_a_package" / "__init__.py").touch()
    if library:
        monkeypatch.syspath_prepend(folder)
    found = []
    for name in ("one", "two"):
        (folder / "in_a_package" / "named.py").write_text(f"NAME = '{name}'\n")
        os.utime(folder / "in_a_package" / "named.py", (1_000_000_000, 1_000_000_000))
        for module in ("in_a_package", "in_a_package.named"):
            sys.modules.pop(module, None)
        use = "from in_a_package.named import NAME\n" + SOURCE + VIEW.replace('"totals"', "NAME")
        found += load(tmp_path, changed_views=use).views
    compiled = sorted(file.parent.parent.name for file in tmp_path.rglob("*.pyc"))
    assert (found, compiled) == ((["one", "one"], ["in_a_package"] * 2) if library else (["one", "two"], []))


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        (SOURCE, "no view is declared", ""),
        (SOURCE + "1 / 0\n", "ZeroDivisionError", "broken_views.py:3"),
        (SOURCE + "def (\n", "SyntaxError", "broken_views.py:3"),
        (SOURCE + VIEW + VIEW.replace("totals =", "again =").replace("rows", "n"), "view totals is declared twice", ""),
    ],
)
def test_a_file_that_cannot_be_is_told_with_its_line(tmp_path, text, says, line):
    with pytest.raises(DeclarationError, match=says) as caught:
        load(tmp_path, broken_views=text)
    assert line in caught.value.where


def test_an_unknown_view_is_answered_with_the_nearest_one(tmp_path):
    project = load(tmp_path, known_views=SOURCE + VIEW)
    with pytest.raises(UsageError, match="unknown view 'total': did you mean 'totals'"):
        project.view("total")
