"""What can be said about a project without an engine: its declarations, and the code of its transforms."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dovetail.shared import project as projects
from dovetail.shared import purity, rowwise
from dovetail.shared.declare import Source, View
from dovetail.shared.dimensions import Dimension
from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.names import unknown_names
from dovetail.shared.project import Project
from dovetail.shared.settings import Settings
from dovetail.shared.syntax import module_tree


@dataclass(frozen=True)
class Problem:
    """One thing to mend. `where` is the user's file and line, `subject` the view, source or file it belongs to."""

    subject: str
    message: str
    where: str
    next: str = ""


@dataclass(frozen=True)
class Report:
    """What a check found; `project` is None where the declarations cannot be loaded at all."""

    project: Project | None
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> list[View]:
        """The views without a problem of their own, of a source without one."""
        wrong, sources = {p.subject for p in self.problems}, {s.name for s in self.sound_sources}
        views = self.project.views.values() if self.project else ()
        return [v for v in views if v.name not in wrong and v.source.name in sources]

    @property
    def sound_sources(self) -> list[Source]:
        """The sources without a problem; those of their views are not theirs."""
        wrong = {p.subject for p in self.problems}
        return [s for s in self.project.sources.values() if subject(s) not in wrong] if self.project else []


def subject(source: Source) -> str:
    """What a problem of a source belongs to: a view may have its name."""
    return f"source {source.name}"


def look(settings: Settings) -> Report:
    """Loads the declarations and reads every transform."""
    try:
        project = projects.load(settings)
    except DeclarationError as error:
        return Report(None, (Problem(", ".join(settings.views), _said(error), error.where, error.next),))
    found = [p for source in project.sources.values() for p in _of_source(source)]
    found += [p for view in project.views.values() for p in _of_view(view, settings.folder)]
    found += [p for dimension in project.dimensions.values() for p in _of_dimension(dimension, settings.folder)]
    found += [p for file in settings.views for p in _repeated_measures(settings.folder / file, file)]
    return Report(project, tuple(found))


def unknown_columns(view: View, columns: Iterable[str]) -> Iterator[Problem]:
    """Keys, times and measures of `view` that name none of `columns`, those of its transformed rows.

    Only measures of one column alone are read here: what a longer expression names, the engine tells.
    """
    known = list(columns)
    folded = {c.lower() for c in known}  # Spark resolves columns without regard to case
    named = [("key", key) for key in view.keys]
    if view.bucket and view.source.event_time:
        named.append((f"event_time of source {view.source.name}:", view.source.event_time))
    for name, measure in view.measures.items():
        texts = [text.strip("`") for s in measure.states for text in (s.expr, s.by)]
        texts += measure.signs
        named += [(f"column in measure {name}:", text) for text in texts if _IDENTIFIER.fullmatch(text)]
    for kind, column in dict.fromkeys(named):
        if column.lower() not in folded:
            yield Problem(view.name, unknown(kind, column, known), view.where)


def _of_source(source: Source) -> Iterator[Problem]:
    try:
        source.as_json()
    except DeclarationError as error:
        yield Problem(subject(source), _said(error), error.where, error.next)


def _of_view(view: View, folder: Path) -> Iterator[Problem]:
    if not view.transform:
        yield from unknown_columns(view, view.source.row_columns)
    for name, measure in view.measures.items():
        for text in dict.fromkeys(t for s in measure.states for t in s.texts):
            for found, reason in rowwise.sql_reasons(text):
                yield Problem(view.name, f"measure {name}: {found} in '{text}': {reason}", view.where)
    for step in view.transform:
        for problem in (*purity.problems(step, project=folder), *unknown_names(step, project=folder)):
            yield Problem(view.name, f"{problem.function}: {problem.message}", _place(problem, folder))


def _of_dimension(dimension: Dimension, folder: Path) -> Iterator[Problem]:
    if dimension.path is None:
        return
    path = folder / dimension.path
    if not path.exists():
        yield Problem(dimension.name, f"{dimension.path} is not there", dimension.where)
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        for name in (dimension.key, *(dimension.columns or {})):
            if name not in header:
                yield Problem(dimension.name, f"{dimension.path}: {unknown('column', name, header)}", dimension.where)
                return


def _repeated_measures(path: Path, file: str) -> Iterator[Problem]:
    """Measures of one name in one `measures={…}`: Python keeps the last and says nothing."""
    for call in ast.walk(module_tree(str(path))):
        if isinstance(call, ast.keyword) and call.arg == "measures" and isinstance(call.value, ast.Dict):
            seen = set[str]()
            for key in call.value.keys:
                name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
                if key is not None and name in seen:
                    what = f"two measures are called '{name}': only the last would count"
                    yield Problem(file, what, f"{file}:{key.lineno}")
                seen |= {name} if name else set()


def _place(found: purity.Problem, folder: Path) -> str:
    file = found.file
    name = file.relative_to(folder) if file and file.is_relative_to(folder) else file
    return f"{name or '?'}:{found.line}"


def _said(error: DeclarationError) -> str:
    return f"{error.what} ({error.why})" if error.why else error.what


_IDENTIFIER = re.compile(r"(?!(?:true|false|null)$)[A-Za-z_]\w*", re.IGNORECASE)
