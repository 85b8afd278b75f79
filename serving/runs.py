"""Loads the tables of batch runs into the database, beside the thread that follows the stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from dovetail.serving.database import Database
from dovetail.serving.shape import BUCKET, Shape, quoted
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.manifest import ORIGIN, Run, RunId
from dovetail.shared.places import opened
from dovetail.shared.tables import Layout

Named = tuple[VersionId, RunId]
BATCH_ROWS = 64_000
LATE_S, LATE_BUCKETS = 48 * 3_600, 8
"""Seconds, and buckets, before the newest bucket of a run: what is of late lies apart, whichever is longer."""


class Runs:
    """The runs that are in the database or on their way there. For one thread; the loading is done by another."""

    def __init__(self, layout: Layout, database: Database) -> None:
        self._layout, self._database = layout, database
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="dovetail-runs")
        self._tables: dict[Named, Future[str]] = {}

    def tables(self, shape: Shape, runs: Sequence[Run]) -> tuple[str, ...] | None:
        """The database tables of `runs`; None while one is still being loaded, which the first call sets off.

        Raises:
            IntegrityError: the table of a run is missing, or holds more or fewer rows than the manifest says.
        """
        named = [run for run in runs if run.id != ORIGIN]
        for run in named:
            if (run.version, run.id) not in self._tables:
                self._tables[run.version, run.id] = self._loader.submit(self.load, shape, run)
        loading = {(run.version, run.id): self._tables[run.version, run.id] for run in named}
        if not all(future.done() for future in loading.values()):
            return None
        for key, future in loading.items():
            if future.exception() is not None:
                del self._tables[key]  # so that a run that is put right is loaded again
        return tuple(future.result() for future in loading.values())

    def dropped(self, version: VersionId, named: Sequence[Run]) -> list[str]:
        """Forgets the loaded runs of the view of `version` that are not among `named`; gives their tables."""
        view, keep = view_of(version), {(run.version, run.id) for run in named}
        gone = [k for k, f in self._tables.items() if view_of(k[0]) == view and k not in keep and f.done()]
        futures = [self._tables.pop(key) for key in gone]
        return [future.result() for future in futures if future.exception() is None]

    def close(self) -> None:
        self._loader.shutdown(wait=True, cancel_futures=True)

    def drop(self, table: str) -> None:
        """Lets go of one that `load` gave and that no manifest names."""
        self._database.drop(table)

    def load(self, shape: Shape, run: Run) -> str:
        """Puts a run's rows into a table of their own. For any thread."""
        table = DeltaTable(str(self.path(run)))
        schema = shape.held(pa.schema(table.schema().to_arrow()).empty_table()).schema
        footers = {uri: pq.read_metadata(opened(uri)) for uri in table.file_uris()}
        rows = pa.RecordBatchReader.from_batches(schema, _batches(shape, footers, schema))
        loaded = self._database.load(rows, order=_order(shape, [*footers.values()]))
        count = self._database.count(loaded)
        if count != run.state_rows:
            self._database.drop(loaded)
            raise self.miscounted(run, count)
        return loaded

    def path(self, run: Run) -> Path:
        """Where a run's table lies; raises IntegrityError where it does not."""
        path = self._layout.run(run.version, run.id)
        if not DeltaTable.is_deltatable(str(path)):
            raise IntegrityError(f"the table of run {run.id} is missing", where=str(path), next="dovetail doctor")
        return path

    def miscounted(self, run: Run, count: int) -> IntegrityError:
        return IntegrityError(
            f"run {run.id} of {run.version} holds {count} state rows, the manifest says {run.state_rows}",
            where=str(self._layout.run(run.version, run.id)),
            next="dovetail batch --full",
        )


def _order(shape: Shape, footers: Sequence[pq.FileMetaData]) -> list[str]:
    """The order of a table's rows: by key, but those of late apart.

    So a question about few keys, and one about the last day of all, read as much of a hundred days as of one. More
    parts by age than two would each cost the first one a millisecond.
    """
    keys = [quoted(key) for key in shape.keys]
    if not shape.bucket_seconds:
        return keys
    newest = newest_of(footers)
    late = max(LATE_S, LATE_BUCKETS * shape.bucket_seconds) * 1_000_000
    return [*([] if newest is None else [f"{BUCKET} <= {newest - late}"]), *keys, BUCKET]


def newest_of(footers: Sequence[pq.FileMetaData]) -> int | None:
    """The newest bucket that the files say they hold, in microseconds since 1970; None where they do not say."""
    found = []
    for metadata in footers:
        names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
        for group in range(metadata.num_row_groups if BUCKET in names else 0):
            said = metadata.row_group(group).column(names.index(BUCKET)).statistics
            if said is not None and said.has_min_max:
                found.append(pa.scalar(said.max, pa.timestamp("us", tz="UTC")).value)
    return max(found, default=None)


def _batches(shape: Shape, footers: Mapping[str, pq.FileMetaData], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for uri, footer in footers.items():  # a run may have more files than may be open at once
        # Spark may write timestamps as INT96, which read as nanoseconds end in the year 2262.
        file = pq.ParquetFile(opened(uri), metadata=footer, coerce_int96_timestamp_unit="us")
        for batch in file.iter_batches(BATCH_ROWS, columns=list(shape.columns)):
            yield from shape.held(batch).cast(schema).to_batches()
