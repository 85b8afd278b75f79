"""Answers about one group of keys, kept merged in memory and brought up to date by each commit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dovetail.serving.answer import Rows, finished, finished_apart, too_large
from dovetail.serving.query import Plan
from dovetail.serving.shape import BUCKET, Shape, held_type
from dovetail.serving.timeline import about, calendar_of, windows
from dovetail.shared.errors import QueryError
from dovetail.shared.measures.base import StateKind

GROUPS = 100_000
"""How many groups all kept answers of a view hold at most, together; the longest unused go first."""
LARGEST = 2_000
"""An answer of more groups, rows or merges into windows is not kept: rendering it would hold up the others."""
MANY = 20_000
"""A commit with more state rows than this (a catch-up) empties the store: asking again is cheaper than patching."""
AT_ONCE = 200
"""Answers rendered at once; Python lets other threads answer in between."""

Key = tuple[Any, ...]


class Kept:
    """The groups of one plan that fixes every key: bucket start (or None) to merged states. Never changed once made.

    With a window they are still of the buckets' own records, back to where the first window begins: a commit changes
    one group, and rendering merges the windows.
    """

    __slots__ = ("_rows", "_shape", "groups", "key", "named", "plan")

    def __init__(self, shape: Shape, plan: Plan, key: Key, groups: Mapping[int | None, tuple[Any, ...]]) -> None:
        self.plan, self.key, self.groups = plan, key, groups
        self._shape = shape
        self._rows: Rows | None = None
        self.named = b""
        """Its row with its keys before it, once a lookup has shown it."""

    @property
    def small(self) -> bool:
        """Whether it may be rendered while others wait."""
        buckets = calendar_of(self._shape, self.plan) if self.plan.window or self.plan.fill else None
        rows, merges = about(self.plan, buckets, self._starts) if buckets else (0, 0)
        return max(len(self.groups), rows, merges) <= LARGEST

    def rows(self) -> Rows:
        """Raises QueryError when a merged state does not fit its type, or there are too many rows or windows."""
        if self._rows is None:
            self._rows = finished(self._shape, self.plan, self._table()).as_json()
        return self._rows

    def patched(self, added: Iterable[tuple[int | None, Mapping[str, Any]]]) -> Kept | None:
        """With more state rows of this key, each with its stored bucket; None when they must be looked at anew."""
        plan, shape = self.plan, self._shape
        if not shape.inexact.isdisjoint(plan.states(shape)):
            return None  # patched and asked anew would differ in the last digits, under one receipt
        kinds = self._kinds
        groups = dict(self.groups)
        try:
            for bucket, row in added:
                if _within(plan, bucket):
                    start, news = _start(shape, plan, bucket), tuple(row[c] for c in kinds)
                    old = groups.get(start)
                    groups[start] = _merged(kinds, (old, news)) if old else news
            kept = Kept(shape, plan, self.key, groups)
        except QueryError:
            return None
        return kept if kept.small else None

    @property
    def lone(self) -> bool:
        """Whether its answer is one row, whatever the question orders or limits."""
        plan = self.plan
        return not (plan.bucket or plan.window or plan.fill or plan.having or plan.offset) and len(self.groups) == 1

    @property
    def _starts(self) -> list[int]:
        return sorted(start for start in self.groups if start is not None)

    @property
    def _kinds(self) -> dict[str, StateKind]:
        return {c: self._shape.kinds[c] for c in self.plan.states(self._shape)}

    def _shown(self) -> Mapping[int | None, tuple[Any, ...]]:
        """The groups of the answer's rows."""
        buckets = calendar_of(self._shape, self.plan) if self.plan.window else None
        if buckets is None:
            return self.groups
        kinds, starts = self._kinds, self._starts
        states = [self.groups[start] for start in starts]
        return {row: _merged(kinds, states[low:high]) for row, low, high in windows(self.plan, buckets, starts)}

    def _table(self) -> pa.Table:
        shape, plan, groups = self._shape, self.plan, self._shown()
        of_key = dict(zip(shape.keys, self.key, strict=True))
        columns = {name: pa.array([of_key[name]] * len(groups), held_type(shape.keys[name])) for name in plan.by}
        if plan.bucket:
            columns[BUCKET] = pa.array(groups, pa.int64())
        try:
            for i, c in enumerate(plan.states(shape)):
                columns[c] = pa.array([states[i] for states in groups.values()], held_type(shape.states[c]))
        except (pa.ArrowInvalid, OverflowError) as error:
            raise too_large(plan) from error
        return pa.table(columns)


