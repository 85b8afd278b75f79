"""Records that are gone: neither the log nor the master holds them any more. They are passed by a decision on record.

What speed had read of them stays counted, though what repeats it can be told no more once the index of ids is made
anew; of the rest every later receipt says that it is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

import pyarrow.dataset as ds
from deltalake import DeltaTable

from dovetail.shared import commit
from dovetail.shared.claims import Claims
from dovetail.shared.declare import Source
from dovetail.shared.errors import IntegrityError, NotYet, UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held as lock
from dovetail.shared.log import Extent, Log, refuse_another
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout


@dataclass(frozen=True)
class Gap:
    """What is gone. `lost` is the part that speed never read: from the ledger's end to where the log begins."""

    gone: Range
    lost: Range

    @property
    def counted(self) -> bool:
        """Whether speed has read some of it in time."""
        return self.lost.offsets < self.gone.offsets


def held(layout: Layout, source: str) -> Position:
    """Up to where the master holds what came, but for what was passed; the origin where nothing was archived yet."""
    claim = Claims(layout.claims(source)).last()
    if claim is None:
        first = DeltaLedger(layout.ledger(source)).first()
        claim = first.to if first else Position()
    return Position({**claim, **beyond(layout.master(source), claim)})


def beyond(master: Path, claim: Position) -> Position:
    """The largest offset that a master holds plus one, per partition, where it lies above the claim."""
    if not DeltaTable.is_deltatable(str(master)):
        return Position()
    partition, offset = ds.field("_partition"), ds.field("_offset")
    above = reduce(or_, ((partition == p) & (offset >= o) for p, o in claim.items()), ~partition.isin([*claim]))
    found = DeltaTable(str(master)).to_pyarrow_dataset().to_table(filter=above, columns=["_partition", "_offset"])
    last = found.group_by("_partition").aggregate([("_offset", "max")]).to_pylist()
    return Position({row["_partition"]: row["_offset_max"] + 1 for row in last})


def accept(layout: Layout, source: Source, log: Log, given: Range, *, because: str, dry_run: bool = False) -> Gap:
    """Passes what is gone, for speed by a row `lost` in the ledger and for the archive by a claim.

    Killed between the two, the same command does the second half.

    Raises:
        UsageError: what is gone is not what was given, or nothing is.
        IntegrityError: the topic is another one than the one that was read.
        Busy: speed or the archive of the source runs.
    """
    if not because.strip():
        raise UsageError(
            "say why these records may be missing", next='--because "retention of an hour, a day\'s outage"'
        )
    name = source.name
    with (
        lock(layout.lock(f"speed-{name}"), f"the speed job of {name}"),
        lock(layout.lock(f"archive-{name}"), f"the archive of {name}"),
    ):
        ledger = DeltaLedger(layout.ledger(name))
        last = ledger.last()
        if last is None:
            raise NotYet(f"{name} was never read", next=f"dovetail speed {name}")
        extent = log.extent(source.topic)
        refuse_another(extent, last.topic_id, last.to, reader="the speed layer")
        gap = found(extent, last, held(layout, name), source=name)
        if given.partitions() != gap.gone.partitions():
            raise UsageError(
                f"what is gone of {name} is {gap.gone}, not {given}",
                where=f"topic {source.topic}",
                next=f"dovetail accept-gap {name} {gap.gone}, if that may be",
            )
        if not dry_run:
            _pass(ledger, Claims(layout.claims(name)), gap, because)
        return gap


def found(extent: Extent, last: LedgerRow, held: Position, *, source: str) -> Gap:
    """What is gone, where the master holds everything up to `held` and `last` is the ledger's last row.

    Raises:
        UsageError: nothing is, or the master still holds what speed has to read before it can pass the gap.
    """
    gone = extent.gone(held)
    waiting = Range(last.to, Position({p: max(o, min(gone.from_[p], extent.begin[p])) for p, o in _all(last.to, gone)}))
    if not waiting.empty:
        raise UsageError(
            f"the archive holds {waiting}, which speed has not read: that is not lost",
            next=f"dovetail speed {source} takes it from the archive, and so does dovetail batch",
        )
    if gone.empty:
        raise UsageError(f"nothing of {source} is gone: log and archive join", next="dovetail status")
    return Gap(gone, Range(last.to, Position({p: max(o, _end(gone, p)) for p, o in _all(last.to, gone)})))


def refuse_unknown(layout: Layout, source: Source, log: Log, span: Range) -> None:
    """Raises IntegrityError where nobody holds some records of `span` any more, and nobody has accepted that yet."""
    gone = log.extent(source.topic).gone(held(layout, source.name))
    if not span.overlap(gone).empty:
        raise IntegrityError(
            f"the ids of {span.overlap(gone)} are needed, so that what repeats them does not count, and are gone",
            where=f"topic {source.topic}",
            why="Kafka dropped these records before the archive read them, and the index of ids has to be made anew",
            next=f'dovetail accept-gap {source.name} {gone} --because "…": what repeats them will count',
        )


def unarchived(rows: Iterable[LedgerRow], passed: Sequence[Range]) -> list[LedgerRow]:
    """The commits that read records which the master will never hold: their states are the only copy."""
    return [row for row in rows if row.kind == "commit" and not all(row.range.overlap(p).empty for p in passed)]


def _pass(ledger: DeltaLedger, claims: Claims, gap: Gap, because: str) -> None:
    if not gap.lost.empty:
        commit.pass_lost(ledger, gap.lost, because=because)
    failpoint("accept_gap.ledger_written")
    claims.pass_(gap.gone, why=because)
    failpoint("accept_gap.claimed")


def _all(position: Position, gone: Range) -> Iterable[tuple[int, int]]:
    return position.with_partitions(gone.to).items()


def _end(gone: Range, partition: int) -> int:
    """Where what is gone of a partition ends; 0 where nothing is."""
    return gone.to[partition] if gone.to[partition] > gone.from_[partition] else 0
