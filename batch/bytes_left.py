"""Looks for what names somebody in every file under a folder: in its bytes, and in what is compressed in them.

Parquet files are read, value by value, as are their statistics; files of gzip are unpacked. A short id is looked for as
a word, for its letters stand in the middle of others'; a whole number only under its column's name.
"""

from __future__ import annotations

import gzip
import json
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LONG = 8
"""Bytes from which on an id is found wherever it stands: by chance nothing else is the same."""
GZIP = b"\x1f\x8b"
TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


@dataclass(frozen=True)
class Needle:
    """What is looked for: the values of one column, as text or, where `number`, as numbers."""

    column: str
    values: Sequence[str]
    number: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        if self.number:
            values = b"|".join(re.escape(v.encode()) for v in self.values)
            return re.compile(
                rb'\\*"' + re.escape(self.column.encode()) + rb'\\*"\s*:\s*\\*"?(?:' + values + rb")(?![\d.])"
            )
        return re.compile(b"|".join(_as_written(v) for v in self.values))

    @cached_property
    def forms(self) -> list[bytes]:
        """The values in every way that they may be written in."""
        return [form for value in self.values for form in _forms(value)]

    @cached_property
    def in_any_bytes(self) -> bool:
        """Whether what is found in bytes that may be compressed ones is no chance."""
        return self.number or all(len(v.encode()) >= LONG for v in self.values)

    def within(self, data: bytes | mmap.mmap) -> bool:
        return self._pattern.search(data) is not None

    def equals(self, column: pa.Array) -> bool:
        """Whether a column of whole numbers that is named as the subject is holds one of them."""
        return bool(pc.any(pc.is_in(column.cast(pa.int64()), pa.array(map(int, self.values), pa.int64()))).as_py())


@dataclass
class Left:
    """How many files were looked at, and by file where in it something was found, under `root`."""

    root: Path
    files: int = 0
    found: dict[str, str] = field(default_factory=dict)

    def look(self, needle: Needle, *, but: Sequence[Path] = ()) -> Left:
        """Looks at every file but those in some folders."""
        for path in sorted(self.root.rglob("*")):
            if not path.is_file() or path.is_symlink() or any(folder in path.parents for folder in but):
                continue
            name = str(path.relative_to(self.root))
            self.files += 1
            if where := "its name" if needle.within(name.encode()) else in_file(path, needle):
                self.found[name] = where
        return self


def in_file(path: Path, needle: Needle) -> str:
    """Where in a file it is found, or nothing."""
    try:
        if not path.stat().st_size:
            return ""
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            parquet = data[:4] == b"PAR1"
            if (needle.in_any_bytes or not parquet) and needle.within(data):
                return "bytes"
            if data[:2] == GZIP:
                return "unpacked" if needle.within(gzip.decompress(data[:])) else ""
        return next(_in_parquet(path, needle), "") if parquet else ""
    except FileNotFoundError:
        return ""  # deleted meanwhile, by a server that puts files of its own aside


def _in_parquet(path: Path, needle: Needle) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for group in range(file.metadata.num_row_groups):
            for column in map(file.metadata.row_group(group).column, range(file.metadata.num_columns)):
                stats = column.statistics if column.is_stats_set else None
                ends = (stats.min, stats.max) if stats is not None and stats.has_min_max else ()
                if any(needle.within(end.encode() if isinstance(end, str) else end)
                       for end in ends if isinstance(end, str | bytes)):  # fmt: skip
                    yield f"statistics of {column.path_in_schema}"
        for batch in file.iter_batches():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                for leaf_name, leaf in _leaves(name, column):
                    if _in_column(leaf_name, leaf, needle):
                        yield f"column {leaf_name}"


def _leaves(name: str, column: Any) -> Iterator[tuple[str, Any]]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(name, column.dictionary)
    elif pa.types.is_struct(kind):
        for each, field_ in zip(column.flatten(), kind, strict=True):
            yield from _leaves(f"{name}.{field_.name}", each)
    elif pa.types.is_map(kind):
        yield from _leaves(name, column.keys)
        yield from _leaves(name, column.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(name, column.flatten())
    else:
        yield name, column


def _in_column(name: str, column: Any, needle: Needle) -> bool:
    if any(is_(column.type) for is_ in TEXTS):
        if needle.number:
            return any(needle.within(v if isinstance(v, bytes) else v.encode()) for v in column.to_pylist() if v)
        return any(
            needle.within(found if isinstance(found, bytes) else found.encode())
            for form in needle.forms
            for found in column.filter(_holds(column, form)).to_pylist()
        )
    return needle.number and pa.types.is_integer(column.type) and name == needle.column and needle.equals(column)


def _holds(column: Any, form: bytes) -> Any:
    """Which texts or bytes hold the value, perhaps as a part of a longer word."""
    return pc.fill_null(pc.greater_equal(pc.find_substring(column.cast(pa.large_binary()), form), 0), False)


def _forms(value: str) -> list[bytes]:
    """A value as it is, and as JSON may escape it."""
    return sorted({value.encode(), json.dumps(value)[1:-1].encode()})


def _as_written(value: str) -> bytes:
    """A pattern of all forms of a value."""
    pattern = b"(?:" + b"|".join(map(re.escape, _forms(value))) + b")"
    return pattern if len(value.encode()) >= LONG else b"(?<![0-9A-Za-z])" + pattern + b"(?![0-9A-Za-z])"
