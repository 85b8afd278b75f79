"""Takes old history in: files that were never in Kafka become an import, as a whole or not at all.

What the files come to is found before anything is written that answers could see: rows, those that cannot be read,
those whose event id is in the log. Then the records go into a table under a name of its own, and one row names it.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from dovetail.batch import imported
from dovetail.batch.import_drop import delete_unneeded
from dovetail.batch.import_files import Part, columns, parts, rows
from dovetail.batch.import_look import Found, Wanted, looked
from dovetail.shared.declare import Source
from dovetail.shared.errors import IntegrityError, UsageError, unknown
from dovetail.shared.failpoints import failpoint
from dovetail.shared.formats import refuse_unless_json
from dovetail.shared.imports import File, Import, Imports
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.position import ROW_BITS
from dovetail.shared.project import Project
from dovetail.shared.tables import PROPERTIES, Layout, written

RAW = pa.schema([("_offset", pa.int64()), ("_value", pa.binary())])
SLICE_ROWS, SLICE_BYTES = 50_000, 32_000_000
"""What of the files is in memory at a time: as much of each as this."""


@dataclass(frozen=True)
class Columns:
    """The columns that files and schema both have, those of the files alone, and those of the schema alone."""

    matched: tuple[str, ...]
    unmatched: tuple[str, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """What the files come to, and the import that was made of them, or would be."""

    columns: Columns
    found: Found
    made: Import


def run(
    project: Project,
    source: Source,
    wanted: Wanted,
    log: Callable[[], Log],
    spark: Callable[[], SparkSession],
    *,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Imports files into a source.

    Args:
        log, spark: give what they are called; asked only where it is needed, once the files could be read.
        dry_run: writes nothing; what would be refused for its overlap is told.
        tell: is told each file that was read.

    Raises:
        UsageError: files, options or what is in them make no import; they were imported before.
        Busy: another import into this source is running.
        RuleBroken: a rule of the source says `fail` of a row.
    """
    refuse_unless_json(source.format, "an import", next="send old records to the topic by a producer of yours")
    layout = project.layout
    chosen = parts(wanted.files, wanted.form)
    matching = _columns(chosen, source, wanted)
    imports = Imports(layout, source.name)
    with _room(layout, source, dry_run=dry_run) as room:
        raw, number, live = room / "raw.parquet", imports.next_id, imports.live()
        files = _gathered(chosen, source, raw, known=_known(live, source, wanted), tell=tell)
        with looked(
            raw, number, source, wanted, layout=layout, earlier=live, log=log, spark=spark()
        ) as (found, records):  # fmt: skip
            made = Import(
                number, uuid.uuid4().hex[:16], tuple(files), found.records, 0,
                quarantined=sum(n for n, _ in found.bad.values()), repeats=found.repeats, overlapping=found.left_out,
                oldest=found.oldest, newest=found.newest,
                where=wanted.where, timestamp=wanted.timestamp, note=wanted.note,
            )  # fmt: skip
            if dry_run:
                return Imported(matching, found, made)
            if wanted.overlap == "refuse" and found.overlapping:
                raise _overlaps(source, found)
            _write(records, layout.imported(source.name) / made.folder)
        failpoint("import.rows_written")
        count, digest = imported.digest(imported.held(layout, source.name, [made], spark()))
        if count != found.records:
            raise IntegrityError(f"{count:,} of {found.records:,} records were written", where=str(made))
        imports.add(replace(made, digest=digest))
        return Imported(matching, found, imports.get(number))


def _write(records: DataFrame, path: Path) -> None:
    with written(path):
        records.write.format("delta").options(**PROPERTIES).save(str(path))


