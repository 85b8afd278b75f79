"""Records behind the groups that a diff finds to differ most."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice, zip_longest
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from dovetail.batch.behind import by_record, on_disk, placed, seen
from dovetail.batch.diff import Diff
from dovetail.shared.declare import View
from dovetail.shared.decode import POSITION
from dovetail.shared.engine import arrow, arrow_schema
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Run
from dovetail.shared.position import RecordId
from dovetail.shared.project import Project
from dovetail.shared.sensitive import hidden, shown
from dovetail.shared.set_apart import counted
from dovetail.shared.versions import load

GROUPS = 3
"""Groups that records are shown of."""
GROUP = "_group"


@dataclass(frozen=True)
class Sample:
    """A group that differs, by the columns of the diff, and the first of the records behind it with their bytes.

    What is sensitive is hidden in both. The bytes are cut off as those of `why` are. They are of the version that was
    compared as `after`, or where it counts none in this group, of the one before.
    """

    group: Mapping[str, Any]
    records: tuple[tuple[RecordId, bytes], ...]


def samples(
    project: Project,
    view: View,
    found: Diff,
    before: tuple[Run, ...],
    after: tuple[Run, ...],
    records: DataFrame,
    *,
    limit: int,
) -> list[Sample]:
    """The first `limit` records of each of the GROUPS that differ most.

    Args:
        records: those of the source as they came, columns of META, up to the ledger's end.

    Raises:
        UserCodeError: a transform loses where a row comes from.
    """
    groups = [*islice(worst(found), GROUPS)]
    behind = _behind(project, view, groups, found.by, after, records, limit=limit) if groups else {}
    left = [n for n in range(len(groups)) if n not in behind]
    if left:
        gone = _behind(project, view, [groups[n] for n in left], found.by, before, records, limit=limit)
        behind |= {left[n]: lines for n, lines in gone.items()}
    masks = view.source.sensitive
    return [Sample(hidden(group, masks), tuple(behind.get(n, ()))) for n, group in enumerate(groups)]


def worst(found: Diff) -> Iterator[dict[str, Any]]:
    """The groups that differ most, each once: of each measure the first, then of each the second."""
    told = list[dict[str, Any]]()
    for nth in zip_longest(*(m.worst for m in found.found.measures)):
        for row in filter(None, nth):
            group = {name: row[name] for name in found.by}
            if group not in told:
                told.append(group)
                yield group


def _behind(
    project: Project,
    view: View,
    groups: Sequence[Mapping[str, Any]],
    by: Sequence[str],
    runs: tuple[Run, ...],
    records: DataFrame,
    *,
    limit: int,
) -> dict[int, list[tuple[RecordId, bytes]]]:
    """By the place of a group in `groups`, the first records that the version of `runs` counts in it."""
    layout, version, spark = project.layout, runs[-1].version, records.sparkSession
    rows, bundle = DeltaLedger(layout.ledger(view.source.name)).rows(), load(layout.version(version))
    taken = counted(records, version, rows, source=view.source.name, ledger=rows, layout=layout, runs=runs)
    behind: dict[int, list[tuple[RecordId, bytes]]] = {}
    masks = view.source.sensitive
    with on_disk(seen(taken, bundle), layout.scratch(f"diff-{uuid.uuid4().hex[:8]}")) as kept:
        of_rows = placed(kept, bundle)
        names = {column: f"_asked_{n}" for n, column in enumerate(by)}
        schema = arrow_schema(of_rows.selectExpr(*(f"`{column}` as {name}" for column, name in names.items())))
        asked = pa.Table.from_pylist([{names[c]: g[c] for c in by} for g in groups], schema=schema)
        asked = asked.append_column(GROUP, pa.array(range(len(groups)), pa.int32()))
        alike = (F.col(f"`{column}`").eqNullSafe(F.col(name)) for column, name in names.items())
        chosen = of_rows.join(F.broadcast(spark.createDataFrame(asked)), reduce(Column.__and__, alike, F.lit(True)))
        nth = F.row_number().over(Window.partitionBy(GROUP).orderBy(*POSITION))
        first = by_record(chosen, kept, GROUP).withColumn("_nth", nth).where(F.col("_nth") <= limit)
        for row in arrow(first.select(GROUP, *POSITION, "_value").orderBy(GROUP, *POSITION)).to_pylist():
            behind.setdefault(row[GROUP], []).append(
                (RecordId(*(row[c] for c in POSITION)), shown(row["_value"], masks))
            )
    return behind
