"""The proof of repeats: which records repeat another, decided anew from the log, against what the commits recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dovetail.batch.repeats_anew import FOREVER, Flags, Ints, Occurrences, repeats
from dovetail.shared import supersede
from dovetail.shared.declare import Source
from dovetail.shared.decode import POSITION, REASON, decode, decoder_id
from dovetail.shared.engine import arrow_slices
from dovetail.shared.ledger import CommitId, LedgerRow
from dovetail.shared.log_clock import LogClock
from dovetail.shared.position import RecordId
from dovetail.shared.states import REPEATS
from dovetail.shared.tables import AppendTable, Layout


@dataclass(frozen=True)
class Differing:
    """Where the recorded repeats are not those of the log.

    `lost` are recorded as repeats and repeat nothing that counts; `doubled` are repeats that no commit recorded.
    `undecided` are the commits that were taken at their word; `held` is by seq how many repeats the table holds, and
    `short` are the commits of which the ledger tells another number.
    """

    lost: tuple[RecordId, ...] = ()
    doubled: tuple[RecordId, ...] = ()
    undecided: tuple[LedgerRow, ...] = ()
    short: tuple[LedgerRow, ...] = ()
    held: Mapping[int, int] = field(default_factory=dict)


def differing(
    records: DataFrame,
    source: Source,
    rows: Sequence[LedgerRow],
    layout: Layout,
    *,
    gone: Sequence[LedgerRow],
    sample: float = 1.0,
) -> Differing:
    """Decides the repeats of a whole ledger again.

    A commit is taken at its word where the log no longer says what it saw: it was decoded in another way, looked back
    over another horizon or an unknown one, or some of what it may have looked back at is gone.

    Args:
        records: of all `rows`, columns of META, but for those that nobody holds.
        gone: the commits of which nobody holds all records.
        sample: the share of ids that is looked at, chosen by a hash.
    """
    clock = _Clock.of(rows, source.horizon // timedelta(milliseconds=1))
    given = _taken_at_their_word(rows, source, clock, gone)
    held = _held(layout, source.name, rows)
    short = tuple(row for row in rows if held.get(row.seq, 0) != row.books.repeats)
    undecided = tuple(row for row in rows if row.seq in given and (row.books.repeats or row.books.seen))
    if not source.event_id:
        return Differing(undecided=tuple(r for r in undecided if r.books.repeats), short=short, held=held)
    places = _places(records, source, rows, layout.repeats(source.name), sample)
    found = _occurrences(places, rows, clock, given, supersede.superseded(layout, source.name, _superseding(rows)))
    repeat = repeats(found, clock.horizon)
    lost, doubled = (
        _ids(found, which & ~found.given) for which in (found.recorded & ~repeat, repeat & ~found.recorded)
    )
    return Differing(lost, doubled, undecided, short, held)


@dataclass(frozen=True)
class _Clock:
    """By seq of each row the seq of the first commit that it had not forgotten."""

    horizon: int
    since: dict[int, int]

    @classmethod
    def of(cls, rows: Sequence[LedgerRow], horizon: int) -> _Clock:
        clock, since = LogClock(horizon), dict[int, int]()
        for row in rows:
            since[row.seq] = clock.since
            clock.passed(row)
        return cls(horizon, since)


def _taken_at_their_word(
    rows: Sequence[LedgerRow], source: Source, clock: _Clock, gone: Sequence[LedgerRow]
) -> set[int]:
    how = decoder_id(source.as_json()), clock.horizon if source.event_id else None
    found = {row.seq for row in rows if row.kind == "commit" and (row.decoder, row.horizon) != how}
    for lost in gone:
        found |= {r.seq for r in rows if r.seq >= lost.seq >= clock.since[r.seq]}
    return found


def _held(layout: Layout, source: str, rows: Sequence[LedgerRow]) -> dict[int, int]:
    """By seq how many repeats the table holds of the commits."""
    named = AppendTable(layout.repeats(source), REPEATS).read(columns=["_commit_id"])["_commit_id"]
    counts = {each["values"]: each["counts"] for each in named.value_counts().to_pylist()}
    return {row.seq: counts[row.commit_id] for row in rows if row.commit_id in counts}


def _superseding(rows: Sequence[LedgerRow]) -> list[CommitId]:
    return [row.commit_id for row in rows if row.kind == "supersede"]


def _places(records: DataFrame, source: Source, rows: Sequence[LedgerRow], table: Path, sample: float) -> pa.Table:
    """The records that share their id with another one or are recorded as repeats, as Arrow.

    `_high` and `_low` are two hashes of the id, null for what is recorded though views do not see it; `_said` is the
    seq of the commit that recorded it.
    """
    spark = records.sparkSession
    columns = ", ".join(f"`{c}`" for c in source.event_id)
    there = " and ".join(f"`{c}` is not null" for c in source.event_id)
    seen = decode(records, source.as_json()).where(f"{REASON} is null and {there}")
    ids = seen.selectExpr(
        *POSITION,
        "unix_millis(_timestamp) as _millis",
        f"xxhash64('proof', {columns}) as _high",
        f"xxhash64({columns}, 'proof') as _low",
    )
    named = spark.createDataFrame(
        pa.table({"_commit_id": [r.commit_id for r in rows], "_said": pa.array([r.seq for r in rows], pa.int64())})
    )
    if AppendTable(table, REPEATS).files:
        recorded = spark.read.format("delta").load(str(table)).join(F.broadcast(named), "_commit_id")
        said = recorded.groupBy(*POSITION).agg(F.min("_said").alias("_said"))
        ids = ids.join(said, [*POSITION], "full_outer")
    else:
        ids = ids.withColumn("_said", F.lit(None).cast("bigint"))
    asked = f"_high is null or pmod(_high, 1000000) < {round(sample * 1_000_000)}"
    often = ids.where(asked).withColumn("_n", F.expr("count(1) over (partition by _high, _low)"))
    chosen = often.where("_n > 1 or _said is not null").drop("_n")
    return pa.concat_tables(arrow_slices(chosen, ["_partition", "_offset"]))


def _occurrences(
    found: pa.Table, rows: Sequence[LedgerRow], clock: _Clock, given: set[int], superseded: pa.Table
) -> Occurrences:
    partition, offset = (found[c].to_numpy().astype(np.int64) for c in POSITION)
    seq = seq_of(partition, offset, rows)
    said = found["_said"].fill_null(-1).to_numpy()
    high, low = (found[c].fill_null(0).to_numpy() for c in ("_high", "_low"))
    unseen = np.asarray(found["_high"].is_null())
    low = np.where(unseen, np.arange(len(low)), low)  # what views do not see repeats nothing
    seqs, nth = np.unique(seq, return_inverse=True)

    def by_seq(value: Callable[[int], int]) -> Ints:
        return np.array([value(s) for s in seqs.tolist()], np.int64)[nth]

    return Occurrences(
        _numbered(unseen, high, low), seq, partition, offset, found["_millis"].fill_null(0).to_numpy(),
        since=by_seq(lambda s: clock.since[s]),
        until=_until(partition, offset, superseded),
        recorded=said >= 0,
        given=by_seq(lambda s: s in given).astype(bool),
    )  # fmt: skip


def _numbered(*columns: npt.NDArray[Any]) -> Ints:
    """A number for each row, the same where all columns are."""
    order, number = np.lexsort(columns), np.zeros(len(columns[0]), np.int64)
    new = np.zeros(max(0, len(order) - 1), bool)
    for column in columns:
        new |= np.diff(column[order].astype(np.int64)) != 0
    number[order] = np.cumsum(np.r_[0, new])[: len(order)]
    return number


def _until(partition: Ints, offset: Ints, superseded: pa.Table) -> Ints:
    """The seq from which on a corrected record stands for each; FOREVER where none does."""
    right = {(r["_partition"], r["_offset"]): r["_seq"] for r in superseded.to_pylist()}
    until = np.full(len(offset), FOREVER)
    if right:
        until[:] = [right.get(place, FOREVER) for place in zip(partition.tolist(), offset.tolist(), strict=True)]
    return until


def seq_of(partition: Ints, offset: Ints, rows: Sequence[LedgerRow]) -> Ints:
    """For each record the seq of the commit that read it."""
    seqs, found = np.array([row.seq for row in rows], np.int64), np.zeros(len(offset), np.int64)
    for p in np.unique(partition):
        here = np.flatnonzero(partition == p)
        ends = np.array([row.to[int(p)] for row in rows], np.int64)
        found[here] = seqs[np.minimum(np.searchsorted(ends, offset[here], side="right"), len(seqs) - 1)]
    return found


def _ids(found: Occurrences, which: Flags) -> tuple[RecordId, ...]:
    chosen = found.take(which)
    places = sorted(zip(chosen.partition.tolist(), chosen.offset.tolist(), strict=True))
    return tuple(RecordId(p, o) for p, o in places)
