"""A user's project: the folder with dovetail.toml, and the sources and views its Python files declare."""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dovetail.shared import versions
from dovetail.shared.declare import NAME, Source, View
from dovetail.shared.dimensions import Dimension
from dovetail.shared.errors import DeclarationError, DovetailError, UsageError, unknown
from dovetail.shared.feed import Feed
from dovetail.shared.from_text import import_from_text
from dovetail.shared.ledger import VersionId
from dovetail.shared.push import Push
from dovetail.shared.settings import Settings

if TYPE_CHECKING:
    from dovetail.shared.tables import Layout


@dataclass(frozen=True)
class Declared:
    """A view with the module and attribute it was found at."""

    view: View
    module: str
    attribute: str


@dataclass(frozen=True)
class Project:
    """What a project declares. Nothing here starts Java or touches storage but `store`."""

    settings: Settings
    sources: dict[str, Source]
    declared: dict[str, Declared]
    dimensions: dict[str, Dimension] = field(default_factory=dict)
    pushes: dict[str, Push] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        # Here, for the tables bring Arrow and delta-rs, which most of what a declaration is asked for does not need.
        from dovetail.shared.tables import Layout

        return Layout.of(self.settings)

    @property
    def views(self) -> dict[str, View]:
        return {name: d.view for name, d in self.declared.items()}

    def view(self, name: str) -> View:
        if name not in self.declared:
            raise UsageError(unknown("view", name, self.declared), where="views in dovetail.toml")
        return self.declared[name].view

    def source(self, name: str) -> Source:
        if name not in self.sources:
            raise UsageError(unknown("source", name, self.sources), where="views in dovetail.toml")
        return self.sources[name]

    def push(self, name: str) -> Push:
        if name not in self.pushes:
            raise UsageError(unknown("push", name, self.pushes), where="views in dovetail.toml")
        return self.pushes[name]

    def feed(self, name: str) -> Feed:
        if name not in self.feeds:
            raise UsageError(unknown("feed", name, self.feeds), where="views in dovetail.toml")
        return self.feeds[name]

    def views_of(self, source: Source) -> list[View]:
        return [v for v in self.views.values() if v.source == source]

    def version(self, view: View) -> VersionId:
        return versions.version_of(view, self.settings.folder)

    def store(self, view: View) -> versions.Bundle:
        """The stored bundle of a declared view, written if it is not there yet."""
        declared, folder = self.declared[view.name], self.layout.version(self.version(view))
        files = versions.python_files(self.settings.folder)
        versions.store(view, self.settings.folder, files, declared.module, declared.attribute, folder)
        return versions.load(folder)


def load(settings: Settings) -> Project:
    """Imports the project's view files and collects what they declare as module attributes.

    Raises:
        DeclarationError: an import fails (their file and line), or a name is used twice.
    """
    _leave_other_projects(settings.folder)
    sources: dict[str, Source] = {}
    declared: dict[str, Declared] = {}
    dimensions: dict[str, Dimension] = {}
    pushes: dict[str, Push] = {}
    feeds: dict[str, Feed] = {}
    for file in settings.views:
        module = _imported(settings.folder, file)
        for attribute, value in vars(module).items():
            if isinstance(value, Source):
                _once("source", sources.setdefault(value.name, value), value)
            elif isinstance(value, View):
                _once("view", declared.setdefault(value.name, Declared(value, module.__name__, attribute)).view, value)
                _once("source", sources.setdefault(value.source.name, value.source), value.source)
                for given in value.dimensions:
                    _once("dimension", dimensions.setdefault(given.name, given), given)
            elif isinstance(value, Push):
                _add_push(pushes, attribute, value)
            elif isinstance(value, Feed):
                _once("feed", feeds.setdefault(value.name, value), value)
                _once("source", sources.setdefault(value.source.name, value.source), value.source)
    if not declared:
        raise DeclarationError(
            f"no view is declared in {', '.join(settings.views)}",
            where=str(settings.folder / "dovetail.toml"),
            next="assign one to a name in that file: sales = dv.view(…)",
        )
    return Project(settings, sources, declared, dimensions, pushes, feeds)


def _once(kind: str, first: Source | View | Dimension | Feed, other: Source | View | Dimension | Feed) -> None:
    if first is not other and first != other:
        raise DeclarationError(f"{kind} {first.name} is declared twice", where=f"{first.where} and {other.where}")


def _add_push(pushes: dict[str, Push], name: str, push: Push) -> None:
    if not NAME.fullmatch(name):
        raise DeclarationError(
            f"a push is called by what it is assigned to, and '{name}' is no name", where=push.place,
            next="lower-case letters, digits and _",
        )  # fmt: skip
    if any(push is known for known in pushes.values()):  # imported from another file
        return
    if name in pushes:
        raise DeclarationError(f"push {name} is declared twice", where=f"{pushes[name].place} and {push.place}")
    pushes[name] = push


def _imported(folder: Path, file: str) -> ModuleType:
    path = folder / file
    if not path.is_file():
        raise DeclarationError(f"views names {file}, which is not there", where=str(folder / "dovetail.toml"))
    name = ".".join(Path(file).with_suffix("").parts)
    try:
        return importlib.import_module(name)
    except DovetailError:
        raise
    except Exception as error:
        lacks_spark = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "pyspark"
        raise DeclarationError(
            f"{file} cannot be imported: {type(error).__name__}: {error}",
            where=_their_line(error, folder),
            next="pip install 'dovetail[spark]'" if lacks_spark else "",
        ) from error


def _their_line(error: Exception, folder: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _leave_other_projects(folder: Path) -> None:
    """Makes this folder the one that project modules are imported from, also where another was loaded before."""
    import_from_text(folder)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    own = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.split(".")[0] in own and file and not Path(file).resolve().is_relative_to(folder):
            del sys.modules[name]
    importlib.invalidate_caches()
