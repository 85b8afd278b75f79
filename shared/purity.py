"""The check of transforms that needs no engine: reads their code, and refuses what is not worked out row by row."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dovetail.shared import rowwise
from dovetail.shared.closure import ReachedItem, reached, steps
from dovetail.shared.plain import PlainNames
from dovetail.shared.syntax import FUNCTIONS, MISSING, qualified, resolve

SQL_CALLS = frozenset({"filter", "where", "selectExpr", "expr", "derive"})
NAMED_CALLS = frozenset({"call_function", "call_udf"})
SPARK_READS = frozenset({"read", "sql", "range", "catalog", "streams"})


@dataclass(frozen=True)
class Problem:
    """What a transform may not do.

    Attributes:
        message: what was found, why it is refused, and what to do instead.
        file: None where it is not known.
        line: from 1; 0 where it is not known.
        function: the function or class of the project that the line is in.
    """

    message: str
    file: Path | None
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file or '?'}:{self.line} in {self.function}: {self.message}"


def problems(function: Callable[..., Any], *, project: Path) -> list[Problem]:
    """Everything in a transform, and in the project code it reaches, that is not row-wise; empty where all is well.

    Seen is what the code names. A method is known by its name alone, unless it is called on what is evidently text or a
    list: `name.count("a")` is refused where `name` is a bare parameter, and accepted where it is annotated as `str`.
    What only running can tell, such as `getattr(lines, name)()`, is not seen.
    """
    found = [problem for item in reached(function, project) for problem in _Reader(item).problems()]
    for step in steps(function, project):
        found += [Problem(flaw, step.where.file, step.where.line, step.name) for flaw in step.flaws(project)]
    return list(dict.fromkeys(found))


class _Reader:
    """Reads the code of one function or class."""

    def __init__(self, item: ReachedItem) -> None:
        self._item = item
        self._plain = PlainNames(item.node, item.names)

    def problems(self) -> Iterator[Problem]:
        item = self._item
        if item.kind == "unreadable":
            message = f"the code of {item.name} cannot be read: write it as a def in a file of the project"
            yield Problem(message, item.file, item.line, item.name)
        body = item.node.body if isinstance(item.node, (*FUNCTIONS, ast.ClassDef)) else []
        nodes = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.expr)]
        for line, node in sorted([(_line(node), node) for node in nodes], key=lambda pair: pair[0]):
            for what, why in self._read(node):
                yield Problem(f"{what}: {why}", item.file, line, item.name)

    def _read(self, node: ast.expr) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from self._named(node)
        if isinstance(node, ast.Attribute):
            yield from self._property(node)
        if isinstance(node, ast.Call):
            yield from self._called(node)

    def _named(self, node: ast.Name | ast.Attribute) -> Iterator[tuple[str, str]]:
        """A library's function or class, called here or only named: given another name, it is called later."""
        for path in self._paths(node):
            module, _, name = path.rpartition(".")
            reason = rowwise.python_reason(path)
            if _of_functions(module):
                reason = rowwise.function_reason(name)
            elif module.startswith("pyspark."):
                reason = rowwise.CLASSES.get(name)
            if reason:
                yield ast.unparse(node), reason
                return

    def _paths(self, node: ast.expr) -> list[str]:
        """Module and name of what is meant, as it is written and as it is defined: `numpy.random.rand`, `io.open`."""
        value = resolve(node, self._item.names)
        written = [f"{base}.{node.attr}" for base in self._paths(node.value)] if isinstance(node, ast.Attribute) else []
        if value is MISSING:
            return written
        if isinstance(value, ModuleType):
            return [value.__name__]
        if value is os.environ:
            return ["os.environ"]
        if type(value).__module__.startswith("pyspark."):
            written = [*written, qualified(type(value))]  # a session or a window kept as a constant
        return [*written, qualified(value)] if callable(value) else written

    def _property(self, node: ast.Attribute) -> Iterator[tuple[str, str]]:
        if self._plain.holds(node.value) or resolve(node, self._item.names) is not MISSING:
            return
        if reason := rowwise.PROPERTIES.get(node.attr):
            yield f".{node.attr}", reason
        if node.attr in SPARK_READS and isinstance(node.value, ast.Name) and node.value.id == "spark":
            yield f"spark.{node.attr}", rowwise.READ

    def _called(self, call: ast.Call) -> Iterator[tuple[str, str]]:
        value = resolve(call.func, self._item.names)
        name = getattr(value, "__name__", "") if value is not MISSING else getattr(call.func, "attr", "")
        if isinstance(call.func, ast.Attribute) and value is MISSING and not self._plain.holds(call.func.value):
            if reason := rowwise.METHODS.get(name):
                yield f".{name}()", reason
            if name == "join" and (len(call.args) > 1 or call.keywords):  # text is joined with one argument
                yield ".join()", rowwise.JOIN
        if value is getattr and len(call.args) > 1:
            for text in self._plain.texts(call.args[1]):
                if reason := rowwise.METHODS.get(text) or rowwise.PROPERTIES.get(text):
                    yield f"getattr(…, {text!r})", reason
        if name == "unix_timestamp" and not call.args and not call.keywords:
            yield "unix_timestamp()", rowwise.CLOCK
        if name in SQL_CALLS:
            for text in [t for argument in call.args for t in self._plain.texts(argument)]:
                yield from [(f"{found} in {text!r}", reason) for found, reason in rowwise.sql_reasons(text)]
        if name in NAMED_CALLS:
            for text in [t for argument in call.args[:1] for t in self._plain.texts(argument)]:
                yield from [(f"{name}({text!r})", reason) for _, reason in rowwise.sql_reasons(f"{text}(")]


def _of_functions(module: str) -> bool:
    return module.startswith(("pyspark.sql.functions", "pyspark.sql.connect.functions"))


def _line(node: ast.expr) -> int:
    """Where the name stands that a problem is about: the last line of a chain, not the first."""
    named = node.func if isinstance(node, ast.Call) else node
    return named.end_lineno or named.lineno
