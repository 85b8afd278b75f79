"""What is in quarantine: by reason, record by record, as a file, and as a share of what was read. Needs no Spark."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared import duration
from dovetail.shared.errors import DeclarationError, UsageError
from dovetail.shared.ledger import CommitId
from dovetail.shared.ledger_table import SCHEMA as LEDGER
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import RecordId
from dovetail.shared.states import FAILING, QUARANTINE, failed_in
from dovetail.shared.supersede import PLACES, noted, superseded, unsent
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import load

PLACED = [("partition", pa.int32()), ("offset", pa.int64())]
ORDER = [(c, "ascending") for c in ("_seq", "partition", "offset")]
GROUPED = ["_seq", "partition", "offset", "timestamp", "reason"]
RECENT = 100
"""Commits that `stats` takes as the newest ones."""


@dataclass(frozen=True)
class Group:
    """The records with one reason, those still there or those put right by a resend.

    `first` and `last` are in the order of the ledger; `oldest` and `newest` are Kafka's timestamps, `found` is when the
    last of them was committed.
    """

    source: str
    reason: str
    put_right: bool
    records: int
    first: RecordId
    last: RecordId
    oldest: datetime
    newest: datetime
    found: datetime


@dataclass(frozen=True)
class Held:
    """One record in quarantine, byte for byte.

    `seq`, `found` and `decoder` are of the commit that put it there; `put_right` is the seq of the row that says so.
    """

    place: RecordId
    reason: str
    timestamp: datetime
    key: bytes | None
    value: bytes | None
    seq: int
    found: datetime
    decoder: str
    put_right: int | None


@dataclass(frozen=True)
class Share:
    """How many records came to quarantine for one reason, put right or not, of all that were consumed."""

    source: str
    reason: str
    records: int
    of_all: float
    recent: int
    of_recent: float


class Quarantine:
    """The quarantine of one source as its ledger stands now: what no ledger row names is not there (rule 1)."""

    def __init__(self, layout: Layout, source: str) -> None:
        self._layout, self.source = layout, source
        columns = ["seq", "kind", "commit_id", "consumed", "quarantined", "decoder", "at", "format"]
        self._ledger = AppendTable(layout.ledger(source), LEDGER).read(columns=columns).sort_by("seq")
        self._table = AppendTable(layout.quarantine(source), QUARANTINE)
        rows = self._ledger.filter(pc.equal(self._ledger["kind"], "supersede"))
        self._right = superseded(layout, source, map(CommitId, rows["commit_id"].to_pylist()))

    def groups(self) -> list[Group]:
        """By reason, what is still there and what was put right; most records first."""
        return self._grouped(self._visible(GROUPED))

    def raising(self) -> list[Group]:
        """By reason, which names the view, the records that one view raised for; the other views count them."""
        named = pc.field("_commit_id").isin(self._ledger["commit_id"].combine_chunks())
        of_commits = AppendTable(self._layout.failing(self.source), FAILING).read(named, GROUPED)
        rows = pa.concat_tables([of_commits, self._failed_in_runs().select(GROUPED)]).sort_by(ORDER)
        return self._grouped(rows.append_column("right", pa.repeat(False, rows.num_rows)))

    def unsent(self) -> list[RecordId]:
        """The records that were put right and of whose corrected ones no acknowledgement is noted."""
        return unsent(self._layout, self.source, noted(self._ledger))

    def _failed_in_runs(self) -> pa.Table:
        """What the runs that answer for views of the source have set apart."""
        parts = [FAILING.empty_table()]
        for folder in self._layout.root.glob("views/*"):
            manifest = DeltaManifest(self._layout.manifest(folder.name)).read()
            runs = [run for run in manifest.runs if run.failed] if manifest else []
            if runs and load(self._layout.version(runs[0].version)).source == self.source:
                parts.append(failed_in(self._layout, runs))
        return pa.concat_tables(parts)

    def _grouped(self, rows: pa.Table) -> list[Group]:
        named = ["partition", "offset"]
        wanted = [(n, how) for n in named for how in ("first", "last")] + [("offset", "count")]
        wanted += [("timestamp", "min"), ("timestamp", "max"), ("_seq", "max")]
        found = rows.group_by(["reason", "right"], use_threads=False).aggregate(wanted).to_pylist()
        at = dict(zip(self._ledger["seq"].to_pylist(), self._ledger["at"].to_pylist(), strict=True)) if found else {}
        groups = [
            Group(
                self.source,
                g["reason"],
                g["right"],
                g["offset_count"],
                RecordId(*(g[f"{n}_first"] for n in named)),
                RecordId(*(g[f"{n}_last"] for n in named)),
                g["timestamp_min"],
                g["timestamp_max"],
                at[g["_seq_max"]],
            )
            for g in found
        ]
        return sorted(groups, key=lambda g: (g.put_right, -g.records, g.reason))

    def record(self, place: RecordId) -> Held:
        """The one at this place; raises UsageError where it is not in quarantine."""
        return self.records([place])[0]

    def records(self, places: Sequence[RecordId]) -> list[Held]:
        """Those at these places, in their order; raises UsageError where one is not in quarantine."""
        near = (pc.field(n).isin(pa.array({getattr(p, n) for p in places}, t)) for n, t in PLACED)
        found = {held.place: held for held in self._held(self._visible(where=reduce(and_, near)))}
        for place in places:
            if place not in found:
                raise UsageError(
                    f"{place} of {self.source} is not in quarantine", next=f"dovetail quarantine list {self.source}"
                )
        return [found[place] for place in places]

    def waiting(
        self, *, reason: str | None = None, since: datetime | None = None, put_right: bool = False
    ) -> Iterator[Held]:
        """The records that are still there, in the order of the ledger.

        Args:
            reason: those with this one.
            since: those that Kafka took at this time or later.
            put_right: also those that a resend put right.

        Raises:
            UsageError: there is none for that reason.
        """
        where = pc.scalar(True)
        if reason is not None:
            where = where & (pc.field("reason") == reason)
        if since is not None:
            where = where & (pc.field("timestamp") >= pa.scalar(since, QUARANTINE.field("timestamp").type))
        rows = self._visible(where=where)
        if reason is not None and not rows.num_rows:
            known = [f"'{g.reason}'" for g in self.groups() if not g.put_right]
            raise UsageError(
                f"no record of {self.source} is in quarantine for '{reason}'",
                why=f"the reasons are {', '.join(known)}" if known else "nothing is in quarantine",
                next=f"dovetail quarantine list {self.source}",
            )
        return self._held(rows if put_right else rows.filter(pc.invert(rows["right"])))

    def shares(self) -> list[Share]:
        """By reason, over all commits and over the newest RECENT; most records first."""
        commits = self._ledger.filter(pc.equal(self._ledger["kind"], "commit"))
        recent = commits.slice(max(0, commits.num_rows - RECENT))
        rows = self._visible(["_commit_id", "reason"])
        every = Counter[str](rows["reason"].to_pylist())
        late = Counter[str](rows.filter(pc.is_in(rows["_commit_id"], recent["commit_id"]))["reason"].to_pylist())
        consumed, lately = (pc.sum(c["consumed"]).as_py() or 0 for c in (commits, recent))
        return [
            Share(self.source, reason, n, n / consumed, late[reason], late[reason] / lately if lately else 0.0)
            for reason, n in sorted(every.items(), key=lambda item: (-item[1], item[0]))
        ]

    def _visible(self, columns: list[str] | None = None, where: Any = None) -> pa.Table:
        """The rows whose commit the ledger names, in its order; `right` says which were put right."""
        ids = self._ledger.filter(pc.greater(self._ledger["quarantined"], 0))["commit_id"]
        named = pc.field("_commit_id").isin(ids.combine_chunks())
        rows = self._table.read(named if where is None else named & where, columns)
        if {"partition", "offset"} <= {*rows.column_names}:
            rows = rows.sort_by(ORDER)
            right = _number(*(self._right[c] for c in PLACES))
            rows = rows.append_column("right", pc.is_in(_number(rows["partition"], rows["offset"]), right))
        return rows

    def _held(self, rows: pa.Table) -> Iterator[Held]:
        if not rows.num_rows:
            return
        found = {r["seq"]: (r["at"], r["decoder"] or "") for r in self._ledger.to_pylist()}
        right = {(r["_partition"], r["_offset"]): r["_seq"] for r in self._right.to_pylist()}
        for batch in rows.to_batches(max_chunksize=1000):
            for r in batch.to_pylist():
                at, decoder = found[r["_seq"]]
                place = RecordId(r["partition"], r["offset"])
                put_right = right.get((place.partition, place.offset))
                yield Held(
                    place, r["reason"], r["timestamp"], r["key"], r["value"], r["_seq"], at, decoder, put_right
                )  # fmt: skip


def line(held: Held) -> str:
    """A record as one line of JSON that `resend --file` reads; every byte of it, and nothing a terminal obeys."""
    document = {
        "position": str(held.place),
        "timestamp": held.timestamp.isoformat(),
        "reason": held.reason,
        "key_base64": encoded(held.key),
        "value_base64": encoded(held.value),
    }
    if (value := text(held.value)) is not None:
        document["value"] = value
    return json.dumps(document).replace("\x7f", "\\u007f")


def since(given: str) -> datetime:
    """A time, as in 2026-03-01T09:00:00Z, UTC where it names no zone; or so long before now, as in 2h.

    Raises:
        UsageError: it is neither.
    """
    try:
        return datetime.now(UTC) - duration.parse(given)
    except DeclarationError:
        pass
    try:
        when = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError(
            f"'{given}' is no time: write 2026-03-01, 2026-03-01T09:00:00Z, or 2h for so long ago"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def text(data: bytes | None) -> str | None:
    """The text that the bytes are; None where they are none."""
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def printable(data: bytes | None, *, most: int | None = None) -> str:
    """Bytes as a terminal may show them: text with what is no plain character escaped, or hex; cut after `most`.

    >>> printable(b'{"a": "\\x1b[31m"}'), printable(b"\\xff\\x00"), printable(None)
    ('{"a": "\\\\x1b[31m"}', 'hex ff00', 'null')
    """
    if data is None:
        return "null"
    found = text(data)
    shown = inert(found) if found is not None else f"hex {data.hex()}"
    return shown if most is None or len(shown) <= most else f"{shown[:most]}… ({len(data):,} bytes)"


def inert(shown: str) -> str:
    """Text with every character escaped that a terminal might obey instead of showing it.

    >>> inert("red \\x1b[31m, \\u202eback, new\\nline, é")
    'red \\\\x1b[31m, \\\\u202eback, new\\\\nline, é'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in shown)


def _number(partition: pa.ChunkedArray, offset: pa.ChunkedArray) -> pa.Array:
    """One number for each place."""
    numbers = pc.add(pc.multiply(pc.cast(partition, pa.int64()), 1 << 48), offset)
    return numbers.combine_chunks() if isinstance(numbers, pa.ChunkedArray) else numbers
