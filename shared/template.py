"""New projects: copies of the examples that ship in the package."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from dovetail.shared.errors import ServiceMissing, UsageError, unknown

DEFAULT = "shop"
MADE = frozenset({"data", "__pycache__", "build", "dist", "uv.lock"})
"""What running a project leaves in its folder: never part of a template, whatever lies in a checkout."""


@dataclass(frozen=True)
class Created:
    """A new project: what it declares and tests, as counted in its files."""

    folder: Path
    template: str
    files: tuple[str, ...]
    sources: int
    views: int
    tests: int


def names() -> list[str]:
    """The templates there are."""
    return sorted(t.name for t in _examples().iterdir() if t.joinpath("dovetail.toml").is_file())


def chosen(name: str, template: str | None) -> str:
    """`template` where given, else the one called as the new project is, else the default.

    Raises:
        UsageError: there is no such template.
    """
    known = names()
    if template is None:
        return name if name in known else DEFAULT
    if template not in known:
        raise UsageError(unknown("template", template, known))
    return template


def create(folder: Path, template: str, *, dry_run: bool = False) -> Created:
    """Copies `template` to `folder`, which must be empty or not there; writes nothing when `dry_run`.

    Raises:
        UsageError: the folder holds something, or is a file.
        ServiceMissing: the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder", next="choose another name, or empty it first")
    files = {str(path): file for path, file in _files(_examples().joinpath(template), PurePosixPath())}
    if not dry_run:
        try:
            for path, file in files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open("rb") as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
        except OSError as error:
            raise ServiceMissing(f"{folder} cannot be written", why=str(error), next="choose another place") from None
    trees = {path: ast.parse(file.read_text("utf-8")) for path, file in files.items() if path.endswith(".py")}
    declared = [kind for path, tree in trees.items() if "/" not in path for kind in _declared(tree)]
    return Created(
        folder=folder,
        template=template,
        files=tuple(files),
        sources=declared.count("source"),
        views=declared.count("view"),
        tests=sum(_tests(tree) for path, tree in trees.items() if PurePosixPath(path).name.startswith("test_")),
    )


def _examples() -> Traversable:
    return resources.files("dovetail").joinpath("examples")


def _files(folder: Traversable, under: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        path = under / entry.name
        if entry.is_dir():
            # Of dot folders only caches and environments are known; dot files (.gitignore) belong to the project.
            if entry.name not in MADE and not entry.name.startswith(".") and not entry.name.endswith(".egg-info"):
                yield from _files(entry, path)
        elif entry.name not in MADE:
            yield path, entry


def _declared(tree: ast.Module) -> Iterator[str]:
    """`source` or `view` for each declaration at the top of a file, as a call or as a decorator."""
    for statement in tree.body:
        calls = statement.decorator_list if isinstance(statement, ast.FunctionDef) else []
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            calls = [statement.value]
        for call in calls:
            function = call.func if isinstance(call, ast.Call) else call
            if (
                isinstance(function, ast.Attribute)
                and isinstance(function.value, ast.Name)
                and function.value.id == "dv"
            ):
                yield function.attr


def _tests(tree: ast.Module) -> int:
    """Test cases that pytest will count, each set of literal parameters on its own."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    return sum(_cases(test) for test in found)


def _cases(test: ast.FunctionDef) -> int:
    cases = 1
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("parametrize"):
            sets = decorator.args[1] if len(decorator.args) > 1 else None
            cases *= len(sets.elts) if isinstance(sets, ast.List | ast.Tuple) else 1
    return cases
