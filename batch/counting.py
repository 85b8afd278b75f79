"""How many records of the master lie in the range of each commit.

Only where each record lies is read, and by Arrow: it takes a tenth of what the engine needs for these two columns, and
leaves that to the run that is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
from deltalake import DeltaTable

from dovetail.shared.decode import POSITION
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.places import opened
from dovetail.shared.position import Range
from dovetail.shared.seen import Ints
from dovetail.shared.tables import extents

Places = tuple[Ints, Ints]
"""The partitions and the offsets of some records."""
BATCH_ROWS = 1_000_000


def by_commit(rows: Sequence[LedgerRow], places: Iterable[Places]) -> dict[int, int]:
    """How many of the places lie in the range of each of `rows`, which follow one another, by seq; where any do."""
    ends, found = dict[int, Ints](), np.zeros(len(rows), np.int64)
    for partition, offset in places:
        order = np.argsort(partition, kind="stable")  # nearly no work: a file holds one partition after the other
        each, first = np.unique(partition[order], return_index=True)
        for p, here in zip(each.tolist(), np.split(offset[order], first[1:]), strict=False):  # of none, one part
            if p not in ends:
                ends[p] = np.array([rows[0].range.from_[p], *(row.to[p] for row in rows)], np.int64)
            found += np.diff(np.searchsorted(np.sort(here), ends[p]))
    return {row.seq: n for row, n in zip(rows, found.tolist(), strict=True) if n}


def places_in(master: Path, span: Range) -> Iterator[Places]:
    """Where the records lie of those files of a master that may hold some of `span`."""
    for file, *ends in extents(DeltaTable(str(master)), *POSITION):
        if None in ends or _meets(span, *ends):
            found = pq.ParquetFile(opened(master / unquote(file)))
            for batch in found.iter_batches(BATCH_ROWS, columns=list(POSITION)):
                yield batch[POSITION[0]].to_numpy(), batch[POSITION[1]].to_numpy()


def _meets(span: Range, lowest: int, highest: int, first: int, last: int) -> bool:
    """Whether records of partitions `lowest` to `highest` with offsets `first` to `last` may be in `span`."""
    return any(lowest <= p <= highest and first < end and last >= begin for p, begin, end in span.partitions())
