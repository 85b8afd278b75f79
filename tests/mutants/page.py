"""docs/mutants.md, from the list of mutants and that of the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mutant import RULES
from mutants import MUTANTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutants.md"
MODEL = "tests/model/test_guards.py"
INTRO = """# Every guard has a test that goes red without it

A mutant is the code without one guard. `make mutants` makes each of them in a copy of the tree, runs the one test named
for it there, and expects it to fail: about a quarter of an hour on two cores. `make mutants K=archive` takes those
whose rule, name, file or test holds the word. `make test` checks that each mutant still finds its guard, once, and its
test. Those of the model are tests by themselves: a seeded simulation of all actors, in which some seed must go wrong
without the guard. This page is made by `python tests/mutants/run.py --table`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRO, *_lines()])


def of_model() -> dict[str, list[str]]:
    """The names of the model's mutants, by rule."""
    sys.path.insert(0, str(ROOT / MODEL.rpartition("/")[0]))
    from test_guards import MUTANTS as GUARDS

    return {rule: [m.name for m in GUARDS if m.rule == rule] for rule in {m.rule for m in GUARDS}}


def _lines() -> Iterator[str]:
    model, by_rule = of_model(), {rule: [*mutants] for rule, mutants in groupby(MUTANTS, lambda m: m.rule)}
    for rule, says in RULES.items():
        yield f"## {f'Rule {rule}' if rule.isdecimal() else rule.capitalize()}\n\n{says}\n"
        yield "| without its guard | the test that goes red |\n|---|---|"
        for m in by_rule.get(rule, ()):
            file, _, test = m.test.partition("::")
            yield f"| {m.name} | `{file}` `{test}` |"
        for name in model.get(rule, ()):
            yield f"| {name} | `{MODEL}` `[rule {rule}: {name}]` |"
        yield ""
