"""Which records repeat one that counts, all at once and from nothing but the records: for the proof.

Where the layers ask an index, commit by commit and record by record, here all records of one id lie next to each other
in the order in which commits took them, and all ids are decided together, in columns: each round takes from every id
the first record that is left, which counts, and takes away what repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Occurrences:
    """Records by id, in columns of one length: their commit by seq, Kafka's time, and what was recorded.

    `id` numbers the ids; `since` is the first commit, by seq, that theirs had not forgotten;
    `until` is the seq from which on the record counts no more; `given` says that its commit is taken at its word.
    """

    id: Ints
    seq: Ints
    partition: Ints
    offset: Ints
    timestamp: Ints
    since: Ints
    until: Ints
    recorded: Flags
    given: Flags

    def take(self, chosen: Any) -> Occurrences:
        return Occurrences(*(column[chosen] for column in vars(self).values()))


def repeats(found: Occurrences, horizon: int) -> Flags:
    """Which of the records are repeats: of a counted one with the same id that its commit had not forgotten."""
    order = np.lexsort((found.offset, found.partition, found.timestamp, found.seq, found.id))
    o, repeat = found.take(order), np.zeros(len(order), bool)
    repeat[o.given & o.recorded] = True
    left = np.flatnonzero(~repeat)
    group = _apart(o, left, horizon)
    while len(left):
        first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        counts = np.repeat(left[first], np.diff(np.r_[first, len(left)]))
        near = np.abs(o.timestamp[left] - o.timestamp[counts]) <= horizon
        known = (o.seq[counts] >= o.since[left]) & (o.seq[left] < o.until[counts])
        again = near & known & ~o.given[left]
        again[first] = False
        repeat[left[again]] = True
        stays = ~again
        stays[first] = False
        left, group = left[stays], group[stays]
    back = np.zeros(len(order), bool)
    back[order] = repeat
    return back


def _apart(o: Occurrences, left: Ints, horizon: int) -> Ints:
    """Numbers the runs of records that may have to do with each other: of one id, neither forgotten nor too far apart.

    So the rounds are as many as records of one run count, not as records of one id.
    """
    if not len(left):
        return left
    times, rank = np.unique(o.timestamp[left], return_inverse=True)
    base = o.id[left] * (len(times) + 1)
    latest = np.maximum.accumulate(base + rank) - base  # of those up to here
    earliest = np.minimum.accumulate((base + rank)[::-1])[::-1] - base  # of those from here on
    new = np.r_[True, o.id[left][1:] != o.id[left][:-1]]
    new[1:] |= o.seq[left][:-1] < o.since[left][1:]
    same = ~new[1:]
    new[1:][same] |= (times[earliest[1:][same]] - times[latest[:-1][same]]) > horizon
    return np.cumsum(new)
