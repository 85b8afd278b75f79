"""Rows under commit ids that no ledger row names: what killed attempts left in the tables of a source (rule 1).

A row of seq n whose id the ledger does not name is dead once the ledger has a row n: whoever wrote it has lost, and
can never publish it. So nothing that is being written is taken for dead, whoever writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared.commit import open_epoch
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import SCHEMA as LEDGER
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.tables import AppendTable, Layout

AT_ONCE = 500
"""Commit ids in one deletion."""


@dataclass(frozen=True)
class Orphans:
    """The dead rows of one table."""

    table: AppendTable
    ids: tuple[str, ...]
    rows: int

    @cached_property
    def bytes(self) -> int:
        """About as many as they take: their share of the table's rows."""
        total, held = self.table.size
        return held * self.rows // total if total else 0


def orphans(layout: Layout, source: str, versions: Sequence[VersionId], *, through: int | None = None) -> list[Orphans]:
    """The dead rows up to the row `through` of the ledger; where not given, as if no attempt were under way."""
    named = AppendTable(layout.ledger(source), LEDGER).read(columns=["commit_id"])["commit_id"].combine_chunks()
    found = [_dead(table, named, through) for table in _tables(layout, source, versions)]
    return [each for each in found if each.rows]


def delete(layout: Layout, source: str, versions: Sequence[VersionId]) -> list[Orphans]:
    """Deletes the dead rows; gives what they were. For the holder of the speed lock and that of resends.

    Where there are any, an epoch is opened first: what the newest attempt left is dead only then.
    """
    if not orphans(layout, source, versions):
        return []
    ledger = DeltaLedger(layout.ledger(source))
    open_epoch(ledger, note="clean")
    failpoint("clean.fenced")
    last = ledger.last()
    through = last.seq if last else -1
    found = orphans(layout, source, versions, through=through)
    for each in found:
        each.bytes  # noqa: B018  before they are gone
        for first in range(0, len(each.ids), AT_ONCE):
            some = ", ".join(f"'{commit_id}'" for commit_id in each.ids[first : first + AT_ONCE])
            each.table.delete(f"_commit_id IN ({some})")
        failpoint("clean.rows_deleted")
    return found


def _tables(layout: Layout, source: str, versions: Sequence[VersionId]) -> Iterator[AppendTable]:
    of_source = (layout.quarantine, layout.failing, layout.superseded, layout.repeats, layout.forgotten)
    paths: list[Path] = [*(path(source) for path in of_source), *(layout.states(v) for v in versions)]
    for path in paths:
        if (path / "_delta_log").is_dir():
            yield AppendTable.existing(path)


def _dead(table: AppendTable, named: pa.Array, through: int | None) -> Orphans:
    rows = table.read(columns=["_commit_id", "_seq"])
    dead = pc.invert(pc.is_in(rows["_commit_id"], value_set=named))
    if through is not None:
        dead = pc.and_(dead, pc.less_equal(rows["_seq"], through))
    ids = rows.filter(dead)["_commit_id"]
    return Orphans(table, tuple(sorted(pc.unique(ids).to_pylist())), len(ids))
