"""Files of old history, row by row, as the JSON bytes that a producer would have sent. Needs no Spark.

A JSON line keeps its bytes. A row of CSV, Parquet or Delta becomes an object with all of its columns, also those that
the schema does not have: a later one may. A value that does not fit its column's type stays what it is, so that it is
the version's decoder that finds it, as in the log.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal, cast
from urllib.parse import unquote

import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from dovetail.batch.import_types import converter, misfit
from dovetail.shared.declare import Source
from dovetail.shared.errors import UsageError, unknown
from dovetail.shared.lines import csv_lines, json_lines

Form = Literal["jsonl", "csv", "parquet", "delta"]
FORMS: Mapping[str, Form] = {
    ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip
AT_ONCE = 10_000
"""Rows of a Parquet file that are in memory at a time."""
LOOKED_AT = 1_000
"""JSON lines that are looked at for the fields that there are."""


@dataclass(frozen=True)
class Part:
    """One file to read. `told` are columns whose values its place tells: a folder `year=2020`, a Delta partition."""

    path: Path
    name: str
    form: Form
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stamp(self) -> tuple[int, int, int]:
        """Another one once the file has changed."""
        with _readable(self):
            now = self.path.stat()
        return now.st_size, now.st_mtime_ns, now.st_ino

    def digest(self) -> str:
        with _readable(self), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def parts(files: Sequence[str], form: str | None = None) -> list[Part]:
    """The files that these files, folders and Delta tables come to, in a fixed order, all of one form.

    Raises:
        UsageError: one is missing or of no known form, there is none, or they are of several forms.
    """
    if form is not None and form not in ("jsonl", "csv", "parquet", "delta"):
        raise UsageError(unknown("format", form, ("jsonl", "csv", "parquet", "delta")))
    found = [part for file in files for part in _parts(Path(file), cast("Form | None", form))]
    forms = {part.form: part.name for part in found}
    if len(forms) > 1:
        examples = ", ".join(f"{name} is {each}" for each, name in forms.items())
        raise UsageError(f"the files are of several formats: {examples}", next="import each format by itself")
    if len({part.path.resolve() for part in found}) < len(found):
        raise UsageError("a file is named twice", where=", ".join(files))
    if not found:
        raise UsageError("there is no file to import", where=", ".join(files))
    return found


def columns(part: Part) -> list[str]:
    """The names of a file's columns; of JSON lines the fields of the first LOOKED_AT."""
    with _readable(part):
        if part.form in ("parquet", "delta"):
            return [*pq.read_schema(part.path).names, *part.told]
        with _opened(part) as file:
            if part.form == "csv":
                text = itertools.takewhile(bool, (line.decode("utf-8-sig", "replace") for line in file))
                return next(csv.reader(text), [])
            some = (orjson.loads(line.value) for line in itertools.islice(json_lines(file), LOOKED_AT) if not line.bad)
            return list(dict.fromkeys(name for each in some for name in each))


def rows(part: Part, source: Source) -> Iterator[tuple[int, bytes]]:
    """Each row's number, from 1 on, and its bytes; of lines of text the number is that of its first line.

    Raises:
        UsageError: the file cannot be read, or a column of it cannot be of the declared type whatever is in it.
    """
    with _readable(part):
        if part.form in ("parquet", "delta"):
            yield from _typed(part, source)
            return
        with _opened(part) as file:
            lines = csv_lines(file, source) if part.form == "csv" else json_lines(file)
            for line in lines:
                if part.form == "jsonl" and line.number == 1 and line.value.startswith(b"["):
                    what = "it holds a JSON array: one object a line is read"
                    raise UsageError(what, where=part.name, next="jq -c '.[]' makes lines of it")
                yield line.number, line.value


def _typed(part: Part, source: Source) -> Iterator[tuple[int, bytes]]:
    file, number = pq.ParquetFile(part.path), 0
    schema = [*file.schema_arrow, *(pa.field(name, pa.scalar(value).type) for name, value in part.told.items())]
    for each in schema:
        if (kind := source.columns.get(each.name)) and (why := misfit(each.type, kind)):
            raise UsageError(f"column {each.name} is {why}, not {kind}", where=part.name)
    into: list[Callable[[Any], Any]] = [converter(each.type, source.columns.get(each.name)) for each in schema]
    told = [make(value) for make, value in zip(into[len(into) - len(part.told) :], part.told.values(), strict=True)]
    names = [each.name for each in schema]
    for batch in file.iter_batches(batch_size=AT_ONCE):
        cells = [[make(v) for v in _values(c)] for make, c in zip(into, batch.columns, strict=False)]
        for values in zip(*cells, strict=True) if cells else ((),) * batch.num_rows:
            number += 1
            yield number, orjson.dumps(dict(zip(names, (*values, *told), strict=True)), default=_json)


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # finer than the engine's, and than Python's
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    return cast("list[Any]", column.to_pylist())


def _json(value: object) -> Any:
    """What JSON has no form of, inside of nested values."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, time):
        return value.isoformat()
    return str(value)


def _parts(path: Path, form: Form | None) -> Iterator[Part]:
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    if (path / "_delta_log").is_dir():
        yield from _delta(path)
    elif path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.name == "_delta_log" or _counts(p.relative_to(path)))
        if table := next((p.parent for p in inside if p.name == "_delta_log"), None):
            raise UsageError(f"{table} is a Delta table in a folder of files", next=f"name it: {table}")
        for file in (p for p in inside if p.is_file()):
            told = dict(part.split("=", 1) for part in file.relative_to(path).parts[:-1] if "=" in part)
            yield Part(file, str(file), form or _form(file), {k: unquote(v) for k, v in told.items()})
    else:
        yield Part(path, str(path), form or _form(path))


def _counts(path: Path) -> bool:
    return not any(part.startswith(("_", ".")) for part in path.parts)


def _form(path: Path) -> Form:
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending.lower() not in FORMS:
        endings = ", ".join(FORMS)
        raise UsageError(f"what is in {path} is not told by its name", why=f"none of {endings}", next="give --format")
    return FORMS[ending.lower()]


def _delta(path: Path) -> Iterator[Part]:
    """The files of the newest version of a Delta table."""
    try:
        fragments = [*DeltaTable(str(path)).to_pyarrow_dataset().get_fragments()]
    except (DeltaError, OSError, pa.ArrowInvalid) as error:  # deletion vectors, mapped columns: rows would be wrong
        raise UsageError(
            "the Delta table cannot be read", where=str(path), why=str(error).partition("\n")[0]
        ) from error
    for each in sorted(fragments, key=lambda f: str(f.path)):
        file = path / each.path if (path / each.path).exists() else path / unquote(each.path)
        yield Part(file, str(file), "delta", ds.get_partition_keys(each.partition_expression))


@contextmanager
def _opened(part: Part) -> Iterator[IO[bytes]]:
    with gzip.open(part.path) if part.path.suffix == ".gz" else part.path.open("rb") as file:
        yield cast("IO[bytes]", file)


@contextmanager
def _readable(part: Part) -> Iterator[None]:
    """Names the file where it cannot be read."""
    try:
        yield
    except UsageError as error:
        raise error if error.where else UsageError(error.what, where=part.name, next=error.next) from error
    except (OSError, EOFError, zlib.error, pa.ArrowException, csv.Error, ValueError, TypeError, OverflowError) as error:
        why = str(error).partition("\n")[0]
        raise UsageError(f"it cannot be read as {part.form}", where=part.name, why=why) from error
