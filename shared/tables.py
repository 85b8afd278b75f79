"""Delta tables that Dovetail writes itself with delta-rs, and where every table lies.

root/sources/SOURCE/{master,claims,ledger,quarantine,superseded,sent,failing,repeats,forgotten,proof.json}
root/sources/SOURCE/{imports,imported/FOLDER,schemas}
root/paused/    root/forget.key    root/push/NAME.json
root/dimensions/DIMENSION/{versions,N-DIGEST.parquet}
root/views/VIEW/{manifest,joins,sensitive.json,trino.json}
root/views/VIEW/versions/FINGERPRINT/{bundle.json,code/,states,runs/RUN,failed/RUN}
here/sources/SOURCE/seen/    here/{locks,logs,access,kafka}/    here/scratch/   (Spark's checkpoints: never trusted)

`here` is a folder of this machine: the root itself, but where that is in an object store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from dovetail.shared.errors import IntegrityError, ServiceMissing
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import RunId
from dovetail.shared.places import is_remote, opened, together

if TYPE_CHECKING:
    from dovetail.shared.settings import Settings

PROPERTIES = {"delta.enableDeletionVectors": "false"}
"""Deletion vectors hide bytes instead of removing them, and not every reader knows them."""
KEEP_HOURS, LOG_MINUTES = 1, 5
"""How long what a table was made of before stays for slow readers: its files, and the entries of its log."""
HISTORY = {
    "delta.logRetentionDuration": f"interval {LOG_MINUTES} minutes",
    "delta.deletedFileRetentionDuration": f"interval {KEEP_HOURS} hours",
}
"""Of a table that is appended to five times a second Delta's own 30 days of log would be 13 million files, and its
week of deleted files 3 million rows of every checkpoint. An append lists the log more than once: 2 s for 100,000."""

FORGOTTEN = "Invalid table version"
"""What delta-rs says where what was committed since a table was read is no longer in its log."""


@dataclass(frozen=True)
class Layout:
    """Where things lie under the storage root, and what stays on this machine."""

    root: Path
    local: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        return cls(settings.storage.path, settings.storage.here)

    @property
    def here(self) -> Path:
        return self.local or self.root

    def master(self, source: str) -> Path:
        return self.root / "sources" / source / "master"

    def claims(self, source: str) -> Path:
        return self.root / "sources" / source / "claims"

    def ledger(self, source: str) -> Path:
        return self.root / "sources" / source / "ledger"

    def quarantine(self, source: str) -> Path:
        return self.root / "sources" / source / "quarantine"

    def superseded(self, source: str) -> Path:
        return self.root / "sources" / source / "superseded"

    def sent(self, source: str) -> Path:
        return self.root / "sources" / source / "sent"

    def repeats(self, source: str) -> Path:
        return self.root / "sources" / source / "repeats"

    def seen(self, source: str) -> Path:
        return self.here / "sources" / source / "seen"

    def failing(self, source: str) -> Path:
        return self.root / "sources" / source / "failing"

    def imports(self, source: str) -> Path:
        return self.root / "sources" / source / "imports"

    def imported(self, source: str) -> Path:
        """The records of imports, each in a folder of its own."""
        return self.root / "sources" / source / "imported"

    def forgotten(self, source: str) -> Path:
        return self.root / "sources" / source / "forgotten"

    def schemas(self, source: str) -> Path:
        """What a schema registry has said of the ids that its records name."""
        return self.root / "sources" / source / "schemas"

    def proof(self, source: str) -> Path:
        return self.root / "sources" / source / "proof.json"

    @property
    def access(self) -> Path:
        return self.here / "access"

    def manifest(self, view: str) -> Path:
        return self.root / "views" / view / "manifest"

    def held_back(self, view: str) -> Path:
        return self.root / "views" / view / "held_back.json"

    def last_diff(self, view: str) -> Path:
        return self.root / "views" / view / "diff.json"

    def in_trino(self, view: str) -> Path:
        """The note of what was wrong when Trino was brought up to date last."""
        return self.root / "views" / view / "trino.json"

    def sensitive(self, view: str) -> Path:
        return self.root / "views" / view / "sensitive.json"

    def joins(self, view: str) -> Path:
        return self.root / "views" / view / "joins"

    def dimension(self, name: str) -> Path:
        return self.root / "dimensions" / name

    def versions(self, view: str) -> Path:
        return self.root / "views" / view / "versions"

    def version(self, version: VersionId) -> Path:
        view, fingerprint = version.split("@")
        return self.versions(view) / fingerprint

    def states(self, version: VersionId) -> Path:
        return self.version(version) / "states"

    def run(self, version: VersionId, run: RunId) -> Path:
        return self.version(version) / "runs" / run

    def failed(self, version: VersionId, run: RunId) -> Path:
        """The records that a run has set apart; there only where there are any."""
        return self.version(version) / "failed" / run

    def of_runs(self, view: str) -> list[Path]:
        """Every folder that a run of the view has made, named by its id: its table, and what it set apart."""
        return [folder for kind in ("runs", "failed") for folder in sorted(self.versions(view).glob(f"*/{kind}/*"))]

    def scratch(self, name: str) -> Path:
        return self.here / "scratch" / name

    def lock(self, name: str) -> Path:
        return self.here / "locks" / f"{name}.lock"

    def pause(self, name: str) -> Path:
        return self.root / "paused" / f"{name}.json"

    def push(self, name: str) -> Path:
        return self.root / "push" / f"{name}.json"


class AppendTable:
    """A Delta table written by delta-rs, held open; each file's rows are handed out once by `fresh`.

    Args:
        path: the table's folder; created with `schema` at the first append where it does not exist.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self._table: DeltaTable | None = None
        self._known: set[str] = set()
        self._handed = -1

    @classmethod
    def existing(cls, path: Path) -> AppendTable:
        """A table that is there already, with its own schema; raises IntegrityError where it is not."""
        if not DeltaTable.is_deltatable(str(path)):
            raise IntegrityError("a table is missing", where=str(path), next="dovetail doctor")
        held = DeltaTable(str(path))
        table = cls(path, pa.schema(held.schema().to_arrow()))
        table._table = held
        return table

    def create(self) -> None:
        """Makes the table empty, unless it is there."""
        self._opened()

    def append(self, rows: pa.Table) -> None:
        """Appends `rows`; a concurrent compaction or deletion is no conflict.

        Raises:
            ServiceMissing: the disk refuses the write.
        """
        table, landed = self._opened(), False
        while not landed:
            try:
                with written(self.path):
                    write_deltalake(table, rows.cast(self.schema), mode="append")
                landed = True
            except DeltaError as error:  # another handle has deleted rows since: an append asks for none of them
                self._caught_up(table, error)

    def append_if(self, rows: pa.Table, unchanged: Callable[[], bool]) -> bool:
        """Appends `rows` to exactly the state of the table for which `unchanged()` held; False where it did not.

        A plain Delta append would succeed next to another writer's; no retry on the version that was read refuses it.
        Columns that a table made by an earlier Dovetail does not have are added to it.

        Raises:
            ServiceMissing: the disk refuses the write.
        """
        table = self._opened()  # before the look: a table that another writer makes meanwhile is not the one looked at
        while unchanged():
            try:
                with written(self.path):
                    write_deltalake(
                        table,
                        rows.cast(self.schema),
                        mode="append",
                        schema_mode="merge",
                        commit_properties=CommitProperties(max_commit_retries=0),
                    )
            except DeltaError as error:
                self._caught_up(table, error)
                continue
            return True
        return False

    def fresh(self) -> list[pa.Table]:
        """The rows of each file not handed out before. Compaction hands rows out again: tell them apart by ids."""
        table = self._current()
        if table is None or table.version() == self._handed:
            return []
        files = set(table.file_uris())
        unseen = sorted(files - self._known)
        with _sound(self.path):
            found = [pq.read_table(opened(f), schema=self.schema, partitioning=None) for f in unseen]
        self._known, self._handed = files, table.version()
        return found

    def skip_to_end(self) -> None:
        """Takes every file that is there now as handed out."""
        table = self._current()
        self._known = set(table.file_uris()) if table is not None else set()

    def read(self, filter: Any = None, columns: list[str] | None = None) -> pa.Table:  # noqa: A002
        """The rows of the newest snapshot for which the pyarrow expression `filter` holds.

        A column that came after the table, or after a file of it, is null there.
        """
        table = self._current()
        files = pa.table(table.get_add_actions())["path"].to_pylist() if table is not None else []
        return self._rows(files, filter, columns)

    def between(self, column: str, first: int, last: int | None = None) -> pa.Table:
        """The rows whose integer `column` is from `first` on, up to and with `last`. Other files are not read."""
        table = self._current()
        files = [
            file
            for file, low, high in (extents(table, column) if table is not None else ())
            if (high is None or high >= first) and (last is None or low is None or low <= last)
        ]
        wanted = ds.field(column) >= first
        if last is not None:
            wanted &= ds.field(column) <= last
        return self._rows(files, wanted)

    def largest(self, column: str) -> int | None:
        """The largest value of an integer column, from file statistics; None for an empty table."""
        table = self._current()
        if table is None:
            return None
        largest = pa.table(table.get_add_actions(flatten=True)).column(f"max.{column}").to_pylist()
        return max((v for v in largest if v is not None), default=None)

    def delete(self, predicate: str) -> None:
        table = self._current()
        if table is not None:
            with written(self.path):
                table.delete(predicate)

    def compact(self, *, keep_hours: int = KEEP_HOURS, file_bytes: int | None = None) -> None:
        """Joins small files; removes those replaced more than `keep_hours` ago, so that slow readers finish.

        Args:
            file_bytes: files of about this size are left as they are; Delta's 100 MB where nothing is said.
        """
        table = self._current()
        if table is not None:
            with written(self.path):
                if not HISTORY.items() <= table.metadata().configuration.items():  # made by an earlier Dovetail
                    table.alter.set_table_properties(dict(HISTORY))
                table.optimize.compact(target_size=file_bytes)
            failpoint("compact.files_joined")
            table.vacuum(retention_hours=keep_hours, enforce_retention_duration=False, dry_run=False)

    @property
    def size(self) -> tuple[int, int]:
        """The rows of the newest snapshot, and the bytes of its files."""
        table = self._current()
        actions = pa.table(table.get_add_actions()) if table is not None else None
        if actions is None or not actions.num_rows:
            return 0, 0
        return pc.sum(actions["num_records"]).as_py() or 0, pc.sum(actions["size_bytes"]).as_py()

    @property
    def files(self) -> int:
        return len(self.paths)

    @property
    def paths(self) -> list[str]:
        """The Parquet files of the newest snapshot."""
        table = self._current()
        return [unquote(uri) for uri in table.file_uris()] if table is not None else []

    def _rows(self, files: Sequence[str], filter: Any, columns: list[str] | None = None) -> pa.Table:  # noqa: A002
        """The rows of some files, as the table names them; by Arrow itself: through delta-rs each costs 1.5 ms."""
        if not files:
            empty = self.schema.empty_table()
            return empty.select(columns) if columns else empty
        with _sound(self.path):
            store, inside = together([self.path / unquote(file) for file in files])
            return pq.read_table(
                inside, columns=columns, schema=self.schema, filters=filter, partitioning=None, filesystem=store
            )

    def _caught_up(self, table: DeltaTable, error: DeltaError) -> None:
        """Brings a table whose write was refused up to date; raises ServiceMissing where nobody was faster.

        Anything but others' commits, those that the log has forgotten among them, is raised as it is.
        """
        if not isinstance(error, CommitFailedError) and FORGOTTEN not in str(error):
            raise error
        refused = table.version()
        table.update_incremental()
        if table.version() == refused:  # trying again would never end
            raise ServiceMissing("a table cannot be written", where=str(self.path), why=str(error)) from error

    def _current(self) -> DeltaTable | None:
        with _sound(self.path):
            if self._table is None:
                if not DeltaTable.is_deltatable(str(self.path)):
                    return None
                self._table = DeltaTable(str(self.path))
                refuse_torn(self._table, self.path)
            refresh(self._table, self.path)
        return self._table

    def _opened(self) -> DeltaTable:
        if self._table is None:
            self._table = DeltaTable.create(
                str(self.path), schema=self.schema, mode="ignore", configuration=PROPERTIES | HISTORY
            )
        return self._table


