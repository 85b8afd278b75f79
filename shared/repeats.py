"""Records that come again: found once, when they are committed, and recorded; no layer counts one.

A record repeats another when both have the same event id, the other one was counted in an earlier commit or before it
in the same one, and their Kafka timestamps lie within the source's `dedup_horizon` of each other. What was counted is
known by an index of ids (`seen.py`), which holds what was counted lately: `log_clock.py` says what is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dovetail.shared import gaps, supersede
from dovetail.shared.decode import POSITION, REASON, decode, decoder_id
from dovetail.shared.engine import arrow
from dovetail.shared.ledger import Judged, LedgerRow, LedgerStore
from dovetail.shared.log_clock import LogClock
from dovetail.shared.position import Range
from dovetail.shared.records import records_of
from dovetail.shared.seen import Entries, Ints, Seen
from dovetail.shared.tables import Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from dovetail.shared.declare import Source
    from dovetail.shared.log import Log

FORMAT = 2
"""Of the index; one of another is made anew."""
SLICE = 1_000_000
"""Records that are read at a time when the index is made anew."""
DIGEST = "xxhash64(_value) as _digest"
"""SQL: what tells whether two records have the same bytes."""
NOWHERE = pa.table({c: pa.array([], pa.int64()) for c in POSITION})
DIFFERING = Judged("a repeat has the bytes of the first", "warn")
"""Under this name the ledger counts repeats that have other bytes than what they repeat."""


@dataclass(frozen=True)
class Repeats:
    """Which records of a commit repeat one that was counted: columns `_partition` and `_offset`.

    `newest` is the largest Kafka timestamp among them, in milliseconds.
    """

    places: pa.Table = field(default_factory=lambda: NOWHERE)
    newest: int | None = None
    differing: int = 0

    def __len__(self) -> int:
        return int(self.places.num_rows)

    @property
    def broken(self) -> Mapping[Judged, int]:
        return {DIFFERING: self.differing} if self.differing else {}


@dataclass(frozen=True)
class Candidates:
    """Decoded records with their places."""

    partition: Ints
    offset: Ints
    entries: Entries

    def take(self, chosen: Ints) -> Candidates:
        return Candidates(self.partition[chosen], self.offset[chosen], self.entries.take(chosen))

    def without(self, places: DataFrame | None) -> Candidates:
        if places is None:
            return self
        others = arrow(places)
        here, there = _places(self.partition, self.offset), _places(*(others[c].to_numpy() for c in POSITION))
        return self.take(np.flatnonzero(~np.isin(here, there)))


def decided(
    records: Candidates, seen: Seen, *, horizon: int, since: int, every: bool = False
) -> tuple[npt.NDArray[np.bool_], int]:
    """Which of a commit's records are repeats, and how many of these have other bytes than what they repeat.

    Records of one id are looked at in the order of their timestamps, then of their places.

    Args:
        horizon: in milliseconds.
        since: what was counted before this ledger row is forgotten.
        every: a repeat can be repeated, too.
    """
    e, repeat, differing = records.entries, np.zeros(len(records.entries), bool), 0
    order = np.argsort(e.high, kind="stable")
    high = e.high[order]
    doubtful = seen.holds(high)
    again = high[1:] == high[:-1]
    doubtful[1:] |= again
    doubtful[:-1] |= again
    asked = order[doubtful]
    if not len(asked):
        return repeat, 0
    counted = {**seen.occurrences(np.unique(e.high[asked]), since=since)}
    in_time = np.lexsort((records.offset[asked], records.partition[asked], e.timestamp[asked]))
    for i in asked[in_time]:
        at, digest = int(e.timestamp[i]), int(e.digest[i])
        before = counted.setdefault((int(e.high[i]), int(e.low[i])), [])
        repeated = [d for t, d in before if abs(at - t) <= horizon]
        repeat[i] = bool(repeated)
        differing += bool(repeated) and digest not in repeated
        if every or not repeated:
            before.append((at, digest))
    return repeat, differing


class Deduplicator:
    """Decides of each commit of one source. For the holder of the speed lock.

    Args:
        folder: where the index lies.
        source: its event id is the id meant.
        counted: reads the records again that adjoining commits counted.
        every: a repeat can be repeated, too.
        decoder: how its records are decoded; as the source is declared where not given.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        ledger: LedgerStore,
        counted: Callable[[Sequence[LedgerRow]], Candidates],
        *,
        every: bool = False,
        decoder: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder, self._ledger, self._counted = folder, ledger, counted
        self._decoder = decoder or source.as_json()
        self._decoder_id = decoder_id(self._decoder)
        self._every, self._horizon = every, source.horizon // timedelta(milliseconds=1)
        self._pending: tuple[Candidates, npt.NDArray[np.bool_]] | None = None
        self._index: Seen | None = None
        self._seq, self._clock = -1, LogClock(self._horizon)

    @classmethod
    def of(
        cls,
        source: Source,
        ledger: LedgerStore,
        layout: Layout,
        log: Log,
        spark: SparkSession,
        *,
        rule: str = "",
        folder: str = "event_id",
        decoder: Mapping[str, Any] | None = None,
        without: Callable[[Candidates, Sequence[LedgerRow]], Candidates] = lambda found, _: found,
    ) -> Deduplicator:
        """The one of a source's event id, or of a rule that wants it to be unique.

        Args:
            without: takes out what was not counted either, though the source's own repeats do not tell.
        """
        decoder = decoder or source.as_json()

        def counted(rows: Sequence[LedgerRow]) -> Candidates:
            span = Range(rows[0].range.from_, rows[-1].to)
            gaps.refuse_unknown(layout, source, log, span)
            records = records_of(source, span, layout, log, spark)
            found = candidates(decode(records, decoder), source.event_id)
            superseded = supersede.frame(layout, source.name, ledger.rows(), spark)
            found = found.without(recorded(layout, source.name, rows, spark)).without(superseded)
            return without(found, rows)

        place = layout.seen(source.name) / (_digest(rule) if rule else folder)
        return cls(place, source, ledger, counted, every=bool(rule), decoder=decoder)

    def decide(self, found: Candidates) -> Repeats:
        """Which of the records that follow the ledger's end are repeats."""
        seen = self._followed()
        repeat, differing = decided(found, seen, horizon=self._horizon, since=self._clock.since, every=self._every)
        self._pending = found, repeat
        again = found.take(np.flatnonzero(repeat))
        places = pa.table({"_partition": again.partition, "_offset": again.offset})
        return Repeats(places, max(again.entries.timestamp.tolist(), default=None), differing)

    def learn(self, row: LedgerRow) -> None:
        """Takes in what `decide` found, now that `row` has published it."""
        if self._pending is None or self._index is None:
            raise RuntimeError("learn comes after decide")
        found, repeat = self._pending
        kept = found if self._every else found.take(np.flatnonzero(~repeat))
        self._pending = None
        self._seq = row.seq
        self._clock.passed(row)
        self._add(self._index, kept, [row])

    def _followed(self) -> Seen:
        """The index, with every commit that the ledger holds: those that this process did not make are read again."""
        last = self._ledger.last()
        if self._index is not None and last is not None and last.seq == self._seq:
            return self._index
        rows = self._ledger.rows(after=self._seq)
        if self._index is not None and any(map(self._forgets, rows)):
            self._index, self._seq, self._clock = None, -1, LogClock(self._horizon)
            rows = self._ledger.rows()
        for row in rows:
            self._clock.passed(row)
        commits = [row for row in rows if row.kind == "commit" and row.seq >= self._clock.since]
        seen = self._opened(rows, commits) if self._index is None else self._index
        through = seen.through
        for some in _slices([row for row in commits if not through or row.seq > through[0]]):
            self._add(seen, self._counted(some), some)
        self._index, self._seq = seen, rows[-1].seq
        return seen

    def _opened(self, rows: Sequence[LedgerRow], alive: Sequence[LedgerRow]) -> Seen:
        """The index on disk; empty where it is of another declaration or ledger, or does not hold all that matters."""
        folder = self._folder / _digest([self._decoder, self._horizon, FORMAT])
        for other in self._folder.glob("*"):
            if other != folder:
                shutil.rmtree(other)
        seen = Seen(folder)
        known = any((row.seq, row.commit_id) == seen.through for row in rows)
        forgets = any(self._forgets(row) and row.seq > seen.through[0] for row in rows) if seen.through else False
        if not known or forgets or (alive and seen.after >= alive[0].seq):
            seen.clear()
        return seen

    def _forgets(self, row: LedgerRow) -> bool:
        """Whether records that the index may hold do not count from `row` on: in quarantine, they decode well now."""
        return row.kind == "supersede" and row.decoder != self._decoder_id

    def _add(self, seen: Seen, counted: Candidates, rows: Sequence[LedgerRow]) -> None:
        last, through = rows[-1], seen.through
        seen.add(
            replace(counted.entries, row=_rows_of(counted, rows)),
            after=through[0] if through else rows[0].seq - 1,
            seq=last.seq,
            commit_id=last.commit_id,
            since=self._clock.since,
        )


