"""The text of a transform for its fingerprint: it changes with what the code does, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from dovetail.shared.closure import normalised, reached
from dovetail.shared.errors import DeclarationError

Make = Callable[..., Path]
_folders = count()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a project of its own: `make(views="…", transforms="…")`."""

    def write(**files: str) -> Path:
        folder = tmp_path / f"p{next(_folders)}"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
        return folder

    return write


@pytest.fixture(autouse=True)
def _fresh_modules() -> Iterator[None]:
    before, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def imported(folder: Path, module: str = "views") -> ModuleType:
    for file in folder.glob("*.py"):
        sys.modules.pop(file.stem, None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(folder))


def text(folder: Path, module: str = "views", name: str = "clean") -> str:
    return normalised(getattr(imported(folder, module), name), folder)


def texts(make: Make, one: str, other: str) -> tuple[str, str]:
    return text(make(views=one)), text(make(views=other))


def items(folder: Path) -> list[tuple[str, str, int]]:
    return [(i.kind, i.name, i.line) for i in reached(imported(folder).clean, folder)]


CHAIN = """
    from string import capwords as tidy
    RATE = 2

    def last(x):
        return tidy(x) * RATE

    def middle(x):
        return last(x)

    def clean(df):
        return middle(df)
"""


def test_what_is_reached_comes_in_the_order_of_the_code(make: Make) -> None:
    expected = [("function", "clean", 11), ("function", "middle", 8), ("function", "last", 5), ("constant", "RATE", 3)]
    assert items(make(views=CHAIN)) == expected


def test_a_helper_changed_two_calls_away_changes_it(make: Make) -> None:
    one, other = texts(make, CHAIN, CHAIN.replace("tidy(x) * RATE", "tidy(x) + RATE"))
    assert one != other


def test_a_changed_constant_changes_it(make: Make) -> None:
    one, other = texts(make, CHAIN, CHAIN.replace("RATE = 2", "RATE = 3"))
    assert one != other


def test_another_library_function_behind_the_same_alias_changes_it(make: Make) -> None:
    one, other = texts(make, CHAIN, CHAIN.replace("string import capwords", "textwrap import dedent"))
    assert one != other


def test_a_module_swapped_behind_an_alias_changes_it(make: Make) -> None:
    views = "import math as m\ndef clean(df):\n    return m.sqrt(df)\n"
    one, other = texts(make, views, views.replace("import math", "import cmath"))
    assert one != other


def test_comments_docstrings_annotations_and_format_do_not_change_it(make: Make) -> None:
    plain = """
        RATE = 2
        def clean(df, n=1):
            out = df + RATE
            return [out, n]
    """
    dressed = '''
        """A module."""
        from __future__ import annotations
        import typing

        RATE: int = 1 + 1  # a comment

        def clean(df: typing.Any, n: int = 1) -> list[typing.Any]:
            """Says much."""
            kept: int
            out: typing.Any = (df
                    + RATE)
            return [
                out, n,
            ]
    '''
    one, other = texts(make, plain, dressed)
    assert one == other


def test_order_of_definitions_does_not_change_it(make: Make) -> None:
    a, b = "def a(x):\n    return x + 1\n", "def b(x):\n    return x + 2\n"
    clean = "def clean(df):\n    return a(b(df))\n"
    one, other = texts(make, a + b + clean, clean + b + a)
    assert one == other


def test_a_helper_renamed_or_moved_to_another_file_does_not_change_it(make: Make) -> None:
    here = make(views="def tidy(x):\n    return x + 1\ndef clean(df):\n    return tidy(df)\n")
    there = make(
        lib="def trim(x):\n    return x + 1\n", others="import lib as t\ndef clean(df):\n    return t.trim(df)\n"
    )
    assert text(here) == text(there, "others")


def test_swapping_two_helpers_changes_it(make: Make) -> None:
    views = "def a(x):\n    return x + 1\ndef b(x):\n    return x * 2\ndef clean(df):\n    return a(b(df))\n"
    one, other = texts(make, views, views.replace("a(b(df))", "b(a(df))"))
    assert one != other


def test_helpers_are_reached_through_a_module_alias_and_an_import_inside(make: Make) -> None:
    library = "BASE = 7\ndef clean(x):\n    return x\ndef other(x):\n    return x + BASE\n"
    views = """
        import transforms as t

        def clean(df):
            from transforms import other
            return other(t.clean(df)) + t.BASE
    """
    folder = make(transforms=library, views=views)
    assert [(kind, name) for kind, name, _ in items(folder)] == [
        ("function", "clean"),
        ("function", "other"),
        ("function", "clean"),
        ("constant", "BASE"),
    ]
    assert text(folder) != text(make(transforms=library.replace("7", "8"), views=views))
    assert text(folder) != text(make(transforms=library.replace("return x\n", "return -x\n"), views=views))


