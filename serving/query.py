"""From a URL or a JSON body to a plan: every name known, every value of its type, nothing left to interpret."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, cast, get_args

import pyarrow as pa

from dovetail.serving.buckets import MICROS, calendar, instant, on_boundary, zone
from dovetail.serving.dimensions import Joined
from dovetail.serving.fields import Conditions, Fields, about
from dovetail.serving.seen import ALL, Seen
from dovetail.serving.shape import Shape
from dovetail.serving.where import Condition, read
from dovetail.shared import duration
from dovetail.shared.duration import DAY, Span, length
from dovetail.shared.errors import DeclarationError, NotYet, QueryError, unknown
from dovetail.shared.position import RecordId

Fill = Literal["zero", "null"]
Layer = Literal["batch", "speed"]
LIMIT, MOST = 1_000, 100_000
TIMEOUT, LONGEST = 10.0, 60.0
BRIEF = 4_000
"""Bytes of a plan, written out, beyond which nothing is remembered by it."""
PLAIN = re.compile("[0-9.eE+-]+")
"""What numbers are written with."""


@dataclass(frozen=True)
class Plan:
    """What is asked of a view. Two questions with equal plans have equal rows.

    `where` is of stored rows, `having` of the measures of the answer's; times are microseconds since 1970, `end`
    excluded; `order_by` holds every grouped column, so that the order is total. With a window, `start` and `end` are of
    the buckets shown, and `since` is where the first of their windows begins; without one, `since` is `start`.
    `offset` rows of the answer come before the first that is shown. `keys` are groups that are looked up, a row for
    each in this order, with or without records; None where all are asked for that `where` leaves. `seen` is what of the
    view may be seen: all else is as if that were all there is. `layer` alone is answered from, both where it is None.
    """

    by: tuple[str, ...]
    measures: tuple[str, ...]
    where: tuple[Condition, ...]
    having: tuple[Condition, ...]
    start: int | None
    end: int | None
    since: int | None
    bucket: Span | None
    window: Span | None
    fill: Fill | None
    tz: str
    order_by: tuple[tuple[str, bool], ...]
    limit: int
    offset: int = 0
    keys: tuple[tuple[Any, ...], ...] | None = None
    seen: Seen = ALL
    layer: Layer | None = None

    @property
    def first(self) -> Plan:
        """The same from the first row on."""
        return replace(self, offset=0) if self.offset else self

    @property
    def digest(self) -> str:
        return self._written[0]

    @property
    def brief(self) -> bool:
        """Whether what is remembered by it stays small: who asks chooses how long and how many its values are."""
        return self._written[1] <= BRIEF

    @cached_property
    def _written(self) -> tuple[str, int]:
        text = repr(self).encode()
        return blake2b(text, digest_size=8).hexdigest(), len(text)

    @cached_property
    def _hash(self) -> int:
        return hash(self.digest)

    def __hash__(self) -> int:
        return self._hash

    def states(self, shape: Shape) -> tuple[str, ...]:
        """The state columns that its measures are presented from."""
        return shape.states_of(self.measures)

    def dimensions(self, shape: Shape) -> tuple[Joined, ...]:
        """Those whose columns are asked for."""
        if not shape.dimensions:
            return ()
        asked = [shape.attribute(name) for name in (*self.by, *(c.name for c in self.where))]
        return tuple({a.dimension.name: a.dimension for a in asked if a}.values())

    def of_key(self, names: Sequence[str], key: tuple[Any, ...]) -> Plan:
        """The same about one group of keys alone."""
        conditions = (Condition(name, "in", (value,)) for name, value in zip(names, key, strict=True))
        return replace(self, keys=None, where=tuple(conditions))

    def key(self, shape: Shape) -> tuple[Any, ...] | None:
        """The one group of keys that `where` leaves, or None: also of one layer alone, whose answer no commit brings up
        to date. Floating keys have no one way to be equal."""
        if self.layer:
            return None
        fixed = {c.name: c.values[0] for c in self.where if c.op == "in" and len(c.values) == 1}
        floating = any(pa.types.is_floating(kind) for kind in shape.keys.values())
        if len(fixed) < len(shape.keys) or floating or self.dimensions(shape) or not self.seen.plain(fixed):
            return None
        return tuple(fixed[name] for name in shape.keys)


@dataclass(frozen=True)
class Asked:
    """A plan, and how long to wait for an answer that includes a ledger seq or a record, or is no older than that.

    `max_age` is in seconds; `whole` asks for an answer without gaps or none.
    """

    plan: Plan
    at_least: int | RecordId | None
    max_age: float | None
    timeout: float
    whole: bool


@dataclass(frozen=True)
class Cursor:
    """Where an answer goes on: after `offset` rows of the one that the receipt of the id `receipt` stands for."""

    receipt: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises QueryError for what is no cursor."""
        receipt, _, offset = text.rpartition("~")
        if not (receipt and offset.isascii() and offset.isdigit() and len(offset) < 12 and int(offset)):
            raise QueryError(f"cursor={text} is none", next="give `receipt.next` of the page before")
        return cls(receipt, int(offset))

    def __str__(self) -> str:
        return f"{self.receipt}~{self.offset}"


