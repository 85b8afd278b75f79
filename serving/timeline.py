"""The rows of time of an answer that its records alone do not give: trailing windows, and buckets without records.

A window merges the states of the buckets up to and with its own; states are never subtracted, so every measure works.
Its rows are the buckets in [start, end), or from the first with matching records to the last. What lies before `start`
is merged too, as far back as the first window reaches. A bucket without records of its own has a row where its window
has any. Records without a time are in no window.

`fill` adds the rows of those buckets that a group lacks. With `null` every measure is null there. With `zero` each says
what it says of no rows, as a count says 0; where that is null, a number is 0, be it a sum, an average or a minimum, as
Grafana's fill and Pinot's gapfill have it, and what is no number stays null.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving.buckets import MICROS, REMEMBERED, Calendar, calendar
from dovetail.serving.query import MOST, Fill, Plan
from dovetail.serving.shape import Shape
from dovetail.shared.duration import Span
from dovetail.shared.errors import QueryError

MOST_MERGED = 5_000_000
"""How many buckets the windows of one group may hold, together."""
CLOCK = 86400 * MICROS * 2
"""No clock was ever put on or back by more, all changes within a window together."""

Row = tuple[int, int, int]


def calendar_of(shape: Shape, plan: Plan) -> Calendar | None:
    """The buckets of an answer; None where it is not by time."""
    if plan.bucket is None or shape.bucket_seconds is None:
        return None
    return calendar(plan.tz, plan.bucket, shape.bucket_seconds)


def windows(plan: Plan, buckets: Calendar, starts: Sequence[int]) -> list[Row]:
    """The rows of a plan with a window: each with the part of `starts` it merges, as from and to.

    Args:
        starts: the buckets that records which match lie in, ascending.

    Raises:
        QueryError: they are more than can be answered.
    """
    window = plan.window
    if window is None or not starts:
        return []
    found, merges = list[Row](), 0
    for n, row in enumerate(_candidates(plan, buckets, starts)):
        low, high = bisect_left(starts, _reach(buckets, row, window)), bisect_right(starts, row)
        merges += high - low
        if n >= MOST or merges > MOST_MERGED:
            raise QueryError(
                f"windows of {plan.window} over buckets of {plan.bucket} are too many to merge here",
                why=f"at most {MOST:,} buckets are shown, and {MOST_MERGED:,} merged, for one group",
                next="ask for a shorter time with start and end, for a coarser bucket or a shorter window",
            )
        if low < high:
            found.append((row, low, high))
    return found


def filled(plan: Plan, buckets: Calendar, answer: pa.Table, stand_ins: Mapping[str, pa.Array]) -> pa.Table:
    """The rows of an answer, and after them those of the buckets that its groups lack.

    Args:
        stand_ins: what each measure shows there, as an array of one.

    Raises:
        QueryError: they are too many.
    """
    shown = answer["bucket"]
    known = pc.min_max(shown).as_py()
    first, last = _span(plan, buckets, known["min"], known["max"])
    if first is None or last is None:
        return answer
    groups = list(zip(*(_codes(answer[name]) for name in plan.by), strict=True)) if plan.by else [()] * len(answer)
    rows = dict(zip(groups, range(len(groups)), strict=True)) if plan.by else {(): 0}
    there = set(zip(groups, shown.to_pylist(), strict=True))
    most = MOST + len(there)
    steps = list(islice(_from(buckets, first, last), most // max(len(rows), 1) + 1))
    if len(steps) * len(rows) > most:
        raise QueryError(
            f"fill={plan.fill} would add more than {MOST:,} rows",
            next="ask for a shorter time with start and end, for a coarser bucket or for fewer groups",
        )
    lacking = [(rows[g], b) for g, b in product(rows, steps) if (g, b) not in there]
    of_group = answer.select(plan.by).take(pa.array((row for row, _ in lacking), pa.int64()))
    added = {name: of_group[name] for name in plan.by}
    added |= {"bucket": pa.array((bucket for _, bucket in lacking), pa.int64())}
    first_of_one = pa.array([0] * len(lacking), pa.int64())
    added |= {name: stand_ins[name].take(first_of_one) for name in plan.measures}
    return pa.concat_tables([answer, pa.table(added, schema=answer.schema)])


def stand_in(fill: Fill, nothing: pa.Array, kind: pa.DataType) -> pa.Array:
    """What a measure of type `kind`, which says `nothing` of no rows, shows in a bucket without records."""
    if fill == "null":
        return pa.nulls(1, nothing.type)
    is_: Any = pa.types
    number = is_.is_integer(kind) or is_.is_floating(kind) or is_.is_decimal(kind)
    return pa.array([0], nothing.type) if nothing.null_count and number else nothing


def about(plan: Plan, buckets: Calendar, starts: Sequence[int]) -> tuple[int, int]:
    """About how many rows an answer has for one group, and how many states they merge, without making them."""
    first, last = _span(plan, buckets, min(starts, default=None), max(starts, default=None))
    across = (last - first) // (buckets.span.longest * MICROS) + 1 if first is not None and last is not None else 0
    merges = len(starts) * (plan.window.longest // buckets.span.longest + 1) if plan.window else len(starts)
    return across if plan.fill else min(across, merges), merges


def _candidates(plan: Plan, buckets: Calendar, starts: Sequence[int]) -> Iterator[int]:
    """The buckets that are shown and not too far behind records for a window to reach those."""
    longest = plan.window.longest * MICROS + CLOCK if plan.window else 0
    last = starts[-1] if plan.end is None else plan.end - 1
    row = starts[0] if plan.start is None else plan.start
    for start in starts:
        row = max(row, start)
        while row <= min(start + longest, last):
            yield row
            row = _end(buckets, row)


def _span(plan: Plan, buckets: Calendar, first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The first and the last bucket to show, given those with records."""
    first = first if plan.start is None else buckets.start(plan.start)
    last = last if plan.end is None else buckets.start(plan.end - 1)
    return first, last


def _from(buckets: Calendar, first: int, last: int) -> Iterator[int]:
    while first <= last:
        yield first
        first = _end(buckets, first)


# Each commit makes kept answers ask for the same ones again.
@lru_cache(maxsize=REMEMBERED)
def _end(buckets: Calendar, start: int) -> int:
    return buckets.end(start)


@lru_cache(maxsize=REMEMBERED)
def _reach(buckets: Calendar, start: int, window: Span) -> int:
    return buckets.reach(start, window)


def _codes(column: pa.ChunkedArray) -> list[int]:
    """A number for each value: null has one too, and NaN is itself."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes: list[int] = encoded.indices.to_pylist()
    return codes