def test_recursion_terminates(make: Make) -> None:
    views = "def odd(n):\n    return n and clean(n - 1)\ndef clean(n):\n    return n and odd(n - 1)\nSELF = [clean]\n"
    assert [name for _, name, _ in items(make(views=views))] == ["clean", "odd"]


EDITS = {
    "default values and closure variables": (
        """
        def times(n):
            def scale(df, extra=n + 1):
                return df * n + extra
            return scale
        clean = times(2)
        """,
        [("times(2)", "times(3)"), ("n + 1", "n + 2")],
    ),
    "a decorator of the project": (
        """
        import functools
        def twice(f):
            @functools.wraps(f)
            def wrapper(df):
                return f(f(df))
            return wrapper
        @twice
        def clean(df):
            return df + 1
        """,
        [("f(f(df))", "f(df)"), ("df + 1", "df + 2")],
    ),
    "a decorator of a library": (
        """
        from functools import lru_cache
        @lru_cache(maxsize=2)
        def slow(x):
            return x + 1
        def clean(df):
            return slow(df)
        """,
        [("x + 1", "x + 2"), ("maxsize=2", "maxsize=3")],
    ),
    "a function of Spark": (
        """
        from pyspark.sql import functions as F, types as T
        def tidy(x: str) -> str:
            return x.strip()
        tidied = F.udf(tidy, T.StringType(), useArrow=False)
        def clean(df):
            return df.select(tidied(F.upper("a")))
        """,
        [("strip", "lstrip"), ("StringType", "BinaryType"), ("F.upper", "F.lower")],
    ),
    "a partial": (
        """
        from functools import partial
        def scale(df, n):
            return df * n
        clean = partial(scale, n=2)
        """,
        [("df * n", "df + n"), ("n=2)", "n=3)")],
    ),
    "a class": (
        """
        from dataclasses import dataclass
        RATE = 2
        @dataclass(frozen=True)
        class Scale:
            n: int
            def apply(self, df):
                return df * self.n * RATE
        BY_TWO = Scale(2)
        def clean(df):
            return BY_TWO.apply(df)
        """,
        [("df * self.n", "df + self.n"), ("Scale(2)", "Scale(3)"), ("RATE = 2", "RATE = 4"), ("n: int", "n: float")],
    ),
}


@pytest.mark.parametrize("kind", EDITS)
def test_every_part_of_the_code_counts(make: Make, kind: str) -> None:
    views, edits = EDITS[kind]
    assert text(make(views=views)) == text(make(views=views))
    for before, after in edits:
        one, other = texts(make, views, views.replace(before, after))
        assert one != other, (before, after)


def test_a_class_is_reached_with_what_its_methods_name(make: Make) -> None:
    kinds = [(kind, name) for kind, name, _ in items(make(views=EDITS["a class"][0]))]
    assert kinds == [("function", "clean"), ("constant", "BY_TWO"), ("class", "Scale"), ("constant", "RATE")]


def test_a_decorator_that_declares_does_not_count(make: Make) -> None:
    views = "def view(n):\n    return lambda f: [f]\n@view(n=1)\ndef clean(df):\n    return df\n[clean] = clean\n"
    one, other = texts(make, views, views.replace("n=1", "n=2"))
    assert one == other


def test_code_installed_under_the_project_folder_is_not_the_projects(make: Make) -> None:
    folder = make(views="import far\ndef clean(df):\n    return far.tidy(df)\n")
    installed = folder / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "far.py").write_text("def tidy(x):\n    return x\n", encoding="utf-8")
    sys.path.insert(0, str(installed))
    assert [name for _, name, _ in items(folder)] == ["clean"]


def test_a_chain_of_two_hundred_calls_is_read(make: Make) -> None:
    views = f"def clean(df):\n    return df{'.withColumn(1, 2)' * 200}\n"
    assert text(make(views=views)).count("withColumn") == 200


@pytest.mark.parametrize(
    "broken", ["clean = lambda df: df\n", "tidy = lambda x: x\ndef clean(df):\n    return tidy(df)\n"]
)
def test_a_lambda_cannot_be_read_and_that_is_said(make: Make, broken: str) -> None:
    folder = make(views=broken)
    with pytest.raises(DeclarationError, match=r"the code of <lambda> cannot be read") as caught:
        text(folder)
    assert caught.value.where == f"{folder / 'views.py'}:1"