def plan(shape: Shape, fields: Fields, seen: Seen = ALL) -> Asked:
    """Checks a question against what the view holds, and what of that may be seen.

    Raises:
        QueryError: it names what is not there, a value is not of its type, or the stored buckets cannot answer it.
    """
    with about("tz", tz := fields.scalars.get("tz", "UTC")):
        tz = zone(tz).key
    bucket, window = _bucket_and_window(shape, fields.scalars.get("bucket"), fields.scalars.get("window"))
    start, end = (_time(shape, name, fields.scalars.get(name), bucket, window, tz) for name in ("start", "end"))
    if start is not None and end is not None and end <= start:
        raise QueryError(
            f"end={fields.scalars['end']}: end does not lie after start", why="end is excluded",
            next="a later end, or none",
        )  # fmt: skip
    by = _by(shape, fields.lists.get("by", ()), seen)
    measures = _measures(shape, fields.lists.get("measures", ())) or tuple(shape.measures)
    cursor = Cursor.parse(fields.scalars["cursor"]) if "cursor" in fields.scalars else None
    shown = (*by, *(["bucket"] if bucket else []))
    if len(set(shown)) < len(shown):
        raise QueryError(
            "a key is called bucket: it cannot be asked for together with bucket=", next="by=bucket, or bucket=1h alone"
        )
    return Asked(
        Plan(
            by=by,
            measures=measures,
            where=_where(shape, fields.where, tz, seen),
            having=_having(shape, fields.having, measures, tz),
            start=start,
            end=end,
            since=_since(shape, start, bucket, window, tz),
            bucket=bucket,
            window=window,
            fill=_fill(fields.scalars.get("fill"), bucket),
            tz=tz if bucket else "UTC",
            order_by=_order(shape, fields.lists.get("order_by", ()), shown, measures),
            limit=int(_number("limit", fields.scalars.get("limit"), LIMIT, 1, MOST)),
            offset=cursor.offset if cursor else 0,
            seen=seen,
            layer=_layer(fields.scalars.get("layer"), seen),
        ),
        at_least=_at_least(fields.scalars.get("at_least")),
        max_age=_max_age(fields.scalars.get("max_age")),
        timeout=_timeout(fields),
        whole=_whole(fields.scalars.get("complete")),
    )


def check_order(name: str, kind: pa.DataType) -> None:
    """Raises QueryError where values of a measure have no order."""
    if pa.types.is_nested(kind):
        raise QueryError(f"order_by={name}: lists and structs have no order", next="order by another column")


def seconds(name: str, text: str) -> float:
    """A length of time, also a number alone, as in `timeout`; raises QueryError for what is none."""
    try:
        return duration.parse(text if not text.isdecimal() else f"{text}s").total_seconds()
    except DeclarationError:
        raise QueryError(f"{name}={text} is no length of time", next=f"{name}=30s, or 500 ms, 5m, 1h") from None


def patience(fields: Fields) -> float:
    """How long a question may wait, in seconds: not at all without `at_least` or `max_age`."""
    return _timeout(fields) if fields.scalars.keys() & {"at_least", "max_age"} else 0.0


