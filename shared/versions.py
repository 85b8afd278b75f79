"""View versions: what both layers run, stored as a bundle of the declaration and the code it reaches.

A version is named by its fingerprint: the transform's code with the project functions it reaches, how the source is
decoded, keys, bucket, measures and the state format. Comments, docstrings and file names are not part of it.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from dovetail.shared.closure import libraries, normalised, steps
from dovetail.shared.declare import View
from dovetail.shared.duration import bucket_seconds
from dovetail.shared.errors import DeclarationError, IntegrityError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.formats import Other
from dovetail.shared.from_text import is_of
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.measures import Measure, measure_from_json
from dovetail.shared.places import fetched, new_folder

STATE_FORMAT = 1
FILE = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A stored version. Everything but `view` is known without its code, and so without Spark."""

    version: VersionId
    source: str
    topic: str
    decoder: Mapping[str, Any]
    keys: tuple[str, ...]
    bucket_seconds: int | None
    measures: Mapping[str, Measure]
    where: str
    folder: Path
    libraries: Mapping[str, str] = field(default_factory=dict)
    """The versions of packages that its code was stored with, where that was noted."""

    @property
    def name(self) -> str:
        return view_of(self.version)

    @property
    def placed(self) -> bool:
        """Whether a measure needs each row's position in the log."""
        return any(m.placed for m in self.measures.values())

    @cached_property
    def presented(self) -> Mapping[str, Measure]:
        """The measures, with the user's functions that present some of them: loaded without Spark."""
        if not any(m.composed for m in self.measures.values()):
            return self.measures
        stored = json.loads((self.folder / FILE).read_text())
        code = _Isolated(self.folder / "code", absent=("pyspark", "delta"))
        view = code.load(stored["module"]).__dict__[stored["attribute"]]
        if not isinstance(view, View) or dict(view.measures) != dict(self.measures):
            raise IntegrityError(
                f"the stored code of {self.version} does not declare its measures", where=str(self.folder / "code")
            )
        return view.measures

    @property
    def view(self) -> View:
        """The declaration, run from the stored code: never from the working tree."""
        view = self._view
        self._code.sent_whole()
        return view

    @cached_property
    def _code(self) -> _Isolated:
        return _Isolated(self.folder / "code")

    @cached_property
    def _view(self) -> View:
        stored = json.loads((self.folder / FILE).read_text())
        view = self._code.load(stored["module"]).__dict__[stored["attribute"]]
        if not isinstance(view, View) or version_of(view, self.folder / "code") != self.version:
            raise IntegrityError(
                f"the stored code of {self.version} is not what its name says", where=str(self.folder / "code")
            )
        return view


def version_of(view: View, project: Path) -> VersionId:
    """The name of what `view` computes; `project` is the folder whose functions are followed."""
    parts = {
        "transform": [normalised(step, project) for step in view.transform],
        "source": [view.source.name, view.source.topic, view.source.as_json()],
        "keys": view.keys,
        "bucket": bucket_seconds(view.bucket) if view.bucket else None,
        "measures": {name: m.as_json() for name, m in view.measures.items()},
        "format": STATE_FORMAT,
    }
    coded = [normalised(code, project, lambdas=True) for m in view.measures.values() for code in m.coded()]
    parts |= {"present": coded} if coded else {}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return VersionId(f"{view.name}@{digest}")


def code_of(view: View) -> list[Callable[..., Any]]:
    """The user's functions in a view: its transforms, and those that present its measures."""
    return [*view.transform, *(code for m in view.measures.values() for code in m.coded())]


def libraries_of(view: View, project: Path) -> dict[str, str]:
    """The installed versions of the packages that the code of `view` reaches, by the names they are imported under."""
    names = {name for code in code_of(view) for name in libraries(code, project)}
    packages = _packages() if names else {}
    return {name: metadata.version(packages[name][0]) for name in sorted(names) if name in packages}


@cache
def _packages() -> Mapping[str, list[str]]:
    """The installed packages by what they are imported as; a fifth of a second, as all of their files are looked at."""
    return metadata.packages_distributions()


def short(version: VersionId) -> str:
    """As people read it: `sales@3f2a`."""
    view, fingerprint = version.split("@")
    return f"{view}@{fingerprint[:4]}"


def store(view: View, project: Path, files: Sequence[Path], module: str, attribute: str, folder: Path) -> None:
    """Writes the bundle of `view` to `folder`, whole or not at all; one that is there already is left alone.

    Args:
        project: the project's folder.
        files: the Python files in it that the view's module imports, itself included.
        module, attribute: where in them the view is found again.
    """
    if (folder / FILE).exists():
        return
    stored = {
        "format": STATE_FORMAT,
        "version": version_of(view, project),
        "module": module,
        "attribute": attribute,
        "where": view.where,
        "source": view.source.name,
        "topic": view.source.topic,
        "decoder": view.source.as_json(),
        "keys": list(view.keys),
        "bucket_seconds": bucket_seconds(view.bucket) if view.bucket else None,
        "measures": {name: m.as_json() for name, m in view.measures.items()},
        "libraries": libraries_of(view, project),
    }
    code = {str(file.relative_to(project)): file.read_bytes() for file in files}
    code |= {str(pinned): content for pinned, content in _pinned(view, project).items()}
    files_of = {f"code/{name}": content for name, content in code.items()}
    with new_folder(folder, files_of, (FILE, json.dumps(stored, indent=2).encode())):
        failpoint("attach.bundle_written")


