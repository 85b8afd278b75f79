"""The proof of a view: what its records come to against what its tables hold, group by group; what differs, by record.

A group that differs is looked at twice: its rows are counted for each run and each commit apart, so that those which
hold too few or too many are named with their records.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dovetail.batch.behind import by_record, on_disk, placed, seen
from dovetail.batch.held import OWNER, group_columns, merged, states_of
from dovetail.batch.prove_repeats import seq_of
from dovetail.batch.recount import truth
from dovetail.shared.decode import POSITION, decode, decoded
from dovetail.shared.engine import arrow, arrow_slices
from dovetail.shared.errors import UserCodeError
from dovetail.shared.fold import ROWS
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.manifest import Manifest
from dovetail.shared.position import RecordId, named
from dovetail.shared.sensitive import HIDDEN
from dovetail.shared.sensitive import of as masks_of
from dovetail.shared.tables import Layout
from dovetail.shared.versions import Bundle

SHOWN = 10
"""Groups that are named, those that differ most."""
RECORDS = 10
"""Records of each that are named."""
GROUP, TRUE = "_group", "_true"


@dataclass(frozen=True)
class Compared:
    """How many groups there are and how many are equal, the rows that are lost and doubled in the others.

    `wrong` are the worst: their columns, GROUP numbering them, `_true` and `_rows` as they are in the log and in the
    tables, and `_other`, the measures that differ where the rows do not. `engine` folded the records.
    """

    groups: int
    equal: int
    lost: int
    doubled: int
    wrong: pa.Table
    engine: str


@dataclass(frozen=True)
class Answering:
    """One view, and what answers for it.

    `records` are those that its live version counts, columns of META; `held` is what its tables hold, see `stored`;
    `copies` are the states of commits whose records nobody holds, None where there are none.
    """

    bundle: Bundle
    manifest: Manifest
    ledger: Sequence[LedgerRow]
    records: DataFrame
    held: DataFrame
    copies: DataFrame | None


def compared(view: Answering, layout: Layout, *, sample: float = 1.0) -> Compared:
    """Compares what the records come to, and the copies of what records there are none of, with what is held."""
    bundle, chosen = view.bundle, _chosen(sample, group_columns(view.bundle))
    good = decoded(decode(view.records, bundle.decoder), bundle.decoder, placed=bundle.placed)
    with truth(good, bundle, layout.scratch(f"recount-{uuid.uuid4().hex[:8]}"), chosen=chosen) as (true, engine):
        if view.copies is not None:
            true = merged(true.unionByName(view.copies.where(chosen).select(true.columns)), bundle)
        return _compared(bundle, true, merged(view.held.where(chosen), bundle), engine)


def _compared(bundle: Bundle, truth: DataFrame, stored: DataFrame, engine: str) -> Compared:
    states, groups = states_of(bundle), group_columns(bundle)
    left = truth.select(*groups, *(F.col(c).alias(f"t_{c}") for c in [*(s.column for s in states), ROWS]))
    right = stored.select(*(F.col(g).alias(f"k_{g}") for g in groups), *stored.columns[len(groups) :])
    both = left.join(right, _alike((g, f"k_{g}") for g in groups), "full_outer").persist()
    alike = {s.column: F.expr(s.kind.agree(f"`t_{s.column}`", f"`{s.column}`")) for s in states}
    equal = reduce(Column.__and__, alike.values(), F.col(f"t_{ROWS}").eqNullSafe(F.col(ROWS)))
    true_rows, held_rows = F.coalesce(f"t_{ROWS}", F.lit(0)), F.coalesce(ROWS, F.lit(0))
    try:
        found = arrow(
            both.agg(
                F.count(F.lit(1)).alias("groups"),
                F.count_if(equal).alias("equal"),
                F.coalesce(F.sum(F.greatest(true_rows - held_rows, F.lit(0))), F.lit(0)).alias("lost"),
                F.coalesce(F.sum(F.greatest(held_rows - true_rows, F.lit(0))), F.lit(0)).alias("doubled"),
            )
        ).to_pylist()[0]
        there = F.col(f"t_{ROWS}").isNotNull()
        names = {n: reduce(Column.__and__, (alike[s.column] for s in m.states)) for n, m in bundle.measures.items()}
        worst = both.where(~equal).orderBy(F.abs(true_rows - held_rows).desc(), *groups).limit(SHOWN)
        rows = worst.select(
            *(F.when(there, F.col(g)).otherwise(F.col(f"k_{g}")).alias(g) for g in groups),
            true_rows.alias(TRUE),
            held_rows.alias(ROWS),
            F.concat_ws(", ", *(F.when(~same, name) for name, same in names.items())).alias("_other"),
        )
        wrong = arrow(rows) if found["equal"] != found["groups"] else arrow(rows.limit(0))
    finally:
        both.unpersist()
    numbered = wrong.append_column(GROUP, pa.array(range(wrong.num_rows), pa.int32()))
    return Compared(**found, wrong=numbered, engine=engine)


def told(wrong: pa.Table, view: Answering, layout: Layout) -> Iterator[str]:
    """A line for each group that differs: its rows, and which records of which run or commit are at fault."""
    try:
        faults = _faults(wrong, view, layout)
    except UserCodeError:
        faults = {}  # the transform loses which records these are
    sensitive = masks_of(layout, view.bundle.name)
    for row in wrong.to_pylist():
        key = ", ".join(HIDDEN if g in sensitive else str(row[g]) for g in group_columns(view.bundle))
        other = "" if row[TRUE] != row[ROWS] else f" with another {row['_other']}"
        what = f"{view.bundle.name}[{key}]: {row[TRUE]} rows in the log, {row[ROWS]} stored{other}"
        yield "; ".join([what, *faults.get(row[GROUP], ())])


class _Owners:
    """Which table answers for a record: that of the run in whose rows it was read, else that of its commit."""

    def __init__(self, manifest: Manifest, ledger: Sequence[LedgerRow]) -> None:
        self._runs, self._ledger = manifest.runs, ledger
        self._seqs = {row.commit_id: row.seq for row in ledger}

    def of(self, seq: int) -> str:
        run = next((r.id for r in self._runs if r.from_seq < seq <= r.to_seq), None)
        return run or next(row.commit_id for row in self._ledger if row.seq == seq)

    def of_commit(self, commit_id: str) -> str:
        return self.of(self._seqs[commit_id])  # type: ignore[index]

    def of_records(self, places: pa.Table) -> pa.Array:
        partition, offset = (places[c].to_numpy().astype(np.int64) for c in POSITION)
        first = self._runs[0].to_seq  # of an imported record, which no commit has read
        seqs = np.where(partition < 0, first, seq_of(partition, offset, self._ledger))
        each, nth = np.unique(seqs, return_inverse=True)
        return pa.array([self.of(int(s)) for s in each], pa.string()).take(pa.array(nth))

    def told(self, owner: str) -> str:
        seq = self._seqs.get(owner)  # type: ignore[call-overload]
        return f"batch run {owner}" if seq is None else f"the commit of seq {seq}"


def _faults(wrong: pa.Table, view: Answering, layout: Layout) -> Mapping[int, Sequence[str]]:
    """By group what its owners hold too few or too many of; all its records where each holds what it should."""
    groups, owners, spark = group_columns(view.bundle), _Owners(view.manifest, view.ledger), view.records.sparkSession
    names = {g: f"_wrong_{n}" for n, g in enumerate(groups)}
    chosen = F.broadcast(spark.createDataFrame(wrong.select([*groups, GROUP]).rename_columns([*names.values(), GROUP])))

    def of_wrong(rows: DataFrame) -> DataFrame:
        return rows.join(chosen, _alike(names.items()))

    def by_owner(rows: DataFrame, owner: str) -> Counter[tuple[int, str]]:
        sums = arrow(of_wrong(rows).groupBy(GROUP, owner).agg(F.sum(ROWS).alias(ROWS))).to_pylist()
        return Counter({(r[GROUP], r[owner]): r[ROWS] for r in sums})

    with on_disk(seen(view.records, view.bundle), layout.scratch(f"prove-{uuid.uuid4().hex[:8]}")) as kept:
        counts = by_record(of_wrong(placed(kept, view.bundle)), kept, GROUP).select(GROUP, *POSITION, ROWS)
        found = pa.concat_tables(arrow_slices(counts, [*POSITION]))
    found = found.append_column(OWNER, owners.of_records(found)).sort_by([(c, "ascending") for c in POSITION])
    sums = found.group_by([GROUP, OWNER]).aggregate([(ROWS, "sum")]).to_pylist()
    true = Counter({(r[GROUP], r[OWNER]): r[f"{ROWS}_sum"] for r in sums})
    if view.copies is not None:
        for (group, commit_id), rows in by_owner(view.copies, "_commit_id").items():
            true[group, owners.of_commit(commit_id)] += rows
    stored = by_owner(view.held, OWNER)
    lines: dict[int, list[str]] = {group: [] for group in range(wrong.num_rows)}
    for group, owner in sorted({*true, *stored}):
        if true[group, owner] != stored[group, owner]:
            theirs = pc.and_(pc.equal(found[GROUP], group), pc.equal(found[OWNER], owner))
            amount = f"{stored[group, owner]} of {true[group, owner]} rows of {_records(found.filter(theirs))}"
            lines[group].append(f"{owners.told(owner)} holds {amount}")
    for group, faults in lines.items():
        if not faults:
            faults.append(f"of {_records(found.filter(pc.equal(found[GROUP], group)))}")
    return lines


def _records(places: pa.Table) -> str:
    found = [RecordId(*place) for place in zip(*(places[c].to_pylist() for c in POSITION), strict=True)]
    return f"record{'s' if len(found) > 1 else ''} {named(found, most=RECORDS)}" if found else "no record"


def _alike(pairs: Iterable[tuple[str, str]]) -> Column:
    return reduce(Column.__and__, (F.col(f"`{a}`").eqNullSafe(F.col(f"`{b}`")) for a, b in pairs), F.lit(True))


def _chosen(share: float, groups: Sequence[str]) -> str:
    """SQL: the row is of a group that a sample of this share takes."""
    if share == 1 or not groups:
        return "true"
    texts = ", ".join(f"cast(`{g}` as string)" for g in groups)  # the same whatever Delta made of its type
    return f"pmod(xxhash64({texts}), 1000000) < {round(share * 1_000_000)}"
