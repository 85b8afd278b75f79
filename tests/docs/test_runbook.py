"""Every trouble has its page, every page its trouble, and what a page tells to type is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from dovetail.cli import app
from dovetail.shared.troubles import Code

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "runbook"
PAGES = sorted(p for p in FOLDER.glob("*.md") if p.name != "README.md")
PARTS = ["Is any answer wrong?", "What to do", "It is over when"]
COMMANDS = typer.main.get_command(app)


def test_every_code_has_its_page_and_every_page_its_code() -> None:
    assert {p.stem for p in PAGES} == {*Code}
    assert [ROOT / code.page for code in sorted(Code)] == PAGES


def test_the_list_of_pages_names_each_once() -> None:
    listed = re.findall(r"^\| \[([\w-]+)\]\(([\w-]+)\.md\) \|", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [(p.stem, p.stem) for p in PAGES]


def test_every_code_is_told_by_some_trouble() -> None:
    tree = ast.parse((ROOT / "shared" / "troubles.py").read_text("utf-8"))
    told = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "Code"}
    assert told == {*Code.__members__}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_is_short_and_says_what_it_means_and_what_to_do(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == PARTS
    assert all(part.strip() for part in re.split(r"^#.*$", text, flags=re.MULTILINE)[1:])
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_a_page_tells_to_type_and_to_read_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    lines = re.findall(r"`dovetail ([a-z][^`]*)`", text)
    assert lines
    assert [line for line in lines if not _is_command(line)] == []
    assert [link for link in re.findall(r"\]\(([\w.-]+)\)", text) if not (FOLDER / link).is_file()] == []


def _is_command(line: str) -> bool:
    """Whether the verb is there and takes the options."""
    command, words = COMMANDS, line.split()
    while words and (command := getattr(command, "commands", {}).get(words[0], command)).name == words[0]:
        words.pop(0)
    options = {option for parameter in command.params for option in parameter.opts}
    return not hasattr(command, "commands") and {w for w in words if w.startswith("--")} <= options
