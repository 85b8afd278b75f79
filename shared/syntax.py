"""From a function or class to its syntax tree, and from a name in that tree to the object it means."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import linecache
import re
import symtable
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Missing:
    """What `resolve` gives for a name whose object is not known before the code runs."""


MISSING = Missing()


def function_node(function: FunctionType) -> Function | None:
    """The `def` of a function; None for a lambda, and where there is no source or it has changed since the import."""
    code = function.__code__
    for node in ast.walk(module_tree(code.co_filename)):
        if isinstance(node, FUNCTIONS) and node.name == code.co_name and _first_line(node) == code.co_firstlineno:
            return node
    return None


def lambda_node(function: FunctionType) -> Function | None:
    """A lambda as the `def` it stands for; None where its line holds several with these parameters."""
    code = function.__code__
    found = [
        node
        for node in ast.walk(module_tree(code.co_filename))
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and [a.arg for a in (*node.args.posonlyargs, *node.args.args)] == [*code.co_varnames[: code.co_argcount]]
    ]
    if code.co_name != "<lambda>" or len(found) != 1:
        return None
    body: list[ast.stmt] = [ast.copy_location(ast.Return(found[0].body), found[0])]
    named = ast.FunctionDef("lambda_", found[0].args, body, [])
    return ast.fix_missing_locations(ast.copy_location(named, found[0]))


def class_node(kind: type) -> ast.ClassDef | None:
    """The `class` statement of a class; None where its source is not found."""
    file = home(kind)
    node: ast.AST | None = module_tree(str(file)) if file else None
    for part in kind.__qualname__.replace("<locals>.", "").split("."):
        inside = ast.walk(node) if node else iter(())
        node = next((n for n in inside if isinstance(n, (*FUNCTIONS, ast.ClassDef)) and n.name == part), None)
    return node if isinstance(node, ast.ClassDef) else None


def home(value: object) -> Path | None:
    """The file that a function, class or module was read from."""
    code = getattr(_method(value) if isinstance(value, type) else value, "__code__", None)
    if isinstance(code, CodeType):
        return Path(code.co_filename)
    module = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def module_tree(file: str) -> ast.Module:
    """The syntax tree of a file; empty where it cannot be read."""
    linecache.checkcache(file)
    return _parsed("".join(linecache.getlines(file)))


def binding_line(file: Path | None, name: str) -> int:
    """The line at which a module binds a name, the last one where there are several; 0 where it is not found."""
    found = 0
    for statement in module_tree(str(file)).body if file else []:
        for node in ast.walk(statement):
            stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name
            if stored or (isinstance(node, ast.alias) and (node.asname or node.name) == name):
                found = getattr(node, "lineno", 0)
    return found


def bare(node: Definition, *, decorated: bool = False) -> Definition:
    """A copy without docstrings and annotations, and, for a function that is not `decorated`, without default values.

    A function's object already holds its defaults and is what its decorators made of it, so those are read from there.
    `decorated` is for what only a library's object stands for: decorators and annotations then decide what it does.
    """
    stripped = copy.deepcopy(node)
    if isinstance(stripped, ast.ClassDef):
        return _Bare().stripped(stripped)
    if not decorated:
        stripped.decorator_list = []
        stripped.args.defaults = []
        stripped.args.kw_defaults = [None] * len(stripped.args.kwonlyargs)
    return _Bare(annotated=decorated).stripped(stripped)


def scope(node: Definition, outer: Mapping[str, object]) -> dict[str, object]:
    """What the names that a bare definition does not bind itself mean, given those around it; and its own imports."""
    around = {**vars(builtins), **outer}
    text = re.sub(r"^(\s*)nonlocal .*$", r"\1pass", ast.unparse(node), flags=re.MULTILINE)  # its owner is not in `text`
    free = _free(symtable.symtable(text, "", "exec"))
    found = {name: around[name] for name in free if name in around and not name.startswith("__")}
    return found | dict(_imports(node, outer))


def outer_names(value: FunctionType | type) -> dict[str, object]:
    """The names that code of a function or class sees around it: its module's globals, then its closure."""
    function = _method(value) if isinstance(value, type) else value
    if function is None:
        module = sys.modules.get(value.__module__)
        return dict(vars(module)) if module else {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return {**function.__globals__, **{name: cell.cell_contents for name, cell in cells if _filled(cell)}}


def resolve(node: ast.AST, names: Mapping[str, object]) -> object:
    """The object that a name, or a dotted path through modules, means; MISSING where only running the code can tell."""
    if isinstance(node, ast.Name):
        return names.get(node.id, MISSING)
    if isinstance(node, ast.Attribute):
        base = resolve(node.value, names)
        return getattr(base, node.attr, MISSING) if isinstance(base, ModuleType) else MISSING
    return MISSING


def qualified(value: object) -> str:
    """Module and name of a library's function or class.

    >>> qualified(sys.exit), qualified(Path.cwd)
    ('sys.exit', 'pathlib.Path.cwd')
    """
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__qualname__
    module = getattr(value, "__module__", None)
    owner = getattr(value, "__self__", None)
    if module is None and owner is not None:
        module = getattr(owner if isinstance(owner, type) else type(owner), "__module__", None)
    return f"{module}.{name}"


@lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def _first_line(node: Function) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _method(kind: type) -> FunctionType | None:
    """A method written in a class, which knows its file better than the name of its module does."""
    methods = [member for member in vars(kind).values() if isinstance(member, FunctionType)]
    return next((m for m in methods if m.__module__ == kind.__module__ and Path(m.__code__.co_filename).exists()), None)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (reading an empty cell raises)
    except ValueError:
        return False
    return True


def _free(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*(_free(child) for child in table.get_children()))


def _imports(node: ast.AST, outer: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                module = _module(alias.name)
                name = alias.asname or alias.name.split(".")[0]
                yield name, module if alias.asname else _module(name)
        elif isinstance(statement, ast.ImportFrom):
            path = "." * statement.level + (statement.module or "")
            module = _module(path, str(outer.get("__package__") or ""))
            for alias in statement.names:
                value = getattr(module, alias.name, MISSING)
                yield alias.asname or alias.name, _module(f"{path}.{alias.name}") if value is MISSING else value


def _module(name: str, package: str = "") -> object:
    try:
        return importlib.import_module(name, package or None)
    except (ImportError, TypeError, ValueError):
        return MISSING


class _Bare(ast.NodeTransformer):
    """Takes out what says nothing about what the code does."""

    def __init__(self, *, annotated: bool = False) -> None:
        self._annotated = annotated
        self._in_class = False

    def stripped(self, node: Definition) -> Definition:
        before, self._in_class = self._in_class, isinstance(node, ast.ClassDef)
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        if not isinstance(node, ast.ClassDef) and not self._annotated:
            node.returns = None
        self._in_class = before
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Definition:
        return self.stripped(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Definition:
        return self.stripped(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Definition:
        return self.stripped(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = node.annotation if self._annotated else None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if self._in_class:  # a field of a dataclass is its annotation
            return node
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
