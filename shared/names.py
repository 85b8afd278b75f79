"""The names that a transform uses and nobody defines: found by reading, before the first record makes it raise."""

from __future__ import annotations

import ast
import builtins
import difflib
import importlib.util
import symtable
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from dovetail.shared.closure import ReachedItem, reached
from dovetail.shared.purity import Problem
from dovetail.shared.syntax import FUNCTIONS, MISSING, Definition, bare, outer_names, resolve

_OF_MODULES = frozenset({"__name__", "__file__", "__doc__", "__package__", "__spec__", "__path__", "__class__"})


def unknown_names(function: Callable[..., Any], *, project: Path) -> list[Problem]:
    """Names without a meaning in a transform and the project code it reaches, and functions that a module lacks."""
    found = [
        problem
        for item in reached(function, project)
        if isinstance(item.node, (*FUNCTIONS, ast.ClassDef))
        for problem in (*_unbound(item, item.node), *_absent(item, item.node))
    ]
    return list(dict.fromkeys(found))


def _unbound(item: ReachedItem, node: Definition) -> Iterator[Problem]:
    # Without annotations and decorators, which are evaluated elsewhere or not at all.
    stripped = bare(node)
    around = outer_names(item.value) if isinstance(item.value, FunctionType | type) else {}
    known = {*item.names, *around, *vars(builtins), *_OF_MODULES, node.name}
    free = _free(symtable.symtable(ast.unparse(stripped), "", "exec")) - known
    for part in ast.walk(stripped):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id in free:
            yield _problem(item, part.lineno, f"unknown name '{part.id}'", part.id, known)


def _absent(item: ReachedItem, node: Definition) -> Iterator[Problem]:
    for part in ast.walk(bare(node)):
        if not isinstance(part, ast.Attribute) or resolve(part, item.names) is not MISSING:
            continue
        module = resolve(part.value, item.names)
        if isinstance(module, ModuleType) and not _is_module(f"{module.__name__}.{part.attr}"):
            yield _problem(item, part.lineno, f"{module.__name__} has no '{part.attr}'", part.attr, [*vars(module)])


def _problem(item: ReachedItem, line: int, what: str, name: str, known: Any) -> Problem:
    close = difflib.get_close_matches(name, [k for k in known if not k.startswith("_")], n=1)
    return Problem(what + (f": did you mean '{close[0]}'?" if close else ""), item.file, line, item.name)


def _free(table: symtable.SymbolTable) -> set[str]:
    names = {s.get_name() for s in table.get_symbols() if s.is_global() and not s.is_assigned()}
    if table.get_type() == "module":
        names = set()  # the definition itself is bound here, and nothing else is read
    return names.union(*(_free(child) for child in table.get_children()))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