def _by(shape: Shape, given: Sequence[str], seen: Seen) -> tuple[str, ...]:
    names = _names(shape, given, "by")
    for name in names:
        if pa.types.is_nested(seen.type(shape, name)):  # groups are put in order
            raise QueryError(f"by={name}: lists, maps and structs cannot be grouped by", next="group by another column")
    return names


def _names(shape: Shape, given: Sequence[str], of: str) -> tuple[str, ...]:
    for name in given:
        if name not in shape.keys and shape.attribute(name) is None:
            never = [d.name for d in shape.dimensions if not d.n]
            if never:
                raise NotYet(f"'{name}' is no key, and dimension {never[0]} has never been read", next="dovetail batch")
            hint = "bucket=1d groups by time" if name == "bucket" else _look(shape)
            with about(*((of, name) if of == "by" else (f"{of}.{name}", "")), next=hint):
                raise QueryError(unknown("key", name, [*shape.keys, *shape.attributes]))
    return tuple(dict.fromkeys(given))


def _measures(shape: Shape, given: Sequence[str], of: str = "measures") -> tuple[str, ...]:
    for name in given:
        if shape.asked(name) is None:
            measure, _, part = name.partition(".")
            parts = shape.measures[measure].presenter.parts if measure in shape.measures else ()
            if part and measure in shape.measures and not parts:
                raise QueryError(f"{of}={name}: {measure} has no parts", next=f"{of}={measure}")
            with about(of, name, next=_look(shape)):
                raise QueryError(
                    unknown(f"part of {measure}", part, parts) if parts else unknown("measure", name, shape.measures)
                )
    return tuple(dict.fromkeys(given))


def _look(shape: Shape) -> str:
    return f"GET /v1/views/{shape.view} has its keys and measures"


def _where(shape: Shape, given: Conditions, tz: str, seen: Seen) -> tuple[Condition, ...]:
    _names(shape, list(given), "where")
    keys = [key for key in (*shape.keys, *shape.attributes) if key in given]
    return tuple(c for key in keys for c in read(key, given[key], seen.type(shape, key), tz=tz))


def _having(shape: Shape, given: Conditions, measures: Sequence[str], tz: str) -> tuple[Condition, ...]:
    for name in given:
        if name not in measures:
            shown = ",".join((*measures, *_measures(shape, [name], "having")))
            raise QueryError(f"having.{name}: {name} is not in the answer", next=f"measures={shown}")
    kinds = {name: shape.presented(name).result for name in measures if name in given}
    return tuple(c for name in kinds for c in read(name, given[name], kinds[name], tz=tz, of="having"))


def _bucket_and_window(shape: Shape, bucket: str | None, window: str | None) -> tuple[Span | None, Span | None]:
    wide = _window(shape, window) if window is not None else None
    own = _bucket(shape, bucket) if bucket is not None else Span(_stored_bucket(shape, "window")) if wide else None
    if own is not None and wide is not None:
        _check_made_of(own, wide)
    return own, wide


def _bucket(shape: Shape, text: str) -> Span:
    stored = _stored_bucket(shape, "bucket")
    span = _span("bucket", text, duration.bucket_span)
    if span.unit == "s" and span.n % stored:
        raise QueryError(
            f"a bucket of {text} is no multiple of the stored {length(stored)}", next=f"bucket={length(stored)}"
        )
    if span.unit != "s" and DAY % stored:
        raise QueryError(
            f"a bucket of {text} cannot be made of stored ones of {length(stored)}",
            why=f"the largest stored bucket that can answer this is {length(DAY)}: weeks and months begin on any day",
            next=f'declare the view with bucket="{length(DAY)}", or ask for bucket={length(stored)}',
        )
    return span


def _window(shape: Shape, text: str) -> Span:
    _stored_bucket(shape, "window")
    return _span("window", text, duration.span)


def _span(name: str, text: str, read: Callable[[str], Span]) -> Span:
    with about(name, text):
        try:
            return read(text)
        except DeclarationError as error:
            raise QueryError(error.what) from None


