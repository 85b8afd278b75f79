"""From a URL or a JSON body to a plan: every name known, every value of its type, nothing left to interpret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl

import orjson
import pyarrow as pa

from dovetail.serving.buckets import MICROS, calendar, instant, on_boundary, zone
from dovetail.serving.dimensions import Joined
from dovetail.serving.shape import Shape
from dovetail.serving.values import typed
from dovetail.shared import duration
from dovetail.shared.duration import DAY, Span, length
from dovetail.shared.errors import DeclarationError, NotYet, QueryError, unknown
from dovetail.shared.position import RecordId

SCALARS = ("start", "end", "bucket", "window", "fill", "tz", "limit", "at_least", "timeout", "as_of")
LISTS = ("by", "measures", "order_by")
LATER = ("max_age",)
WHERE = "where."
NULL = ".null"

Fill = Literal["zero", "null"]
LIMIT, MOST = 1_000, 100_000
TIMEOUT, LONGEST = 10.0, 60.0


@dataclass(frozen=True)
class Fields:
    """A question as it came: nothing is checked yet but its form. None among the values of a key is null."""

    scalars: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: Mapping[str, Sequence[str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What is asked of a view. Two questions with equal plans have equal rows.

    `where` holds per key the values of which one must match, None for null; times are microseconds since 1970, `end`
    excluded; `order_by` holds every grouped column, so that the order is total. With a window, `start` and `end` are of
    the buckets shown, and `since` is where the first of their windows begins; without one, `since` is `start`.
    """

    by: tuple[str, ...]
    measures: tuple[str, ...]
    where: tuple[tuple[str, tuple[Any, ...]], ...]
    start: int | None
    end: int | None
    since: int | None
    bucket: Span | None
    window: Span | None
    fill: Fill | None
    tz: str
    order_by: tuple[tuple[str, bool], ...]
    limit: int

    @cached_property
    def digest(self) -> str:
        return blake2b(repr(self).encode(), digest_size=8).hexdigest()

    @cached_property
    def _hash(self) -> int:
        return hash(self.digest)

    def __hash__(self) -> int:
        return self._hash

    def dimensions(self, shape: Shape) -> tuple[Joined, ...]:
        """Those whose columns are asked for."""
        asked = [shape.attribute(name) for name in (*self.by, *(name for name, _ in self.where))]
        return tuple({a.dimension.name: a.dimension for a in asked if a}.values())

    def key(self, shape: Shape) -> tuple[Any, ...] | None:
        """The one group of keys that `where` leaves, or None. Floating keys have no one way to be equal."""
        fixed = {name: values[0] for name, values in self.where if len(values) == 1}
        floating = any(pa.types.is_floating(kind) for kind in shape.keys.values())
        if len(fixed) < len(shape.keys) or floating or self.dimensions(shape):
            return None
        return tuple(fixed[name] for name in shape.keys)


@dataclass(frozen=True)
class Asked:
    """A plan, and how long to wait for an answer that includes a ledger seq or a record."""

    plan: Plan
    at_least: int | RecordId | None
    timeout: float