class KeptAnswers:
    """The kept answers of one view, by plan and by key. The caller holds the view's lock around every method."""

    def __init__(self) -> None:
        self._by_plan: OrderedDict[Plan, Kept] = OrderedDict()
        self._by_key: dict[Key, tuple[Plan, ...]] = {}
        self._groups = 0
        self.open = True
        """False while a commit is being worked in: what was read before it must not come in after."""

    def get(self, plan: Plan) -> Kept | None:
        kept = self._by_plan.get(plan)
        if kept is not None:
            self._by_plan.move_to_end(plan)
        return kept

    def put(self, kept: Kept) -> None:
        if not self.open or not kept.plan.brief or not kept.small:
            return
        self.remove(kept.plan)
        self._by_plan[kept.plan] = kept
        self._by_key[kept.key] = (*self._by_key.get(kept.key, ()), kept.plan)
        self._groups += len(kept.groups) + 1
        while self._groups > GROUPS:
            self.remove(next(iter(self._by_plan)))

    def remove(self, plan: Plan) -> None:
        kept = self._by_plan.pop(plan, None)
        if kept is not None:
            self._groups -= len(kept.groups) + 1
            left = tuple(p for p in self._by_key[kept.key] if p != plan)
            if left:
                self._by_key[kept.key] = left
            else:
                del self._by_key[kept.key]

    def clear(self) -> None:
        self._by_plan.clear()
        self._by_key.clear()
        self._groups = 0

    def replace(self, patched: Mapping[Plan, Kept | None]) -> None:
        for plan, kept in patched.items():
            if plan in self._by_plan:
                if kept is None:
                    self.remove(plan)
                else:
                    self._groups += len(kept.groups) - len(self._by_plan[plan].groups)
                    self._by_plan[plan] = kept

    def of_keys(self, keys: Iterable[Key]) -> list[Kept]:
        """Those about one of `keys`."""
        return [self._by_plan[plan] for key in keys for plan in self._by_key.get(key, ())]

    def __len__(self) -> int:
        return len(self._by_plan)


def patches(kept: Iterable[Kept], rows: Mapping[Key, list[Mapping[str, Any]]]) -> dict[Plan, Kept | None]:
    """What the kept answers become with new state rows, given by key; None for those to be asked again."""
    return {k.plan: k.patched((row.get(BUCKET), row) for row in rows[k.key]) for k in kept}


def render(shape: Shape, kept: Iterable[Kept | None]) -> None:
    """Renders many answers of one row each at once, for a twentieth of what each would cost where it is asked for."""
    alike: dict[Any, list[Kept]] = {}
    for k in kept:
        if k is not None and k.lone:
            alike.setdefault((k.plan.by, k.plan.measures), []).append(k)
    for some in alike.values():
        for first in range(0, len(some), AT_ONCE):
            _render_alike(shape, some[first : first + AT_ONCE])


def _render_alike(shape: Shape, kept: Sequence[Kept]) -> None:
    plan, places = kept[0].plan, {name: i for i, name in enumerate(shape.keys)}
    columns = {n: pa.array([k.key[places[n]] for k in kept], held_type(shape.keys[n])) for n in plan.by}
    states = [next(iter(k.groups.values())) for k in kept]
    try:
        for i, c in enumerate(plan.states(shape)):
            columns[c] = pa.array([s[i] for s in states], held_type(shape.states[c]))
        found = finished_apart(shape, plan, pa.table(columns))
    except (pa.ArrowInvalid, OverflowError, QueryError):
        return  # one of them is too large: whoever asks for it is told
    for k, rows in zip(kept, found, strict=True):
        k._rows = rows


def by_key(shape: Shape, rows: pa.Table) -> dict[Key, list[Mapping[str, Any]]]:
    """State rows, as held in memory, by their keys."""
    found: dict[Key, list[Mapping[str, Any]]] = {}
    for row in rows.to_pylist():
        found.setdefault(tuple(row[k] for k in shape.keys), []).append(row)
    return found


def _merged(kinds: Mapping[str, StateKind], states: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    columns = zip(*states, strict=True)
    return tuple(kind.merge_values(column) for kind, column in zip(kinds.values(), columns, strict=True))


def _within(plan: Plan, bucket: int | None) -> bool:
    if plan.since is None and plan.end is None:
        return True
    if bucket is None:
        return False
    return (plan.since is None or bucket >= plan.since) and (plan.end is None or bucket < plan.end)


def _start(shape: Shape, plan: Plan, bucket: int | None) -> int | None:
    buckets = calendar_of(shape, plan)
    return buckets.starts((bucket,))[bucket] if buckets and bucket is not None else None
