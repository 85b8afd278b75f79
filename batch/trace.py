"""One record's whole path: which commit read it, what became of it there, where it counts and who answers for it.

What the commit decided is read from its tables; what each view makes of the record, see `counted.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from dovetail.batch.counted import REPEAT, Answered, Held, answered
from dovetail.batch.master import DeltaMaster
from dovetail.shared import gaps, supersede
from dovetail.shared.claims import Claims
from dovetail.shared.declare import Source
from dovetail.shared.decode import META, POSITION, REASON, decode
from dovetail.shared.engine import arrow
from dovetail.shared.fold import without
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import is_held
from dovetail.shared.log import Extent, Log, another
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.project import Project
from dovetail.shared.records import records_of, within
from dovetail.shared.repeats import recorded
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout

HOLE = "a hole, of a transaction or of compaction"
Fate = Literal["kept", "quarantined", "dropped", "repeat"]


@dataclass(frozen=True)
class Trace:
    """What became of one record.

    `missing` is why there is no such record, `unread` why no commit has it yet; `next` helps. Where both are empty,
    ledger row `seq` read it, at `at` (seconds since 1970); `reason` is why it is not kept, `of` what a repeat repeats,
    where that is found; `deduplicated` is whether the source looks for repeats. `put_right` is by which row a corrected
    record took its place, so that no view counts it.
    `file` is where an imported record stood; no ledger row has read it.
    """

    source: str
    record: RecordId
    missing: str = ""
    unread: str = ""
    next: str = ""
    seq: int | None = None
    at: float | None = None
    deduplicated: bool = False
    fate: Fate | None = None
    reason: str = ""
    of: RecordId | None = None
    put_right: str = ""
    views: tuple[Answered, ...] = ()
    file: str = ""


def trace(
    project: Project, source: Source, record: RecordId, log: Callable[[], Log], spark: Callable[[], SparkSession]
) -> Trace:
    """Follows one record.

    Args:
        log, spark: give what they are called; asked only where it is needed, for an engine takes ten seconds to start.

    Raises:
        IntegrityError: the topic is another one than the one that was read.
        UserCodeError: the transform of a view raises at this record.
    """
    layout = project.layout
    manifests = {v.name: DeltaManifest(layout.manifest(v.name)).read() for v in project.views_of(source)}
    rows = DeltaLedger(layout.ledger(source.name)).rows()
    if not rows:
        return Trace(source.name, record, f"nothing of {source.name} was ever read", next="dovetail dev")
    look = _Look(layout, source, record, rows, log, spark)
    row = next((r for r in rows if r.range.includes(record.partition, record.offset)), None)
    if row is None:
        return look.unread()
    if row.kind == "lost":
        return Trace(source.name, record, f"passed as lost in seq {row.seq}: {row.note}", seq=row.seq, at=row.at)
    raw = look.raw()
    if raw is None:
        if any(p.includes(record.partition, record.offset) for p in Claims(layout.claims(source.name)).passed()):
            what = f"read in seq {row.seq}, and counted if it was whole; its bytes are in neither Kafka nor the archive"
            return Trace(source.name, record, what, seq=row.seq, at=row.at)
        if look.dropped():
            what = f"read in seq {row.seq}, and counted if it was whole; Kafka dropped it before the archive read it"
            return Trace(source.name, record, what, next="dovetail status", seq=row.seq, at=row.at)
        return Trace(source.name, record, f"{HOLE}, in what seq {row.seq} read: {row.range}", seq=row.seq, at=row.at)
    held = Held(record, raw, spark())
    fate, reason = look.fate(row, held)
    put_right = supersede.told(layout, source.name, rows, record)
    out = put_right or (REPEAT if fate == "repeat" else "")
    views = tuple(
        answered(layout, manifest, rows, held, out=out)
        if manifest
        else Answered(name, problem="has never answered", next=f"dovetail batch {name}")
        for name, manifest in manifests.items()
    )
    of = look.repeated(row, held) if fate == "repeat" and source.event_id else None
    return Trace(
        source.name, record, seq=row.seq, at=row.at, deduplicated=bool(source.event_id),
        fate=fate, reason=reason, of=of, put_right=put_right, views=views,
    )  # fmt: skip


@dataclass(frozen=True)
class _Look:
    """A look at one record from the log's side. `rows` are the whole ledger."""

    layout: Layout
    source: Source
    record: RecordId
    rows: Sequence[LedgerRow]
    log: Callable[[], Log]
    spark: Callable[[], SparkSession]

    def unread(self) -> Trace:
        """What is to be said of a record that no ledger row has."""
        p, o, name = self.record.partition, self.record.offset, self.source.name
        origin, position = self.rows[0].to, self.rows[-1].to
        if origin.includes(p, o):
            return Trace(name, self.record, f"before the origin, {RecordId(p, origin[p])}, where reading began")
        extent = self._extent()
        if p not in extent.end:
            partitions = ", ".join(map(str, extent.end))
            return Trace(name, self.record, f"topic {self.source.topic} has no partition {p}. Known: {partitions}")
        if not extent.end.includes(p, o):
            return Trace(name, self.record, f"past the end of the log, which is {RecordId(p, extent.end[p])}")
        if self.raw() is None:
            if not self.dropped():
                return Trace(name, self.record, HOLE)
            begin = RecordId(p, extent.begin[p])
            what = f"dropped by Kafka before it was read: the log begins at {begin}"
            return Trace(name, self.record, what, next="dovetail status")
        runs = is_held(self.layout.lock(f"speed-{name}"))
        return Trace(
            name,
            self.record,
            unread=f"not yet read: speed {'runs' if runs else 'is stopped'}, at {RecordId(p, position[p])}",
            next="ask again in a second" if runs else f"dovetail speed {name}",
        )

    def raw(self) -> pa.Table | None:
        """The record as it came, columns of META: from the master, else from Kafka; None where it is in neither."""
        p, o = self.record.partition, self.record.offset
        master = DeltaMaster(self.layout, self.source, self.spark())
        if master.exists() and gaps.held(self.layout, self.source.name).includes(p, o):
            archived = arrow(master.bytes_of(self._span).limit(1))
            if archived.num_rows:
                return archived
        extent = self._extent()
        if not Range(extent.begin.up_to(extent.end), extent.end).includes(p, o):
            return None
        records = records_of(self.source, self._span, self.layout, self.log(), self.spark())
        found = arrow(records.select(*META).limit(1))
        return found if found.num_rows else None

    def dropped(self) -> bool:
        """Whether Kafka holds nothing of its place any more, and the archive has not come to it."""
        p, o = self.record.partition, self.record.offset
        return self._extent().begin.includes(p, o) and not gaps.held(self.layout, self.source.name).includes(p, o)

    def fate(self, row: LedgerRow, held: Held) -> tuple[Fate, str]:
        """What the commit decided, and why."""
        p, o = self.record.partition, self.record.offset
        for each in DeltaStates(self.layout, self.source.name).quarantined([row.commit_id]).to_pylist():
            if (each["partition"], each["offset"]) == (p, o):
                return "quarantined", each["reason"]
        repeats = recorded(self.layout, self.source.name, [row], held.spark)
        if repeats is not None and repeats.where(within(self._span)).count():
            return "repeat", ""
        # Of what was dropped only the number is stored: the record is judged again, where the rules are still the same.
        judge = Judge(self.source, DeltaLedger(self.layout.ledger(self.source.name)))
        _, reason = held.decoded(judge.decoder)
        return ("dropped", reason) if row.decoder == judge.decoder_id and reason in judge.dropping else ("kept", "")

    def repeated(self, row: LedgerRow, held: Held) -> RecordId | None:
        """The first record that was counted and has the same event id within the horizon; None if there is none now."""
        decoder, at = self.source.as_json(), _millis(held.raw)
        horizon = self.source.horizon // timedelta(milliseconds=1)
        before = [r for r in self.rows if r.seq <= row.seq and (r.newest or 0) >= at - horizon]
        records = records_of(
            self.source, Range(before[0].range.from_, row.to), self.layout, self.log(), held.spark
        ).where(f"abs(unix_millis(_timestamp) - {at}) <= {horizon}")
        counted = without(recorded(self.layout, self.source.name, before, held.spark), decode(records, decoder))
        mine, _ = held.decoded(decoder)
        ids = {f"_id_{n}": f"cast(`{column}` as string)" for n, column in enumerate(self.source.event_id)}
        same = F.expr(" and ".join(f"{sql} = {name}" for name, sql in ids.items()))
        alike = counted.where(f"{REASON} is null").join(
            mine.selectExpr(*(f"{sql} as {name}" for name, sql in ids.items())), same, "left_semi"
        )
        first = arrow(alike.orderBy("_timestamp", *POSITION).select(*POSITION).limit(1)).to_pylist()
        return RecordId(*(first[0][c] for c in POSITION)) if first else None

    @property
    def _span(self) -> Range:
        p, o = self.record.partition, self.record.offset
        return Range(Position({p: o}), Position({p: o + 1}))

    def _extent(self) -> Extent:
        extent, read = self.log().extent(self.source.topic), self.rows[-1].topic_id
        if extent.topic_id != read:
            raise another(self.source.topic, read, extent.topic_id)
        return extent


def _millis(record: pa.Table) -> int:
    return int(record["_timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())[0].as_py()) // 1000
