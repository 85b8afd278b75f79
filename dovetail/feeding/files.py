"""Reads the files of a folder, each once, in the order of their names."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dovetail.feeding.parts import Marks, Part, Row, cut, skipped
from dovetail.feeding.shape import Shape, of_documents
from dovetail.feeding.values import key, plain, written
from dovetail.shared.errors import Mend, ServiceMissing, UsageError
from dovetail.shared.feed import Files
from dovetail.shared.lines import csv_lines, json_lines

ENDINGS = {"jsonl": (".jsonl", ".json", ".ndjson"), "csv": (".csv",), "parquet": (".parquet",)}


class FilesReader:
    """Of a file its mark keeps size, time and SHA-256, how many of its rows are fed, and whether that is all."""

    def __init__(self, feed: Files, folder: Path) -> None:
        self._feed, self._folder = feed, folder
        self.settle = feed.quiet_seconds
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}

    def parts(self, marks: Marks) -> Iterator[Part]:
        """Raises Mend for a file that is another than when it was fed, or cannot be read as what it is said to be."""
        if not self._folder.is_dir():
            raise ServiceMissing(f"there is no folder {self._folder}", where=f"feed {self._feed.name}")
        for name in self._quiet():
            yield from self._file(name, marks.get(_mark(name)))

    def close(self) -> None: ...

    def _quiet(self) -> list[str]:
        """The files that hold something and have not changed for long enough, as two looks of this process show."""
        found, now = list[str](), time.monotonic()
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder)
            if path.suffix.lower() not in ENDINGS[self._feed.format] or any(p[0] in "._" for p in name.parts):
                continue
            state = _state(path)
            if self._seen.get(str(name), (None, 0.0))[0] != state:
                self._seen[str(name)] = state, now
            if state[0] and now - self._seen[str(name)][1] >= self.settle:
                found.append(str(name))
        return found

    def _file(self, name: str, mark: dict[str, Any] | None) -> Iterator[Part]:
        path, state = self._folder / name, self._seen[name][0]
        if mark and mark["end"] and state == (mark["size"], mark["mtime"]):
            return
        try:
            with path.open("rb") as file:
                sha = hashlib.file_digest(file, "sha256").hexdigest()
            if mark and mark["sha"] != sha:
                raise Mend(
                    f"{name} is another file than it was when {mark['rows']:,} rows of it were fed",
                    where=str(path), next="put it back, and give what is new a name of its own",
                )  # fmt: skip
            if mark and mark["end"]:
                return
            fed, shape = mark["rows"] if mark else 0, self._shape(path)
            for rows, end in cut(skipped(self._rows(path, name), fed)):
                fed += len(rows)
                kept = {"size": state[0], "mtime": state[1], "sha": sha, "rows": fed, "end": end}
                if _state(path) != state:  # it is still being written: another look will find it quiet
                    return
                yield Part(name, rows, {_mark(name): kept}, shape)
        except (OSError, pa.ArrowInvalid) as error:
            raise Mend(f"{name} cannot be read", where=str(path), why=str(error)) from None
        except UsageError as error:
            raise Mend(f"{name}: {error.what}", where=str(path)) from None

    def _shape(self, path: Path) -> Shape:
        if self._feed.format == "parquet":
            return {field.name: [str(field.type)] for field in pq.read_schema(path)}
        if self._feed.format == "csv":
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
                return {name: [] for name in next(csv.reader(text), [])}
        with path.open("rb") as file:
            return of_documents(orjson.loads(line.value) for line in json_lines(file) if not line.bad)

    def _rows(self, path: Path, name: str) -> Iterator[Row]:
        column = next(iter(self._feed.key), None)
        if self._feed.format == "parquet":
            yield from _of_parquet(path, name, column)
            return
        with path.open("rb") as file:
            csv_ = self._feed.format == "csv"
            lines = csv_lines(file, self._feed.source, key=column) if csv_ else json_lines(file, key=column)
            for line in lines:
                yield Row(line.value, f"{name}:{line.number}", line.key, line.bad)


def _of_parquet(path: Path, name: str, column: str | None) -> Iterator[Row]:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1000):
            rows = pa.Table.from_batches([batch]).cast(_microseconds(batch.schema), safe=False)
            for row in rows.to_pylist():
                number += 1
                document = {n: plain(value) for n, value in row.items()}
                yield Row(written(document), f"{name}:{number}", key(row.get(column)) if column else None)


def _microseconds(schema: pa.Schema) -> pa.Schema:
    """With timestamps as fine as Spark's, and Python's."""
    finer = [
        field.with_type(pa.timestamp("us", field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in schema
    ]
    return pa.schema(finer)


def _mark(name: str) -> str:
    return f"file {name}"


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:  # moved away between two looks
        return 0, 0
    return found.st_size, found.st_mtime_ns