def _pinned(view: View, project: Path) -> dict[Path, bytes]:
    """What lookups and the source's format read when they were declared, by its place under the project's folder."""
    reached = [step for transform in view.transform for step in steps(transform, project)]
    found: dict[Path, bytes] = {}
    pinned = [(file, content) for step in reached for file, content in step.files.items()]
    if isinstance(view.source.format, Other) and (said := view.source.format.file) is not None:
        pinned.append((said.path, said.needed(view.source.where)))
    for file, content in pinned:
        if not file.is_relative_to(project.resolve()):
            raise DeclarationError(f"{file} is not under the project's folder {project}", where=view.where)
        if found.setdefault(file.relative_to(project.resolve()), content) != content:
            raise DeclarationError(f"{file} was changed while it was read", where=view.where, next="start again")
    return found


def load(folder: Path) -> Bundle:
    """Reads a bundle; raises IntegrityError where it is missing or of a newer format."""
    try:
        stored = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        raise IntegrityError("a version that is in force has no stored bundle", where=str(folder)) from None
    if stored["format"] > STATE_FORMAT:
        raise IntegrityError(
            f"the bundle is of format {stored['format']}, newer than {STATE_FORMAT}", where=str(folder)
        )
    return Bundle(
        version=VersionId(stored["version"]),
        source=stored["source"],
        topic=stored["topic"],
        decoder=stored["decoder"],
        keys=tuple(stored["keys"]),
        bucket_seconds=stored["bucket_seconds"],
        measures={name: measure_from_json(m) for name, m in stored["measures"].items()},
        where=stored["where"],
        folder=fetched(folder),
        libraries=stored.get("libraries", {}),
    )


class _Isolated:
    """Imports modules from one folder without putting them in sys.modules, so that versions live side by side."""

    def __init__(self, folder: Path, *, absent: Sequence[str] = ()) -> None:
        self._folder, self._absent = folder, absent
        self._modules: dict[str, types.ModuleType] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def load(self, name: str) -> types.ModuleType:
        if name in self._modules:
            return self._modules[name]
        base = self._folder.joinpath(*name.split("."))
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        module = types.ModuleType(name)
        module.__file__ = str(file)
        module.__package__ = name if base.is_dir() else name.rpartition(".")[0]
        module.__dict__["__builtins__"] = self._builtins
        self._modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(self.load(parent), child, module)
        if file.exists():
            exec(compile(file.read_text(), str(file), "exec"), module.__dict__)  # noqa: S102  our own stored copy
        return module

    def sent_whole(self) -> None:
        """Has Spark, where loaded, send these modules to its workers: by their names these would import today's."""
        if (spark := sys.modules.get("pyspark.cloudpickle")) is not None:
            for name in self._modules.keys() & sys.modules.keys():
                spark.register_pickle_by_value(sys.modules[name])

    def _owns(self, name: str) -> bool:
        base = self._folder.joinpath(*name.split("."))
        return base.is_dir() or base.with_suffix(".py").exists()

    def _import(
        self,
        name: str,
        globals: Any = None,  # noqa: A002  the names that import statements call it with
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> types.ModuleType:
        if level:
            package = globals["__package__"].split(".")
            name = ".".join([*package[: len(package) - level + 1], *([name] if name else [])])
        if name.split(".")[0] in self._absent:
            return _Absent(name)
        if not self._owns(name):
            return builtins.__import__(name, globals, locals, fromlist, 0 if level else level)
        module = self.load(name)
        for part in fromlist or ():
            if not hasattr(module, part) and self._owns(f"{name}.{part}"):
                self.load(f"{name}.{part}")
        return module if fromlist else self.load(name.split(".")[0])


class _Absent(types.ModuleType):
    """Stands for a library that is not to be loaded, while a module is imported for what does not need it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __getitem__(self, _: Any) -> Any:
        return self

    def __or__(self, _: Any) -> Any:
        return self

    __ror__ = __or__

    def __mro_entries__(self, _: Any) -> tuple[()]:
        return ()


def python_files(project: Path) -> list[Path]:
    """The project's own Python files that are imported now."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py") and is_of(project, _real(file)):
            found.add(_real(file))
    return sorted(found)


@cache
def _real(file: str) -> Path:
    """Asked for each of 1,600 modules, for each view: 0.1 s."""
    return Path(file).resolve()
