"""The speed rows of a view in the database, and of which buckets they are: what is of another time need not be read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving.shape import BUCKET


@dataclass(frozen=True)
class SpeedRows:
    """Rows of a table. `buckets` are all that occur in them, in order, as microseconds since 1970.

    Not from the first to the last: one late record would make that reach over everything in between. A row without a
    bucket is in no time that can be asked for.
    """

    table: str
    buckets: tuple[int, ...] = ()

    @classmethod
    def of(cls, table: str, rows: pa.Table) -> SpeedRows:
        return cls(table).and_(rows)

    def and_(self, rows: pa.Table) -> SpeedRows:
        """With more rows of the same table."""
        if BUCKET not in rows.column_names:
            return self
        new = [bucket for bucket in pc.unique(rows[BUCKET].drop_null()).to_pylist() if not self._has(bucket)]
        return SpeedRows(self.table, tuple(sorted([*self.buckets, *new]))) if new else self

    def within(self, since: int | None, end: int | None) -> bool:
        """Whether any row may be of the time from `since` to `end`, which is excluded; None is no bound."""
        if since is None and end is None:
            return True
        first = 0 if since is None else bisect_left(self.buckets, since)
        return first < len(self.buckets) and (end is None or self.buckets[first] < end)

    def _has(self, bucket: int) -> bool:
        found = bisect_left(self.buckets, bucket)
        return found < len(self.buckets) and self.buckets[found] == bucket