def extents(table: DeltaTable, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Each file as the table names it, with the least and the largest value in it of each of some columns.

    None for both where the writer kept no statistics.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    nothing = pa.nulls(actions.num_rows)
    names = [f"{end}.{column}" for column in columns for end in ("min", "max")]
    known = [(actions[n] if n in actions.column_names else nothing).to_pylist() for n in names]
    return zip(actions["path"].to_pylist(), *known, strict=True)


def refresh(table: DeltaTable, path: Path) -> None:
    """Brings a table held open to its newest version, if there is one: `update_incremental` lists the whole log.

    Where its own version is gone from the log, newer ones are there, and what came between was forgotten.
    """
    if is_remote(path):  # where a look at two names costs as much as a list of those after the version
        table.update_incremental()
        return
    log, version = path / "_delta_log", table.version()
    if (log / f"{version + 1:020}.json").exists() or not (log / f"{version:020}.json").exists():
        table.update_incremental()
        refuse_torn(table, path)


def refuse_torn(table: DeltaTable, path: Path) -> None:
    """Raises IntegrityError where the newest entry of the log is empty, as a machine that went down may leave it.

    The table would be read without that entry, and nothing said. What is in an object store is there whole.
    """
    if is_remote(path):
        return
    entry = path / "_delta_log" / f"{table.version():020}.json"
    if entry.exists() and entry.stat().st_size == 0:
        raise IntegrityError(
            "the newest entry of a table's log is empty",
            where=str(entry),
            why="the machine went down before it was on disk: what it said was acknowledged, and is gone",
            next="put it back from a copy of the storage root",
        )


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Names the table when the file system refuses a write: no space, no rights, a limit."""
    try:
        yield
    except (DeltaError, OSError) as error:
        if isinstance(error, CommitFailedError) or (
            "os error" not in str(error).lower() and not isinstance(error, OSError)
        ):
            raise
        raise ServiceMissing(
            "a table cannot be written",
            where=str(path),
            why=str(error).rpartition(": ")[2],
            next="dovetail doctor says how much space is left; then start it again, nothing is lost",
        ) from error


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Names the table when a file of it is torn or gone: an answer without that file would be a wrong one."""
    try:
        yield
    except (DeltaError, pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(
            "a table cannot be read", where=str(path), why=str(error).partition("\n")[0], next="dovetail doctor"
        ) from error
