"""Looks for what names somebody in every file under a folder: in its bytes, and in what is compressed in them.

Parquet files are read, value by value, as are their statistics; files of gzip are unpacked. A producer's JSON may have
escaped any character of an id, each in its own way. A short id is looked for as a word, for its letters stand in the
middle of others'; a whole number only under its column's name.
"""

from __future__ import annotations

import gzip
import mmap
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dovetail.shared.places import is_remote, opened

LONG = 8
"""Bytes from which on an id is found wherever it stands: by chance nothing else is the same."""
NEVER = b"(?!)"
"""A pattern that is within nothing."""
GZIP = b"\x1f\x8b"
SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
"""Characters that JSON has an escape for beside that of their number (RFC 8259, section 7)."""
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
        return re.compile(b"|".join(_word(v, re.escape(v.encode())) for v in self.values) or NEVER)

    @cached_property
    def _escaped(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(_word(v, b"".join(map(_in_any_way, v))) for v in self.values) or NEVER)

    @cached_property
    def _escapes(self) -> re.Pattern[bytes]:
        short = not SHORT.keys().isdisjoint("".join(self.values))
        return re.compile(rb"\\u[0-9A-Fa-f]{4}" + (rb'|\\["\\/bfnrt]' if short else b""))

    @cached_property
    def forms(self) -> list[bytes]:
        """Parts of which all that it is within holds one: the values as they are, or what an escape begins with."""
        return [*(value.encode() for value in self.values), b"\\"]

    @cached_property
    def sure(self) -> Needle:
        """Of its values those that are found nowhere by chance."""
        return self if self.number else replace(self, values=[v for v in self.values if len(v.encode()) >= LONG])

    @cached_property
    def in_any_bytes(self) -> bool:
        """Whether what is found in bytes that may be compressed ones is no chance."""
        return self.number or all(len(v.encode()) >= LONG for v in self.values)

    def within(self, data: bytes | mmap.mmap) -> bool:
        if self._pattern.search(data):
            return True
        # A pattern of all that may be escaped is ten times slower: only where something is.
        return not self.number and bool(self._escapes.search(data) and self._escaped.search(data))

    def in_sql(self, text: str) -> bool:
        """Whether a text holds one of them, which may be SQL: there a number stands without the quotes of JSON."""
        if self.number and self.column in text and replace(self, number=False).within(text.encode()):
            return True
        return self.within(text.encode())

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


def in_rows(path: Path, needle: Needle) -> bool:
    """Whether a Parquet file has rows that are theirs: the column that names subjects does, or any bytes for sure."""
    if needle.column in pq.read_schema(opened(path)).names:
        column = pq.read_table(opened(path), columns=[needle.column])[needle.column]
        if pa.types.is_integer(column.type) or pa.types.is_string(column.type):
            found = pc.is_in(column.cast(pa.string()), pa.array(needle.values, pa.string()))
            if pc.any(found).as_py():
                return True
    return bool(in_file(path, needle.sure))


def in_file(path: Path, needle: Needle) -> str:
    """Where in a file it is found, or nothing."""
    try:
        if not path.stat().st_size:
            return ""
        with _mapped(path) as data:
            parquet = data[:4] == b"PAR1"
            if (needle.in_any_bytes or not parquet) and needle.within(data):
                return "bytes"
            if data[:2] == GZIP:
                return "unpacked" if needle.within(gzip.decompress(data[:])) else ""
        return next(_in_parquet(path, needle), "") if parquet else ""
    except FileNotFoundError:
        return ""  # deleted meanwhile, by a server that puts files of its own aside


@contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    if is_remote(path):
        yield path.read_bytes()
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _in_parquet(path: Path, needle: Needle) -> Iterator[str]:
    with pq.ParquetFile(opened(path)) as file:
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


def _word(value: str, pattern: bytes) -> bytes:
    """The pattern of a value, where it is short as that of a whole word."""
    return pattern if len(value.encode()) >= LONG else b"(?<![0-9A-Za-z])" + pattern + b"(?![0-9A-Za-z])"


def _in_any_way(character: str) -> bytes:
    """A pattern of a character as it is, and as JSON may escape it, also within JSON that is a text of other JSON."""
    units = (unit for (unit,) in struct.iter_unpack(">H", character.encode("utf-16-be")))
    ways = [re.escape(character.encode()), b"".join(rb"\\\\*u(?i:%04x)" % unit for unit in units)]
    if character in SHORT:
        ways.append(rb"\\\\*" + re.escape(SHORT[character].encode()))
    return b"(?:" + b"|".join(ways) + b")"
