"""The states of the speed layer, what is in quarantine and what came again, in Delta under the commits' ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared.errors import IntegrityError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import CommitId, LedgerRow, VersionId, view_of
from dovetail.shared.manifest import Run
from dovetail.shared.tables import AppendTable, Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COMMIT = [("_commit_id", pa.string()), ("_seq", pa.int64())]
QUARANTINE = pa.schema(
    [
        *COMMIT,
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("reason", pa.string()),
    ]
)
FAILING = QUARANTINE.append(pa.field("version", pa.string()))
REPEATS = pa.schema([*COMMIT, ("_partition", pa.int32()), ("_offset", pa.int64())])


def states_schema(groups: pa.Schema) -> pa.Schema:
    """The states table of a version whose fold gives rows of schema `groups`."""
    return pa.schema([*(pa.field(f.name, f.type) for f in groups), *COMMIT])


class DeltaStates:
    """A CommitStore and StateReader over the tables of one source. One process writes at a time: the speed lock's."""

    def __init__(self, layout: Layout, source: str) -> None:
        self._layout = layout
        self._tables: dict[VersionId, AppendTable] = {}
        self._quarantine = AppendTable(layout.quarantine(source), QUARANTINE)
        self._failing = AppendTable(layout.failing(source), FAILING)
        self._repeats = AppendTable(layout.repeats(source), REPEATS)

    def create(self, version: VersionId, groups: pa.Schema) -> None:
        """Makes the empty states table of a version, unless it is there."""
        AppendTable(self._layout.states(version), states_schema(groups)).create()

    def table(self, version: VersionId) -> AppendTable:
        if version not in self._tables:
            self._tables[version] = AppendTable.existing(self._layout.states(version))
        return self._tables[version]

    def write_states(self, version: VersionId, commit_id: CommitId, seq: int, states: Iterable[pa.Table]) -> int:
        table, written = self.table(version), 0
        for slice_ in states:
            if slice_.num_rows:
                table.append(stamped(slice_, commit_id, seq))
                written += slice_.num_rows
        return written

    def write_quarantined(self, commit_id: CommitId, seq: int, records: pa.Table) -> None:
        if records.num_rows:
            self._quarantine.append(stamped(records, commit_id, seq).select(QUARANTINE.names))

    def write_failing(self, commit_id: CommitId, seq: int, records: pa.Table) -> None:
        self._failing.append(stamped(records, commit_id, seq).select(FAILING.names))

    def write_repeats(self, commit_id: CommitId, seq: int, places: pa.Table) -> None:
        if places.num_rows:
            self._repeats.append(stamped(places, commit_id, seq).select(REPEATS.names))

    def commits(self, version: VersionId, after: int) -> Mapping[CommitId, pa.Table]:
        rows = self.table(version).between("_seq", after + 1)
        ids = pc.unique(rows["_commit_id"]).to_pylist()
        return {CommitId(i): rows.filter(pc.equal(rows["_commit_id"], i)) for i in ids}

    def quarantined(self, commit_ids: Iterable[CommitId] | None = None) -> pa.Table:
        """The records in quarantine, those of `commit_ids` only where given."""
        rows = self._quarantine.read()
        return rows if commit_ids is None else rows.filter(pc.is_in(rows["_commit_id"], pa.array(list(commit_ids))))

    def failing(self) -> pa.Table:
        """The records that made a version raise, also those of attempts that never came into the ledger."""
        return self._failing.read()

    def delete_through(self, version: VersionId, floor: int, *, keep: Iterable[CommitId] = ()) -> None:
        """Deletes the states at or below seq `floor`, but for some commits; the manifest's floor was raised before."""
        kept = ", ".join(f"'{commit_id}'" for commit_id in keep)
        self.table(version).delete(f"_seq <= {int(floor)}" + (f" AND _commit_id NOT IN ({kept})" if kept else ""))

    def compact(self, versions: Iterable[VersionId]) -> None:
        for table in (*(self.table(v) for v in versions), self._quarantine, self._failing, self._repeats):
            table.compact()
            failpoint("compact.table_joined")


def only_copies(layout: Layout, version: VersionId, commits: Sequence[LedgerRow], spark: SparkSession) -> DataFrame:
    """The states of commits whose records are nowhere any more.

    Raises:
        IntegrityError: they are not all there.
    """
    named = ", ".join(f"'{row.commit_id}'" for row in commits)
    path = layout.states(version)
    states = spark.read.format("delta").load(str(path)).where(f"_commit_id IN ({named})")
    expected, held = sum(row.versions[version] for row in commits), states.count()
    if held != expected:
        raise IntegrityError(
            f"{held:,} of {expected:,} state rows are left of records that nobody holds any more",
            where=str(path),
            next="put the states back from a copy of the storage root",
        )
    return states


def failed_in(layout: Layout, runs: Iterable[Run]) -> pa.Table:
    """The records that these runs have set apart, each once.

    Raises:
        IntegrityError: they are not all there.
    """
    parts = [FAILING.empty_table()]
    for run in (run for run in runs if run.failed):
        path = layout.failed(run.version, run.id)
        rows = AppendTable.existing(path).read()
        if rows.num_rows != run.failed:
            raise IntegrityError(
                f"run {run.id} has set {run.failed:,} records apart, and {rows.num_rows:,} of them are held",
                where=str(path),
                next=f"dovetail batch {view_of(run.version)} --full",
            )
        parts.append(rows.select(FAILING.names))
    found = pa.concat_tables(parts)
    first = found.append_column("n", pa.array(range(found.num_rows))).group_by(["partition", "offset"])
    return found.take(first.aggregate([("n", "min")])["n_min"])


def stamped(rows: pa.Table, commit_id: CommitId, seq: int) -> pa.Table:
    """`rows` with the columns of COMMIT."""
    return rows.append_column("_commit_id", pa.repeat(commit_id, rows.num_rows)).append_column(
        "_seq", pa.repeat(pa.scalar(seq, pa.int64()), rows.num_rows)
    )