def recorded(layout: Layout, source: str, rows: Iterable[LedgerRow], spark: SparkSession) -> DataFrame | None:
    """The places, columns of POSITION, of all repeats that these commits recorded; None where they recorded none."""
    ids = [row.commit_id for row in rows if row.books.repeats]
    if not ids:
        return None
    named = spark.createDataFrame(pa.table({"_commit_id": ids}))
    places = spark.read.format("delta").load(str(layout.repeats(source)))
    return places.join(named, ["_commit_id"], "left_semi").select(*POSITION)


def candidates(rows: DataFrame, event_id: Sequence[str]) -> Candidates:
    """Those of decoded rows that views see and that have an id, with hashes of it and of their bytes."""
    columns = ", ".join(f"`{c}`" for c in event_id)
    there = " and ".join(f"`{c}` is not null" for c in event_id)
    found = arrow(
        rows.where(f"{REASON} is null and {there}").selectExpr(
            *POSITION,
            "unix_millis(_timestamp) as _timestamp",
            "_digest" if "_digest" in rows.columns else DIGEST,
            f"xxhash64({columns}) as _high",
            f"xxhash64('low', {columns}) as _low",
        )
    )
    partition, offset, timestamp, digest, high, low = (c.to_numpy() for c in found.itercolumns())
    high, low = high.view(np.uint64), low.view(np.uint64)
    return Candidates(partition, offset, Entries(high, low, digest, timestamp, np.zeros(len(high), np.int64)))


def _places(partition: Ints, offset: Ints) -> Ints:
    """One number for each record of a topic."""
    return (partition.astype(np.int64) << 48) | offset


def _digest(of: Any) -> str:
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


def _rows_of(records: Candidates, rows: Sequence[LedgerRow]) -> Ints:
    """For each record the seq of the row, one of adjoining ones, in whose range it lies."""
    found, seqs = np.zeros(len(records.entries), np.int64), np.array([row.seq for row in rows], np.int64)
    for p in np.unique(records.partition):
        here = np.flatnonzero(records.partition == p)
        ends = np.array([row.to[int(p)] for row in rows], np.int64)
        found[here] = seqs[np.searchsorted(ends, records.offset[here], side="right")]
    return found


def _slices(rows: Sequence[LedgerRow]) -> Iterator[list[LedgerRow]]:
    """Commits in their order, so many at a time as are not much more than SLICE records."""
    some, held = list[LedgerRow](), 0
    for row in rows:
        some.append(row)
        held += row.books.consumed
        if held >= SLICE:
            yield some
            some, held = [], 0
    if some:
        yield some
