"""The project code that a function reaches, and a text of it that changes when its meaning may."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from inspect import unwrap
from pathlib import Path, PurePath
from types import EllipsisType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any, Literal
from uuid import UUID

from dovetail.shared.errors import DeclarationError
from dovetail.shared.syntax import (
    MISSING,
    Definition,
    bare,
    binding_line,
    class_node,
    function_node,
    home,
    lambda_node,
    outer_names,
    qualified,
    resolve,
    scope,
)
from dovetail.shared.transforms.base import VERSIONS, Step, library_name

FORMAT = 1
PLAIN = frozenset(
    {NoneType, bool, int, float, complex, str, bytes, Decimal, date, datetime, time, timedelta, timezone, UUID, range}
    | {EllipsisType}
)


@dataclass(frozen=True)
class ReachedItem:
    """A function, class or module-level constant of the project.

    Attributes:
        kind: `unreadable` for a lambda and for what has no source.
        name: as the code that reaches it, or Python, calls it.
        file: where it is defined; for a constant, the file that uses it.
        line: from 1; 0 where it is not known.
        node: its definition, with the file's line numbers; None for a constant.
        names: what the names in `node` that it does not bind itself mean, for `syntax.resolve`.
    """

    kind: Literal["function", "class", "constant", "unreadable"]
    name: str
    file: Path | None
    line: int
    value: object = field(repr=False, compare=False)
    node: ast.AST | None = field(default=None, repr=False, compare=False)
    names: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


def reached(function: Callable[..., Any], project: Path) -> list[ReachedItem]:
    """The function itself and the project code it reaches, in the order in which the code names it.

    Args:
        project: a function or class is the project's when its file is under this folder (and not an installed package).
    """
    return _Walk(function, project).items


def steps(function: Callable[..., Any], project: Path) -> list[Step]:
    """The transforms of the library that it is or reaches as values: not those that its code makes when it runs."""
    return _Walk(function, project).steps


def parts(function: Callable[..., Any], project: Path) -> dict[str, tuple[str, str]]:
    """What `normalised` is made of: by name each function, class and constant that is reached, as its text, in which
    others stand by name, and its place. A transform of the library stands as it is told, what else is no code of the
    project under its own text."""
    walk = _Walk(function, project, lambdas=True)
    found = {item.name: (text, _place(item, project)) for item, text in zip(walk.items, walk.named, strict=True)}
    if isinstance(function, Step):
        found[function.told] = walk.text, str(function.where)
    return found or {walk.text.partition("\n")[2]: ("", "")}


def libraries(function: Callable[..., Any], project: Path) -> set[str]:
    """The packages beside the standard library that the code reaches, by the names they are imported under."""
    return _Walk(function, project, lambdas=True).libraries - sys.stdlib_module_names - {"dovetail"}


def _place(item: ReachedItem, project: Path) -> str:
    if item.file is None:
        return ""
    file = item.file.resolve()
    return f"{file.relative_to(project.resolve()) if file.is_relative_to(project.resolve()) else file.name}:{item.line}"


def normalised(function: Callable[..., Any], project: Path, *, lambdas: bool = False) -> str:
    """Text that is equal for two functions that do the same by the same code.

    It holds the syntax of everything reached and the values of constants, and library functions by module and name. It
    does not hold comments, docstrings, annotations, formatting, line numbers, names of files, nor the names by which
    functions are known to one another.

    Args:
        lambdas: read them too, where one stands alone on its line.

    Raises:
        DeclarationError: something reached has no readable source, such as a lambda, or lacks its file.
    """
    walk = _Walk(function, project, lambdas=lambdas)
    for item in walk.items:
        if item.kind == "unreadable":
            where = f"{item.file}:{item.line}" if item.file else ""
            raise DeclarationError(
                f"the code of {item.name} cannot be read",
                where=where,
                next="write it as a def in a file of the project",
            )
    for step in walk.steps:
        step.check_whole()
    return walk.text


class _Walk:
    """One walk over everything reached; an item's text names other items by their number."""

    def __init__(self, function: Callable[..., Any], project: Path, *, lambdas: bool = False) -> None:
        self._lambdas = lambdas
        self.items: list[ReachedItem] = []
        self.steps: list[Step] = []
        self.libraries: set[str] = set()
        self._texts: list[Callable[[], str]] = []
        self._numbers: dict[tuple[int, str], str] = {}
        self._open: set[int] = set()
        self._project = project.resolve()
        self._root = function
        with _deep():
            lines = [f"closure {FORMAT}", self._describe(function)]
            for text in self._texts:  # grows on the way
                lines.append(text())
        self.text = "\n".join(lines)
        named = [re.sub(r"@(\d+)", lambda n: self.items[int(n[1])].name, line) for line in lines[2:]]
        self.named = [*named, *[""] * (len(self.items) - len(named))]
        if not self.items and not isinstance(function, Step):
            self._add(ReachedItem("unreadable", qualified(function), None, 0, function), "", lambda: "")

    def _add(self, item: ReachedItem, flavour: str, text: Callable[[], str]) -> str:
        number = self._numbers[id(item.value), flavour] = f"@{len(self.items)}"
        self.items.append(item)
        self._texts.append(text)
        return number

    def _ours(self, value: object) -> bool:
        file = home(value)
        if file is None or not file.resolve().is_relative_to(self._project):
            return False
        return not {"site-packages", "dist-packages"} & set(file.resolve().relative_to(self._project).parts)

    def _function(self, value: FunctionType, *, decorated: bool = False) -> str:
        flavour = "decorated" if decorated else ""
        if number := self._numbers.get((id(value), flavour)):
            return number
        node, file = function_node(value) or (lambda_node(value) if self._lambdas else None), home(value)
        if node is None:
            line = value.__code__.co_firstlineno
            return self._add(ReachedItem("unreadable", value.__qualname__, file, line, value), flavour, lambda: "")
        slim = bare(node, decorated=decorated)
        names = scope(slim, outer_names(value))
        item = ReachedItem("function", value.__qualname__, file, node.lineno, value, node, names)
        defaults = [value.__defaults__, value.__kwdefaults__]
        return self._add(item, flavour, lambda: f"{self._definition(slim, item)} {self._describe(defaults)}")

    def _class(self, value: type) -> str:
        if number := self._numbers.get((id(value), "")):
            return number
        node, file = class_node(value), home(value)
        if node is None:
            return self._add(ReachedItem("unreadable", value.__qualname__, file, 0, value), "", lambda: "")
        slim = bare(node)
        item = ReachedItem("class", value.__qualname__, file, node.lineno, value, node, scope(slim, outer_names(value)))
        return self._add(item, "", lambda: self._definition(slim, item))

    def _constant(self, value: object, name: str, file: Path | None) -> str:
        flavour = f"{file}:{name}"
        if number := self._numbers.get((id(value), flavour)):
            return number
        item = ReachedItem("constant", name, file, binding_line(file, name), value)
        return self._add(item, flavour, lambda: self._describe(value))

    def _definition(self, node: Definition, item: ReachedItem) -> str:
        node.name = ""  # other items call it by number
        return self._dump(node, item)

    def _dump(self, node: object, item: ReachedItem) -> str:
        """Like `ast.dump`, but the same from one Python release to the next, and with names resolved."""
        if isinstance(node, list):
            return f"[{', '.join([self._dump(part, item) for part in node])}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            value = resolve(node, item.names)
            if value is not MISSING:
                return self._reference(node, value, item)
        if isinstance(node, ast.Constant):
            return repr(node.value)
        told = [(k, v) for k, v in ast.iter_fields(node) if v is not None and v != [] and k not in ("ctx", "kind")]
        return f"{type(node).__name__}({', '.join([f'{k}={self._dump(v, item)}' for k, v in told])})"

    def _reference(self, node: ast.Name | ast.Attribute, value: object, item: ReachedItem) -> str:
        if isinstance(value, ModuleType | type) or (callable(value) and not is_dataclass(value)):
            return self._describe(value)
        if isinstance(node, ast.Name):
            return self._constant(value, node.id, item.file)
        module = resolve(node.value, item.names)
        return self._constant(value, node.attr, home(module)) if self._ours(module) else self._describe(value)

    def _describe(self, value: object) -> str:
        """One line that says what a value is; functions and classes of the project become items."""
        self._from(value)
        if isinstance(value, FunctionType) and (value is self._root or self._ours(value)):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value) if self._ours(value) else qualified(value)
        inner = unwrap(value) if callable(value) else value
        if inner is not value and isinstance(inner, FunctionType) and self._ours(inner):
            made = {k: v for k, v in vars(value).items() if k in ("returnType", "evalType", "deterministic")}
            return f"{type(value).__name__} {self._describe(made)} of {self._function(inner, decorated=True)}"
        if id(value) in self._open:
            return "itself"
        self._open.add(id(value))
        try:
            return self._data(value)
        finally:
            self._open.remove(id(value))

    def _from(self, value: object) -> None:
        """Remembers the package that a value comes from, where that is not the project."""
        module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(module, str) and not self._ours(value):
            self.libraries.add(module.partition(".")[0])

    def _data(self, value: object) -> str:
        if type(value) in PLAIN or isinstance(value, re.Pattern | PurePath):
            return repr(value)
        if isinstance(value, ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, Enum):
            return f"{self._describe(type(value))}.{value.name}"
        if isinstance(value, partial):
            return f"partial {self._describe([value.func, value.args, value.keywords])}"
        if isinstance(value, MethodType):
            return f"method {self._describe([value.__self__, value.__func__])}"
        if isinstance(value, list | tuple):
            return f"{qualified(type(value))} [{', '.join([self._describe(v) for v in value])}]"
        if isinstance(value, set | frozenset):
            ordered = sorted(value, key=lambda v: getattr(v, "__qualname__", None) or repr(v))
            return f"{qualified(type(value))} [{', '.join([self._describe(v) for v in ordered])}]"
        if isinstance(value, Mapping) and value is not os.environ:
            pairs = [f"{self._describe(k)}: {self._describe(v)}" for k, v in value.items()]
            return f"{qualified(type(value))} {{{', '.join(pairs)}}}"
        if isinstance(value, Step):
            self.steps.append(value)
            return f"transform {value.name} {VERSIONS[value.name]} {self._describe(value.meaning())}"
        if is_dataclass(value) or self._ours(type(value)):
            return f"{self._describe(type(value))} {self._describe(dict(getattr(value, '__dict__', {})))}"
        return self._foreign(value)

    def _foreign(self, value: Any) -> str:
        """An object of a library, by its repr: an object that does not show its content there is told by its type."""
        if hasattr(value, "tolist"):
            return f"{qualified(type(value))} {self._describe(value.tolist())}"
        if callable(value) and (name := library_name(value)):
            return f"transform {name} {VERSIONS[name]}"
        if callable(value) and hasattr(value, "__qualname__"):
            return qualified(value)
        silent: Any = object.__repr__
        shown = "" if type(value).__repr__ is silent or value is os.environ else repr(value)
        return f"{qualified(type(value))} {re.sub(r' at 0x[0-9a-f]+', '', shown)}".rstrip()


@contextmanager
def _deep() -> Iterator[None]:
    """Room for long chains of method calls, whose trees are as deep as the chain is long."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 20_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
