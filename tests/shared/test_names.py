"""Names that nobody defines, found in transforms without running them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.shared.names import unknown_names

HEAD = "import math\nfrom pyspark.sql import functions as F\nLIMIT = 3\n"


@pytest.fixture
def found(tmp_path: Path) -> Callable[[str], list[tuple[int, str]]]:
    """Line (from that of the `def`, which is 1) and message of each unknown name in `transform`."""

    def found(body: str) -> list[tuple[int, str]]:
        file = tmp_path / "made.py"
        file.write_text(HEAD + body)
        spec = importlib.util.spec_from_file_location("made", file)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        sys.modules["made"] = module
        spec.loader.exec_module(module)
        shift = HEAD.count("\n")
        return [(p.line - shift, p.message) for p in unknown_names(module.transform, project=tmp_path)]

    return found


@pytest.mark.parametrize(
    "body",
    [
        "def transform(lines):\n    return lines.where(F.col('a') > LIMIT)",
        "def transform(lines):\n    return [len(x) for x in lines.columns if (y := x)] and y",
        "def transform(lines: 'Frame') -> 'Nowhere':\n    part: Missing = 1\n    return lines",
        "def transform(lines):\n    import json\n    return json.dumps(math.floor(1.5))",
        "def transform(lines):\n    def inner(a, *b, c=LIMIT, **d):\n        return a, b, c, d\n    return inner",
        "def transform(lines):\n    try:\n        pass\n    except ValueError as error:\n        return error",
        "def transform(lines):\n    total = 0\n    def add():\n        nonlocal total\n        total += 1",
        "def transform(lines):\n    return (lambda a: a + __name__)(lines)",
        "class Made:\n    def of(self, x):\n        return Made, x\ndef transform(lines):\n    return Made().of(lines)",
        "def transform(lines):\n    import xml\n    return xml.dom",
    ],
)
def test_names_that_mean_something_are_left_alone(found: Callable[[str], list[tuple[int, str]]], body: str) -> None:
    assert found(body) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("def transform(lines):\n    return lines > LIMT", (2, "unknown name 'LIMT': did you mean 'LIMIT'?")),
        ("def transform(lines):\n    return nothing_like_it(lines)", (2, "unknown name 'nothing_like_it'")),
        ("def transform(lines):\n\n    return lines.select(F.collumn('a'))",
         (3, "pyspark.sql.functions has no 'collumn': did you mean 'column'?")),
        ("def transform(lines):\n    return math.flor(1)", (2, "math has no 'flor': did you mean 'floor'?")),
        ("def helper(x):\n    return y\ndef transform(lines):\n    return helper(lines)", (2, "unknown name 'y'")),
    ],
)  # fmt: skip
def test_a_name_that_means_nothing_is_found_at_its_line(
    found: Callable[[str], list[tuple[int, str]]], body: str, problem: tuple[int, str]
) -> None:
    assert found(body) == [problem]
