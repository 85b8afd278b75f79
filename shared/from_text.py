"""Modules of a project are imported from their text, never from what Python compiled of it before.

A compiled file is held against its source by whole seconds and the size: of one that was changed twice within a second
other code could run than a version is named by. Nor is any left in the project's folder.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

_folders: set[Path] = set()


def import_from_text(project: Path) -> None:
    """From now on in this process, for the modules of the project in this folder."""
    if _finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _finder)
    if project not in _folders:
        _folders.add(project)
        for path in [path for path in sys.path_importer_cache if is_of(project, Path(path))]:
            del sys.path_importer_cache[path]


def is_of(project: Path, file: Path) -> bool:
    """Whether a file or folder is the project's own: not of a virtual environment in it, say."""
    if not file.is_relative_to(project):
        return False
    parts = file.relative_to(project).parts
    return not (parts and parts[0].startswith(".")) and "site-packages" not in parts


class _OfText(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _finder(path: str) -> FileFinder:
    if not any(is_of(project, Path(path)) for project in _folders):
        raise ImportError(path)  # asks the next of the hooks
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_OfText, SOURCE_SUFFIXES))
