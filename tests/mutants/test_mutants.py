"""The list of mutants is kept: each still finds its guard, once, and its test; the page says the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import run
from mutant import RULES, Mutant, Vacuous, applied
from mutants import MUTANTS
from page import PAGE, ROOT, of_model, page
from run import verdict


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_finds_its_guard_once_and_is_code(mutant: Mutant) -> None:
    without = mutant.mutated(ROOT)
    assert without != (ROOT / mutant.file).read_text(encoding="utf-8")
    if mutant.file.endswith(".py"):
        ast.parse(without)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_s_test_is_there(mutant: Mutant) -> None:
    file, _, test = mutant.test.partition("::")
    functions = [n.name for n in ast.parse((ROOT / file).read_text("utf-8")).body if isinstance(n, ast.FunctionDef)]
    assert test.partition("[")[0] in functions


def test_no_two_mutants_have_one_name() -> None:
    names = [str(m) for m in MUTANTS]
    assert len({*names}) == len(names) > 100


def test_every_rule_has_a_mutant() -> None:
    assert {m.rule for m in MUTANTS} | {*of_model()} == {*RULES}


def test_the_page_is_what_the_list_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python tests/mutants/run.py --table > docs/mutants.md"


def test_a_guard_that_is_not_there_once_is_refused_and_the_file_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("guard()\nact()\nact()\n")
    with applied(_mutant("guard()\n"), tmp_path):
        assert (tmp_path / "code.py").read_text() == "act()\nact()\n"
    assert (tmp_path / "code.py").read_text() == "guard()\nact()\nact()\n"
    for old in ("act()\n", "gone()\n"):
        with pytest.raises(Vacuous, match="times, not once"):
            _mutant(old).mutated(tmp_path)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest that loads no plugin, which is most of what it takes to run one test."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("new", "outcome"),
    [("def guard(n): return True", "red"), ("def guard(n): return 0 < n", "SURVIVED"), ("", "BROKEN")],
)
def test_a_test_is_red_only_where_it_ran_and_failed(tmp_path: Path, new: str, outcome: str) -> None:
    assert verdict(_guarding(tmp_path, new), tmp_path).outcome == outcome


@pytest.mark.usefixtures("plain")
def test_one_that_hangs_is_ended_and_is_no_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ENDS_S", 3.0)
    found = verdict(_guarding(tmp_path, "def guard(n):\n    while True: pass"), tmp_path)
    assert (found.outcome, found.said.strip()) == ("BROKEN", "it does not end")


def _guarding(tmp_path: Path, new: str) -> Mutant:
    """A mutant of a guard, with its test, in a folder."""
    (tmp_path / "code_of_it.py").write_text("def guard(n): return n > 0")
    (tmp_path / "test_it.py").write_text(
        "from code_of_it import guard\n\ndef test_a_guard():\n    assert not guard(-1)\n"
    )
    return Mutant("1", "", "code_of_it.py", "def guard(n): return n > 0", new, "test_it.py::test_a_guard")


def _mutant(old: str) -> Mutant:
    return Mutant("1", "without", "code.py", old, "", "tests/test_code.py::test_it")
