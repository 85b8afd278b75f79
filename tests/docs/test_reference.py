"""The reference pages: what they say is what the docstrings say, and every example on them gives what it shows."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import dovetail as dv
from dovetail.testing import answer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DOCS = Path(__file__).parents[2] / "docs"


def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["generate"] = importlib.util.module_from_spec(spec)  # where its dataclass looks for itself
    spec.loader.exec_module(module)
    return module


generate = _generate()
FUNCTIONS = [(name, function) for page in generate.PAGES for name, function in page.functions.items()]


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_a_page_is_what_the_docstrings_give(page: Any) -> None:
    assert page.file.read_text(encoding="utf-8") == page.text(), "make docs"


def test_the_page_on_failpoints_lists_every_one() -> None:
    page = generate.FAILPOINTS.read_text(encoding="utf-8")
    assert page == generate.failpoints(page)
    assert page.count("\n| `") == len(generate.NAMES)


@pytest.mark.java
@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_an_example_gives_what_it_shows(
    name: str, function: Any, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"spark": spark, "dv": dv, "Path": Path, "Decimal": Decimal, "answer": partial(answer, spark=spark)}
    example = doctest.DocTestParser().get_doctest(function.__doc__, known, name, None, None)
    assert example.examples, "there is none"
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)


@pytest.mark.java
def test_the_law_kit_s_example_holds(spark: SparkSession) -> None:
    text = (DOCS / "measures.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```python\n(import dovetail.*?)^```$", text, re.DOTALL | re.MULTILINE)
    known: dict[str, Any] = {}
    exec(block, known)
    known["test_the_spread_of_prices_merges"](spark)


def _files() -> Iterator[tuple[str, str]]:
    """The blocks of docs/transforms.md that begin with the name of a file, in order."""
    text = (DOCS / "transforms.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if named := re.match(r"# (\w+)\.py\n", block):
            yield named[1], block


@pytest.mark.java
def test_the_worked_example_fails_until_its_last_step(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    failed = []
    for name, text in _files():
        (tmp_path / f"{name}.py").write_text(text)
        failed.append(_failure(spark))
    assert failed == ["ModuleNotFoundError", "SchemasNotEqualError", ""]


def _failure(spark: SparkSession) -> str:
    """The kind of error that the test of the worked example ends with; empty where it passes."""
    for name in ("test_cleaning", "cleaning"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        importlib.import_module("test_cleaning").test_orders_of_the_old_till_are_like_any_other(spark)
    except Exception as error:  # noqa: BLE001  whatever the page's own code raises
        return type(error).__name__
    return ""