def from_url(query: str) -> Fields:
    """Reads a query string.

    Lists are separated by commas, and a repeated list goes on. In a value of `where.KEY` a backslash keeps the next
    character as it is, so `a\\,b` is one value. `where.KEY.null=true` lets null match too.
    """
    scalars: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    where: dict[str, list[str | None]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in LISTS:
            lists.setdefault(name, []).extend(part.strip() for part in text.split(",") if part.strip())
        elif name.startswith(WHERE) and name.endswith(NULL):
            _check_null(name, text)
            where.setdefault(name[len(WHERE) : -len(NULL)], []).append(None)
        elif name.startswith(WHERE):
            where.setdefault(name[len(WHERE) :], []).extend(_split(text))
        else:
            _known(name)
            if name in scalars:
                raise QueryError(f"{name} is given twice")
            scalars[name] = text
    return Fields(scalars, lists, where)


def from_json(body: bytes) -> Fields:
    """Reads the same fields as a JSON object: lists as lists, `where` as an object of values or lists, null as null."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise QueryError(f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise QueryError(
            'the body is not a JSON object such as {"by": ["country"], "where": {"country": ["FR", null]}}'
        )
    where = given.pop("where", {})
    if not isinstance(where, dict):
        raise QueryError('where is not an object such as {"country": ["FR", null]}')
    for name in given:
        if name not in LISTS:
            _known(name)
    return Fields(
        scalars={n: _text(n, v) for n, v in given.items() if n in SCALARS and v is not None},
        lists={n: [_text(n, v) for v in _listed(v)] for n, v in given.items() if n in LISTS and v is not None},
        where={k: [None if v is None else _text(k, v) for v in _listed(vs)] for k, vs in where.items()},
    )


def plan(shape: Shape, fields: Fields) -> Asked:
    """Checks a question against what the view holds.

    Raises:
        QueryError: it names what is not there, a value is not of its type, or the stored buckets cannot answer it.
    """
    tz = fields.scalars.get("tz", "UTC")
    tz = zone(tz).key
    bucket, window = _bucket_and_window(shape, fields.scalars.get("bucket"), fields.scalars.get("window"))
    start, end = (_time(shape, name, fields.scalars.get(name), bucket, window, tz) for name in ("start", "end"))
    if start is not None and end is not None and end <= start:
        raise QueryError("end does not lie after start", why="end is excluded")
    by = _names(shape, fields.lists.get("by", ()))
    measures = _measures(shape, fields.lists.get("measures", ())) or tuple(shape.measures)
    shown = (*by, *(["bucket"] if bucket else []))
    if len(set(shown)) < len(shown):
        raise QueryError("a key is called bucket: it cannot be asked for together with bucket=")
    return Asked(
        Plan(
            by=by,
            measures=measures,
            where=_where(shape, fields.where, tz),
            start=start,
            end=end,
            since=_since(shape, start, bucket, window, tz),
            bucket=bucket,
            window=window,
            fill=_fill(fields.scalars.get("fill"), bucket),
            tz=tz if bucket else "UTC",
            order_by=_order(fields.lists.get("order_by", ()), shown, measures),
            limit=int(_number("limit", fields.scalars.get("limit"), LIMIT, 1, MOST)),
        ),
        at_least=_at_least(fields.scalars.get("at_least")),
        timeout=_timeout(fields),
    )


def patience(fields: Fields) -> float:
    """How long a question may wait, in seconds: not at all without `at_least`."""
    return _timeout(fields) if "at_least" in fields.scalars else 0.0


def _known(name: str) -> None:
    if name in LATER:
        raise QueryError(f"{name} comes in a later release")
    if name not in SCALARS:
        raise QueryError(
            unknown("parameter", name, (*SCALARS, *LISTS, "where.KEY", "where.KEY.null")),
            next="a key is asked for as where.KEY=value",
        )


def _check_null(name: str, text: str) -> None:
    if text != "true":
        raise QueryError(f"{name}={text}: only {name}=true can be asked")


def _split(text: str) -> list[str]:
    parts, escaped = [""], False
    for c in text:
        if escaped or c not in ",\\":
            parts[-1] += c
            escaped = False
        elif c == "\\":
            escaped = True
        else:
            parts.append("")
    return parts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise QueryError(f"{name}: {orjson.dumps(value).decode()} is not a text, a number or a truth value")


def _names(shape: Shape, given: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in shape.keys and shape.attribute(name) is None:
            never = [d.name for d in shape.dimensions if not d.n]
            if never:
                raise NotYet(f"'{name}' is no key, and dimension {never[0]} has never been read", next="dovetail batch")
            hint = "bucket=1d groups by time" if name == "bucket" else ""
            raise QueryError(unknown("key", name, [*shape.keys, *shape.attributes]), next=hint)
    return tuple(dict.fromkeys(given))


def _measures(shape: Shape, given: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if shape.asked(name) is None:
            measure, _, part = name.partition(".")
            parts = shape.measures[measure].presenter.parts if measure in shape.measures else ()
            if part and measure in shape.measures and not parts:
                raise QueryError(f"{measure} has no parts: '{name}' cannot be asked for", next=f"measures={measure}")
            if part and parts:
                raise QueryError(unknown(f"part of {measure}", part, parts))
            raise QueryError(unknown("measure", name, shape.measures))
    return tuple(dict.fromkeys(given))


def _where(shape: Shape, given: Mapping[str, Sequence[str | None]], tz: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    _names(shape, list(given))
    found = []
    for key in (*shape.keys, *shape.attributes):
        if key in given:
            kind = shape.grouping_type(key)
            values = {None if v is None else typed(v, kind, key=key, tz=tz) for v in given[key]}
            if not values:
                raise QueryError(f"where.{key} has no value")
            found.append((key, tuple(sorted(values, key=lambda v: (v is None, v if v is not None else 0)))))
    return tuple(found)


def _bucket_and_window(shape: Shape, bucket: str | None, window: str | None) -> tuple[Span | None, Span | None]:
    wide = _window(shape, window) if window is not None else None
    own = _bucket(shape, bucket) if bucket is not None else Span(_stored_bucket(shape, "window")) if wide else None
    if own is not None and wide is not None:
        _check_made_of(own, wide)
    return own, wide


def _bucket(shape: Shape, text: str) -> Span:
    stored = _stored_bucket(shape, "bucket")
    try:
        span = duration.bucket_span(text)
    except DeclarationError as error:
        raise QueryError(error.what) from None
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
    try:
        return duration.span(text)
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
        raise QueryError(unknown("fill", text, get_args(Fill)))
    if bucket is None:
        raise QueryError("fill is of buckets, and none are asked for", next=f"bucket=1d&fill={text}")
    return cast(Fill, text)


def _time(shape: Shape, name: str, text: str | None, bucket: Span | None, window: Span | None, tz: str) -> int | None:
    if text is None:
        return None
    stored, us = _stored_bucket(shape, name), instant(text, tz)
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
        raise QueryError(f"{name} cannot be asked of {shape.view}: it has no bucket")
    return shape.bucket_seconds


def _order(given: Sequence[str], grouped: Sequence[str], measures: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """Column and whether descending; the grouped columns that are not named come last, ascending."""
    order: dict[str, bool] = {}
    for text in given:
        name, descending = text.removeprefix("-"), text.startswith("-")
        if name not in (*grouped, *measures):
            raise QueryError(unknown("column of this answer", name, (*grouped, *measures)))
        order.setdefault(name, descending)
    return (*order.items(), *((name, False) for name in grouped if name not in order))


def _timeout(fields: Fields) -> float:
    return _number("timeout", fields.scalars.get("timeout"), TIMEOUT, 0, LONGEST)


def _number(name: str, text: str | None, default: float, least: float, most: float) -> float:
    if text is None:
        return default
    try:
        value = float(int(text)) if name == "limit" else float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise QueryError(f"{name}={text}: write a number from {least:g} to {most:g}")
    return value


def _at_least(text: str | None) -> int | RecordId | None:
    if text is None:
        return None
    return int(text) if text.isdecimal() and len(text) < 19 else RecordId.parse(text)
