"""Tells text, lists and numbers from what may be a DataFrame, without running the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, ValuesView
from typing import TypeAlias

from dovetail.shared.syntax import FUNCTIONS, MISSING, resolve

TYPES = frozenset({"str", "bytes", "list", "tuple", "set", "frozenset", "dict", "int", "float"})
TEXT_METHODS = frozenset("split rsplit splitlines strip lstrip rstrip lower upper casefold keys items".split())
COLUMN_LISTS = frozenset({"columns", "dtypes"})
LITERALS = (
    ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp,
)  # fmt: skip

Binding: TypeAlias = tuple[str, ast.expr | None]
"""How a name gets its value: "is" this expression, "of" its elements, or "typed" by this annotation."""


class PlainNames:
    """What the names of one function hold, as far as its code shows."""

    def __init__(self, node: ast.AST | None, names: Mapping[str, object]) -> None:
        self._names = names
        self._bound: dict[str, list[Binding]] = {}
        self._asking: set[str] = set()
        for name, binding in _bindings(node) if node else ():
            self._bound.setdefault(name, []).append(binding)

    def holds(self, node: ast.expr) -> bool:
        """Whether this is evidently no DataFrame and no column: text, a number, a list, or an object of the project."""
        value = resolve(node, self._names)
        if value is not MISSING:
            return not type(value).__module__.startswith("pyspark.") and not _is_pyspark(value)
        if isinstance(node, LITERALS):
            return True
        if isinstance(node, ast.Name):
            return node.id in ("self", "cls") or self._name_holds(node.id)
        if isinstance(node, ast.Attribute):
            return node.attr in COLUMN_LISTS
        if isinstance(node, ast.Call):
            return self._call_holds(node.func)
        if isinstance(node, ast.BinOp):
            return self.holds(node.left) or self.holds(node.right)
        if isinstance(node, ast.Subscript):
            return self._elements_hold(node.value)
        return isinstance(node, ast.IfExp) and self.holds(node.body) and self.holds(node.orelse)

    def texts(self, node: ast.expr) -> list[str]:
        """The texts that an expression may be, an inserted value as `x`; empty where that is not to be seen."""
        value = resolve(node, self._names)
        if value is not MISSING:
            return _texts_of(value)
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            return ["".join([str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values])]
        if isinstance(node, ast.BinOp):
            ends = [] if isinstance(node.op, ast.Mod) else self.texts(node.right)
            return ["x".join(self.texts(node.left) + ends)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return self.texts(node.func.value)
        if isinstance(node, ast.IfExp):
            return self.texts(node.body) + self.texts(node.orelse)
        if isinstance(node, ast.List | ast.Tuple):
            return [text for part in node.elts for text in self.texts(part)]
        if isinstance(node, ast.Dict):
            return [text for part in node.values for text in self.texts(part)]
        if isinstance(node, ast.Starred):
            return self.texts(node.value)
        if isinstance(node, ast.Name) and node.id not in self._asking:
            self._asking.add(node.id)
            found = [
                text
                for how, given in self._bound.get(node.id, [])
                if how != "typed" and given
                for text in self.texts(given)
            ]
            self._asking.discard(node.id)
            return found
        return []

    def _name_holds(self, name: str) -> bool:
        if name in self._asking or name not in self._bound:
            return False
        self._asking.add(name)
        held = all(self._binding_holds(how, given) for how, given in self._bound[name])
        self._asking.discard(name)
        return held

    def _binding_holds(self, how: str, given: ast.expr | None) -> bool:
        if given is None:
            return False
        if how == "typed":
            base = given.value if isinstance(given, ast.Subscript) else given
            name = base.value if isinstance(base, ast.Constant) else getattr(base, "id", "")
            return str(name).partition("[")[0] in TYPES
        return self.holds(given) if how == "is" else self._elements_hold(given)

    def _call_holds(self, function: ast.expr) -> bool:
        value = resolve(function, self._names)
        if value is not MISSING:
            made = isinstance(value, type) and not _is_pyspark(value)
            return made or value is sorted or value is len or value is repr
        if isinstance(function, ast.Attribute):
            return function.attr in TEXT_METHODS or self.holds(function.value)
        return False

    def _elements_hold(self, node: ast.expr) -> bool:
        """Whether each element is plain: a list may hold DataFrames."""
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(self.holds(part) for part in node.elts)
        if isinstance(node, ast.Name) and resolve(node, self._names) is MISSING:
            bound = self._bound.get(node.id, [])
            return bool(bound) and all(
                how == "is" and given is not None and self._listed(given) for how, given in bound
            )
        return self._listed(node)

    def _listed(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Attribute) and node.attr in COLUMN_LISTS:
            return True
        if isinstance(node, ast.Call):
            return self._call_holds(node.func) and all(self._elements_hold(argument) for argument in node.args)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(self.holds(part) for part in node.elts)
        return resolve(node, self._names) is not MISSING or isinstance(node, ast.Constant | ast.Dict)


def _texts_of(value: object) -> list[str]:
    """The texts in a value that is known before the code runs: itself, or those it holds."""
    if isinstance(value, str):
        return [value]
    held = value.values() if isinstance(value, Mapping) else value
    return [text for text in held if isinstance(text, str)] if isinstance(held, list | tuple | ValuesView) else []


def _is_pyspark(value: object) -> bool:
    return (getattr(value, "__module__", None) or "").startswith("pyspark.")


def _bindings(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    """Every place at which the code of a function gives a name a value."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign):
            for target in part.targets:
                yield from [(n, ("is", part.value if isinstance(target, ast.Name) else None)) for n in _stored(target)]
        elif isinstance(part, ast.AnnAssign):
            yield from [(n, ("typed", part.annotation)) for n in _stored(part.target)]
        elif isinstance(part, ast.For | ast.AsyncFor | ast.comprehension):
            yield from [(n, ("of", part.iter)) for n in _stored(part.target)]
        elif isinstance(part, ast.NamedExpr):
            yield part.target.id, ("is", part.value)
        elif isinstance(part, ast.AugAssign):
            yield from [(n, ("is", part.value)) for n in _stored(part.target)]
        elif isinstance(part, ast.withitem) and part.optional_vars is not None:
            yield from [(n, ("is", None)) for n in _stored(part.optional_vars)]
        elif isinstance(part, (*FUNCTIONS, ast.Lambda)):
            arguments = part.args
            for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
                yield argument.arg, ("typed", argument.annotation)


def _stored(target: ast.expr) -> list[str]:
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
