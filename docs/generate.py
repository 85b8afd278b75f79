"""Writes the reference pages from the docstrings: `make docs`.

A page is written by hand down to MARK. What follows is made of its functions: signature, docstring, examples. The tests
refuse a page that is not what its docstrings give, and run every example.

A docstring is Markdown, with sections as Google writes them: `Args:`, `Raises:`, and `Example:` with a doctest.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import dovetail as dv
from dovetail import transforms
from dovetail.shared.failpoints import NAMES

FOLDER = Path(__file__).resolve().parent
FAILPOINTS = FOLDER / "failpoints.md"
MARK = "<!-- Below this line the page is made from the docstrings: change those, then `make docs`. -->"
WIDTH = 100
_SECTION = re.compile(r"(Args|Raises|Example):")
_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")


@dataclass(frozen=True)
class Page:
    """A page under docs/, and the functions it lists, by how a user writes them."""

    name: str
    functions: Mapping[str, Callable[..., Any]]

    @property
    def file(self) -> Path:
        return FOLDER / self.name

    def text(self) -> str:
        """What the page should hold: its part written by hand as it stands, and the reference as the code has it."""
        by_hand, mark, _ = self.file.read_text(encoding="utf-8").partition(MARK)
        if not mark:
            raise SystemExit(f"{self.file} has no line {MARK}")
        return (
            "\n\n".join([by_hand + MARK, *[entry(name, function) for name, function in self.functions.items()]]) + "\n"
        )


def _listed(module: Any, prefix: str) -> dict[str, Callable[..., Any]]:
    """The public functions of a module, in the order of its names."""
    found = {f"{prefix}.{name}": getattr(module, name) for name in module.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


MEASURES = (
    "count sum min max avg variance stddev geometric_mean first last any_value top_k collect_set bool_or bool_and "
    "histogram ratio approx_distinct approx_quantiles approx_top_k measure"
)
PAGES = (
    Page("transforms.md", _listed(transforms, "dv.transforms")),
    Page("measures.md", {f"dv.{name}": getattr(dv, name) for name in MEASURES.split()}),
)


def entry(name: str, function: Callable[..., Any]) -> str:
    """The part of a page on one function."""
    parts = [f"## {name.rpartition('.')[2]}", f"```python\n{signature(name, function)}\n```"]
    for title, text in _sections(inspect.getdoc(function) or ""):
        if title == "Example":
            parts.append(f"```pycon\n{text}\n```")
        else:
            parts.append(_entries(text) if title else text)
    return "\n\n".join(parts)


def signature(name: str, function: Callable[..., Any]) -> str:
    """As it is written in the code, in one line or one line for each argument."""
    [node] = ast.parse(dedent(inspect.getsource(function))).body
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{name} is no function")
    arguments = list(_arguments(node.args))
    line = f"{name}({', '.join(arguments)})"
    return line if len(line) <= WIDTH else "\n".join([f"{name}(", *[f"    {a}," for a in arguments], ")"])


def _arguments(node: ast.arguments) -> Iterator[str]:
    """Each argument with its type and default, and the star where those by name begin."""
    plain = [*node.posonlyargs, *node.args]
    defaults = [None] * (len(plain) - len(node.defaults)) + list(node.defaults)
    for argument, default in zip(plain, defaults, strict=True):
        yield _argument(argument, default)
    if node.vararg or node.kwonlyargs:
        yield f"*{ast.unparse(node.vararg) if node.vararg else ''}"
    for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
        yield _argument(argument, default)
    if node.kwarg:
        yield f"**{ast.unparse(node.kwarg)}"


def _argument(node: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(node) + (f" = {ast.unparse(default)}" if default else "")


def _sections(docstring: str) -> Iterator[tuple[str, str]]:
    """Title and text of each part of a docstring; the title is empty for what stands before the first section."""
    title, lines = "", list[str]()
    for line in [*docstring.splitlines(), "Args:"]:
        if found := _SECTION.fullmatch(line):
            if text := dedent("\n".join(lines)).strip("\n"):
                yield title, text
            title, lines = found[1], []
        else:
            lines.append(line)


def _entries(text: str) -> str:
    """`name: what it is` as a list, a further line of it under the first."""
    return "\n".join(
        [_ENTRY.sub(r"- `\1`: \2", line) if _ENTRY.match(line) else line[2:] for line in text.splitlines()]
    )


def failpoints(text: str) -> str:
    """The page on failpoints: its part written by hand in `text`, and the table as the code has it."""
    rows = [f"| `{name}` | {done} |" for name, done in NAMES.items()]
    return "\n".join([text.partition(MARK)[0] + MARK, "", "| name | what was just done |", "|---|---|", *rows, ""])


def main() -> int:
    for page in PAGES:
        page.file.write_text(page.text(), encoding="utf-8")
        print(page.file.relative_to(FOLDER.parent))
    FAILPOINTS.write_text(failpoints(FAILPOINTS.read_text(encoding="utf-8")), encoding="utf-8")
    print(FAILPOINTS.relative_to(FOLDER.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
