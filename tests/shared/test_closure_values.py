"""The values of constants in the text of a transform: told apart by type and content, the same in every process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from dovetail.shared.closure import normalised
from dovetail.shared.errors import DeclarationError

_numbers = count()


def text(folder: Path, views: str) -> str:
    name = f"closure_values_{next(_numbers)}"
    file = folder / f"{name}.py"
    file.write_text(views, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return normalised(module.clean, folder)


def texts(folder: Path, one: str, other: str) -> tuple[str, str]:
    return text(folder, one), text(folder, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("1", "True"), ("'a'", "b'a'"), ("(1, 2)", "[1, 2]"), ("{'a': 1}", "{'a': 2}"), ("{1, 2}", "{1, 3}"),
     ("print", "len"), ("re.compile('a')", "re.compile('b')"), ("Decimal('1.0')", "Decimal('1.00')")],
)  # fmt: skip
def test_constants_differ_by_value_and_type(tmp_path: Path, one: str, other: str) -> None:
    views = "import re\nfrom decimal import Decimal\nX = {}\ndef clean(df):\n    return X\n"
    assert text(tmp_path, views.replace("{}", one)) != text(tmp_path, views.replace("{}", other))


def test_a_set_is_the_same_in_any_order(tmp_path: Path) -> None:
    views = "X = frozenset([{}])\ndef clean(df):\n    return X\n"
    one, other = texts(tmp_path, views.format("1, 9, 17, 25"), views.format("25, 17, 9, 1"))
    assert one == other


def test_a_constant_that_holds_itself_and_a_function_terminates(tmp_path: Path) -> None:
    views = "def tidy(x):\n    return x\nSTEPS = [tidy]\nSTEPS.append(STEPS)\ndef clean(df):\n    return STEPS[0](df)\n"
    one, other = texts(tmp_path, views, views.replace("return x", "return -x"))
    assert one != other


def test_a_class_of_a_module_that_was_never_registered_is_read(tmp_path: Path) -> None:
    views = "RATE = 2\nclass A:\n    def f(self, x):\n        return x * RATE\ndef clean(df):\n    return A().f(df)\n"
    for before, after in [("return x", "return -x"), ("RATE = 2", "RATE = 3")]:
        one, other = texts(tmp_path, views, views.replace(before, after))
        assert one != other, before


def test_the_environment_is_never_in_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "canary-7f3a")
    made = text(tmp_path, "import os\nfrom os import environ\ndef clean(df):\n    return os.environ, environ\n")
    assert "canary-7f3a" not in made


def test_it_is_the_same_in_another_process(tmp_path: Path) -> None:
    views = (
        "def f(): ...\ndef g(): ...\nX = {'a', 'b', 'c', f, g}\nLOG = object()\n"
        "def clean(df):\n    return X, LOG, __name__\n"
    )
    (tmp_path / "views.py").write_text(views, encoding="utf-8")
    script = (
        "import sys, pathlib; from dovetail.shared.closure import normalised\n"
        "sys.path.insert(0, sys.argv[1]); import views\n"
        "print(normalised(views.clean, pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    runs = [
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].strip() == text(tmp_path, views)


def test_a_built_in_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"builtins\.len cannot be read"):
        normalised(len, tmp_path)