@contextmanager
def _room(layout: Layout, source: Source, *, dry_run: bool) -> Iterator[Path]:
    """A folder for what is read, in which one import works at a time; a dry run's is outside of the storage root."""
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="dovetail-import-") as folder:
            yield Path(folder)
        return
    with held(layout.lock(f"import-{source.name}"), f"an import into {source.name}"):
        delete_unneeded(layout, source.name)
        room = layout.scratch(f"import-{source.name}")
        shutil.rmtree(room, ignore_errors=True)  # a killed one's
        room.mkdir(parents=True)
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _gathered(
    chosen: Sequence[Part], source: Source, to: Path, *, known: Mapping[str, Import], tell: Callable[[str], None]
) -> list[File]:
    """Writes the rows of all files into one, each at the place that names it.

    Args:
        known: imports by the digest of a file in them.

    Raises:
        UsageError: a file cannot be read, changed meanwhile, is the same as another one, or is known.
    """
    files = list[File]()
    with written(to), pq.ParquetWriter(to, RAW, compression="zstd") as writer:
        for n, part in enumerate(chosen, start=1):
            before, count = part.stamp, 0
            digest = part.digest()
            if twin := known.get(digest):
                raise UsageError(
                    f"{part.name} was imported already: it is in {twin}",
                    why="its bytes are the same",
                    next=f"dovetail import {source.name} --list, or --drop {twin.id} first",
                )
            for offsets, values in _slices(rows(part, source)):
                places = pa.array([(n << ROW_BITS) + each for each in offsets], pa.int64())
                writer.write_table(pa.table([places, pa.array(values, pa.binary())], schema=RAW))
                count += len(values)
            if part.stamp != before:
                raise UsageError(f"{part.name} changed while it was read", next="import it once nobody writes to it")
            if same := [f.name for f in files if f.sha256 == digest and count]:
                raise UsageError(f"{part.name} and {same[0]} are the same, byte for byte", next="name one of them")
            files.append(File(part.name, digest, before[0], count))
            tell(f"read {part.name}: {count:,} rows ({n} of {len(chosen)} files)")
    if not any(file.rows for file in files):
        raise UsageError("there is no row to import", where=", ".join(f.name for f in files[:3]))
    return files


def _slices(numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[list[int], list[bytes]]]:
    numbers, values, held_bytes = list[int](), list[bytes](), 0
    for number, value in numbered:
        numbers.append(number)
        values.append(value)
        held_bytes += len(value)
        if len(values) >= SLICE_ROWS or held_bytes >= SLICE_BYTES:
            yield numbers, values
            numbers, values, held_bytes = [], [], 0
    if values:
        yield numbers, values


def _columns(chosen: Sequence[Part], source: Source, wanted: Wanted) -> Columns:
    """How the columns of all files stand to the schema.

    Raises:
        UsageError: none is in the schema, a file lacks one without which no row of it can count, or the options leave
            open whether the log holds the same events.
    """
    needed = [c for c in dict.fromkeys([source.event_time or "", *source.event_id]) if c in source.columns]
    seen: dict[str, None] = {}
    for part in chosen:
        names = columns(part)
        for each in needed if part.form != "jsonl" and names else ():
            if each not in names:
                raise UsageError(
                    f"it has no column {each}, and no record counts without one",
                    where=part.name,
                    why=f"its columns are {', '.join(names)}",
                )
        seen |= dict.fromkeys(names)
    matched = tuple(name for name in seen if name in source.columns)
    if seen and not matched:
        raise UsageError(
            f"no column of the files is one of {source.name}: {unknown('column', next(iter(seen)), source.columns)}",
            where=chosen[0].name,
        )
    if not source.event_id and not wanted.where and wanted.overlap != "unchecked":
        by = source.event_time if source.event_time in source.columns else "…"
        raise UsageError(
            f"{source.name} has no event_id: nobody can tell whether the log holds some of these events",
            why="what is imported and in the log counts twice",
            next=f"--where \"{by} < '…'\" for what was before the log began, or --unchecked where you know",
        )
    lacking = tuple(name for name in source.columns if name not in seen)
    return Columns(matched, tuple(name for name in seen if name not in source.columns), lacking)


def _known(live: Sequence[Import], source: Source, wanted: Wanted) -> dict[str, Import]:
    """Imports by the digest of a file in them, where that file is not to be imported again: with the same `where`, or
    where no event id tells what comes again."""
    alike = [each for each in live if each.where == wanted.where or not source.event_id]
    return {file.sha256: each for each in alike for file in each.files if file.rows}


def _overlaps(source: Source, found: Found) -> UsageError:
    shown = "; ".join(f"{each} is {other}" for each, other in found.examples)
    by = source.event_time if source.event_time in source.columns else "…"
    return UsageError(
        f"{found.overlapping:,} rows have an event id that is in the log: {shown}",
        why="they would count twice",
        next=f"--skip-overlap leaves them out, --where \"{by} < '…'\" narrows what is imported",
    )
