"""Records in quarantine that corrected ones take the place of: no version counts them any more.

A row of kind `supersede` is appended to the ledger before anything is sent; the places it names are written before the
row, under its commit id, as repeats are. That every answer leaves them out needs no more than this:

- A version in force at the row does not count them: it had them in quarantine, which is looked at again whenever
  another writer's row came first, so nothing lies between the look and the row.
- A version attached later begins with a run whose cut is at or after the row before its attach row, and so at or after
  the supersede row. That run, as every run, leaves out what any supersede row of the ledger names.
- A version that was detached before and comes back is one attached later: the row does not name it, so it cannot be
  gone back to (rule 5). Only what answers now may have its runs joined by new ones, so it is looked at like those in
  force.

The record stays what it was in the books: consumed, and in quarantine.

What was sent and acknowledged is noted after it. No answer depends on that: it tells of resends that were cut short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import CommitId, LedgerRow
from dovetail.shared.position import RecordId
from dovetail.shared.states import REPEATS, stamped
from dovetail.shared.tables import AppendTable, Layout

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PLACES = REPEATS.names[-2:]
SENT = pa.schema(
    [*(REPEATS.field(name) for name in PLACES), ("sent_partition", pa.int32()), ("sent_offset", pa.int64())]
)
FILES = 20
"""A table of more files than this has them joined: each resend adds one."""
NOTED_FROM = 4
"""The ledger's format from which on what was sent is noted."""


def write(layout: Layout, source: str, places: Iterable[RecordId], commit_id: CommitId, seq: int) -> None:
    """Writes places under a commit id. For the holder of the lock `supersede-SOURCE`."""
    rows = pa.Table.from_pylist([dict(zip(PLACES, (p.partition, p.offset), strict=True)) for p in places])
    AppendTable(layout.superseded(source), REPEATS).append(stamped(rows, commit_id, seq).select(REPEATS.names))


def superseded(layout: Layout, source: str, ids: Iterable[CommitId]) -> pa.Table:
    """The places, `_partition` and `_offset`, that the rows with these commit ids name, with their `_seq`."""
    named = pa.array(list(ids), pa.string())
    table = AppendTable(layout.superseded(source), REPEATS)
    stored = table.read(pc.field("_commit_id").isin(named)) if len(named) else REPEATS.empty_table()
    return stored.select([*PLACES, "_seq"])


def note_sent(layout: Layout, source: str, sent: Mapping[RecordId, RecordId]) -> None:
    """Notes which corrected records were acknowledged. For the holder of the lock `supersede-SOURCE`."""
    places = [(old.partition, old.offset, new.partition, new.offset) for old, new in sent.items()]
    if places:
        rows = [dict(zip(SENT.names, place, strict=True)) for place in places]
        AppendTable(layout.sent(source), SENT).append(pa.Table.from_pylist(rows, schema=SENT))
        failpoint("resend.noted")


def tidy(layout: Layout, source: str) -> None:
    """Joins the files of both tables where there are many. For the holder of the lock `supersede-SOURCE`."""
    for table in (AppendTable(layout.superseded(source), REPEATS), AppendTable(layout.sent(source), SENT)):
        if table.files > FILES:
            table.compact()
            failpoint("compact.table_joined")


def noted(ledger: pa.Table) -> list[CommitId]:
    """The rows of a ledger that supersede records, by their commit ids, but for those of before it was noted."""
    noting = pc.and_(pc.equal(ledger["kind"], "supersede"), pc.greater_equal(ledger["format"], NOTED_FROM))
    return [CommitId(i) for i in ledger.filter(noting)["commit_id"].to_pylist()]


def unsent(layout: Layout, source: str, ids: Iterable[CommitId]) -> list[RecordId]:
    """The places that the rows with these commit ids name, and of which no sending is noted, in their order."""
    sent = AppendTable(layout.sent(source), SENT).read(columns=PLACES)
    named, done = (
        {tuple(row[c] for c in PLACES) for row in rows.to_pylist()} for rows in (superseded(layout, source, ids), sent)
    )
    return [RecordId(*place) for place in sorted(named - done)]


def told(layout: Layout, source: str, rows: Iterable[LedgerRow], record: RecordId) -> str:
    """By which of these ledger rows the record was put right, and as what it was sent; nothing where it was not."""
    places = superseded(layout, source, (row.commit_id for row in rows if row.kind == "supersede")).to_pylist()
    seqs = [row["_seq"] for row in places if tuple(row[c] for c in PLACES) == (record.partition, record.offset)]
    if not seqs:
        return ""
    sent = AppendTable(layout.sent(source), SENT).read(
        (pc.field(PLACES[0]) == record.partition) & (pc.field(PLACES[1]) == record.offset)
    )
    places_sent = [(row["sent_partition"], row["sent_offset"]) for row in sent.to_pylist()]
    return f"put right in seq {seqs[0]}" + (f", sent as {RecordId(*max(places_sent))}" if places_sent else "")


def frame(layout: Layout, source: str, rows: Iterable[LedgerRow], spark: SparkSession) -> DataFrame | None:
    """The places, columns of POSITION, that these ledger rows name; None where they name none."""
    places = superseded(layout, source, (row.commit_id for row in rows if row.kind == "supersede"))
    return spark.createDataFrame(places.select(PLACES)) if places.num_rows else None