def _check_made_of(bucket: Span, window: Span) -> None:
    """Whether a window is whole buckets wherever it ends; the next that is, is given where it is not."""
    if bucket.unit == window.unit:
        good = window.n % bucket.n == 0
    elif bucket.unit == "mo":
        good = False  # a month is no number of days
    elif window.unit == "mo":
        good = bucket.unit == "s" and DAY % bucket.n == 0
    else:  # weeks of seconds, or of weeks: as long everywhere
        good = window.longest % bucket.longest == 0
    if not good:
        short = window.longest < bucket.longest
        possible = Span(bucket.n * -(-window.longest // bucket.longest), bucket.unit)
        raise QueryError(
            f"a window of {window} {'is shorter than' if short else 'is no multiple of'} its buckets of {bucket}",
            next=f"window={possible}",
        )


def _fill(text: str | None, bucket: Span | None) -> Fill | None:
    if text is None:
        return None
    if text not in get_args(Fill):
        with about("fill", text):
            raise QueryError(unknown("fill", text, get_args(Fill)))
    if bucket is None:
        raise QueryError(f"fill={text}: fill is of buckets, and none are asked for", next=f"bucket=1d&fill={text}")
    return cast(Fill, text)


def _layer(text: str | None, seen: Seen) -> Layer | None:
    if text is None:
        return None
    if text not in get_args(Layer):
        raise QueryError(
            f"layer={text}: {unknown('layer', text, get_args(Layer))}", next="layer=batch, or layer=speed, or none"
        )
    if seen.floor:
        raise QueryError(
            "layer cannot be asked of what is seen with a floor",
            why="the difference to the merged answer could be of fewer records than the floor",
            next="leave out layer to have the merged answer",
        )
    return cast(Layer, text)


def _time(shape: Shape, name: str, text: str | None, bucket: Span | None, window: Span | None, tz: str) -> int | None:
    if text is None:
        return None
    stored = _stored_bucket(shape, name)
    with about(name, text):
        us = instant(text, tz)
    if bucket is not None:  # what no start or end could mend is said first
        calendar(tz, bucket, stored).starts([us - us % (stored * MICROS)])
    on_boundary(name, us, stored, tz)
    if bucket is not None and window is not None:  # a window is whole buckets
        calendar(tz, bucket, stored).check_start(name, us)
    return us


def _since(shape: Shape, start: int | None, bucket: Span | None, window: Span | None, tz: str) -> int | None:
    if start is None or bucket is None or window is None:
        return start
    return calendar(tz, bucket, _stored_bucket(shape, "window")).reach(start, window)


def _stored_bucket(shape: Shape, name: str) -> int:
    if shape.bucket_seconds is None:
        raise QueryError(f"{name} cannot be asked of {shape.view}: it has no bucket", next=f"leave out {name}")
    return shape.bucket_seconds


def _order(
    shape: Shape, given: Sequence[str], grouped: Sequence[str], measures: Sequence[str]
) -> tuple[tuple[str, bool], ...]:
    """Column and whether descending; the grouped columns that are not named come last, ascending."""
    order: dict[str, bool] = {}
    for text in given:
        name, descending = text.removeprefix("-"), text.startswith("-")
        if name not in (*grouped, *measures):
            with about("order_by", text, next="order_by is of columns that by, bucket or measures ask for"):
                raise QueryError(unknown("column of this answer", name, (*grouped, *measures)))
        if name in measures:
            check_order(text, shape.presented(name).result)
        order.setdefault(name, descending)
    return (*order.items(), *((name, False) for name in grouped if name not in order))


def _timeout(fields: Fields) -> float:
    return _number("timeout", fields.scalars.get("timeout"), TIMEOUT, 0, LONGEST)


def _number(name: str, text: str | None, default: float, least: float, most: float) -> float:
    if text is None:
        return default
    try:
        # Python would read 1_000 too, and digits of any script.
        value = (float(int(text)) if name == "limit" else float(text)) if PLAIN.fullmatch(text) else float("nan")
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise QueryError(f"{name}={text}: write a number from {least:g} to {most:g}", next=f"{name}={default:g}")
    return value


def _max_age(text: str | None) -> float | None:
    return None if text is None else seconds("max_age", text)


def _whole(text: str | None) -> bool:
    if text not in (None, "required"):
        raise QueryError(f"complete={text}: only complete=required can be asked", next="complete=required")
    return text is not None


def _at_least(text: str | None) -> int | RecordId | None:
    if text is None:
        return None
    with about("at_least", text):
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else RecordId.parse(text)
