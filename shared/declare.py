"""What a user declares: sources and views, as frozen records that carry the user's file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from dovetail.shared import ddl
from dovetail.shared.caller import caller
from dovetail.shared.changes import CHANGE, TOMBSTONES, Changes, refuse_taking_out
from dovetail.shared.dimensions import Dimension
from dovetail.shared.duration import bucket_seconds
from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.formats import Other, refuse_misfit
from dovetail.shared.gates import Gate, checked
from dovetail.shared.grants import Mask
from dovetail.shared.mask import checked as checked_masks
from dovetail.shared.measures import Measure
from dovetail.shared.measures.signed import of_view
from dovetail.shared.rule_arguments import WHOLE, base_type, length
from dovetail.shared.rules import SIMPLE, AnyRule, Rule, bound

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    Transform = Callable[[DataFrame], DataFrame]

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
SUBJECTS = {"string", *WHOLE}
"""Types of a column that names a subject: those of which a value has one text."""


@dataclass(frozen=True)
class Json:
    """Each record's value is one JSON object in UTF-8; see `json`."""

    name: str = "json"


def json() -> Json:
    """Records whose value is one JSON object in UTF-8.

    Fields are matched by name and exact case; one that is missing is null, one that is not declared is ignored. A value
    that is no object, or a field that does not fit its type, sends the record to quarantine.
    """
    return Json()


@dataclass(frozen=True)
class Source:
    """One Kafka topic with a format and a schema; made by `source`."""

    name: str
    topic: str
    format: Json | Changes | Other
    schema: str
    event_time: str | None
    owner: str
    where: str = field(compare=False)
    rules: tuple[AnyRule, ...] = ()
    event_id: tuple[str, ...] = ()
    horizon: timedelta = timedelta(days=1)
    subject: str | None = None
    sensitive: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Column name to Spark type, in order."""
        return ddl.columns(self.schema, where=self.where)

    @property
    def sign(self) -> str | None:
        """The column that says which rows take others back; None where none does."""
        return self.format.sign if isinstance(self.format, Changes) else None

    @property
    def row_columns(self) -> dict[str, str]:
        """The columns of the rows that transforms see."""
        return self.columns | ({self.sign: "int"} if self.sign else {})

    def as_json(self) -> dict[str, Any]:
        """What decides how a record of this source is decoded, and whether views see it."""
        decoder = {"format": self.format.name, "schema": self.columns, "event_time": self.event_time}
        if isinstance(self.format, Changes):
            decoder |= {"schema": self.format.columns(self.columns), "sign": self.format.sign}
        if isinstance(self.format, Other):
            decoder |= self.format.as_json(self.name, self.where)
        deciding = [r.as_json() for r in self.rules if isinstance(r, Rule) and r.decides]
        parts = {"event_id": [*self.event_id], "rules": deciding}
        return decoder | {name: part for name, part in parts.items() if part}


@dataclass(frozen=True)
class View:
    """A table of mergeable states over one source; made by `view`. Calling it applies the transform, as in a test."""

    name: str
    source: Source
    transform: tuple[Transform, ...]
    keys: tuple[str, ...]
    bucket: str | None
    measures: Mapping[str, Measure]
    where: str = field(compare=False)
    dimensions: tuple[Dimension, ...] = ()
    speed: bool = True
    batch: bool = True
    promote_if: tuple[Gate, ...] = ()

    def __call__(self, lines: DataFrame) -> DataFrame:
        for step in self.transform:
            lines = step(lines)
        return lines


def source(
    name: str,
    *,
    topic: str | None = None,
    format: Json | Changes | Other | None = None,  # noqa: A002
    schema: str,
    event_time: str | None = None,
    event_id: str | Sequence[str] = (),
    dedup_horizon: str = "1 day",
    rules: Sequence[AnyRule] = (),
    subject: str | None = None,
    sensitive: Mapping[str, Mask] | None = None,
    owner: str = "",
    **other: object,
) -> Source:
    """Declares one Kafka topic.

    Args:
        name: how commands and files call it: a lower-case letter, then letters, digits and _, 63 at most.
        topic: the Kafka topic; the name where not given.
        format: how a record's value is read; `dv.json()` where not given. `dv.changes()` of changes of a table;
            `dv.csv()`, `dv.avro()`, `dv.protobuf()`.
        schema: the columns as Spark DDL: "order_number bigint, price decimal(10,2), …".
        event_time: the timestamp or date column that says when it happened; needed for buckets. A column of the schema,
            then a record without it goes to quarantine; or one that each view's transform makes.
        event_id: the columns that name an event, of simple types. A record that comes again, with the same id, within
            `dedup_horizon` of one that was counted, is not counted: producers may send twice. The first in the log
            counts, whatever the other holds. A record with null in one of these columns goes to quarantine. Of changes:
            the table's primary key, to which the place in the database's log is added.
        dedup_horizon: how far apart a record and its repeat may be, by Kafka's timestamps: "1 day", "30 minutes". The
            ids of twice as long are kept on disk, about 40 bytes each.
        rules: what each record has to be, and what happens to one that is not: see `dv.rule`.
        subject: the column that says whom a record is about: text or a whole number. `dovetail forget` takes them out.
        sensitive: columns that nobody sees as they are but by a grant that says `clear` of them, with what is seen
            instead: {"customer": dv.mask.hash()}. A view's key of the same name is masked so before anything else is
            done with it, and records that commands show do not hold them. A measure or a key made of them is not
            known to be: give that its mask by a grant.
        owner: who answers for it.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where = caller()
    _refuse_other(other, "source", where)
    _named(name, "source", where)
    topic = topic or name
    if not TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise DeclarationError(f"topic '{topic}': use letters, digits, '.', '_' and '-', 249 at most", where=where)
    columns = ddl.columns(schema, where=where)
    refuse_misfit(format, columns, where)
    if event_time in columns and not columns[event_time].lower().startswith(("timestamp", "date")):
        raise DeclarationError(
            f"event_time {event_time} is of type {columns[event_time]}: it must be a timestamp or a date", where=where
        )
    if isinstance(format, Changes) and format.sign.lower() in (c.lower() for c in columns):
        why = f"column {format.sign} is what says which rows are taken back"
        raise DeclarationError(why, where=where, next="dv.changes(sign=…) calls it otherwise")
    judging = bound(rules, columns=columns, event_time=event_time, where=where)
    ids, horizon = _event_id(event_id, columns, where), length(dedup_horizon, "dedup_horizon", where, like="1 day")
    _check_subject(subject, columns, where)
    masks = checked_masks(sensitive or {}, columns, where)
    if isinstance(format, Changes):
        refuse_taking_out(judging)
        judging, ids = (*judging, TOMBSTONES), (*ids, CHANGE) if ids else ()
        if subject is not None:
            raise DeclarationError("subject: nobody can be forgotten in a topic of changes yet", where=where)
    return Source(
        name, topic, format or Json(), schema, event_time, owner, where, judging, ids, horizon, subject, masks
    )


def _check_subject(subject: str | None, columns: Mapping[str, str], where: str) -> None:
    if subject is None:
        return
    if subject not in columns:
        raise DeclarationError(f"subject: {unknown('column', subject, columns)}", where=where)
    if base_type(columns[subject]) not in SUBJECTS:
        raise DeclarationError(
            f"subject: column {subject} is of type {columns[subject]}: it is text or a whole number", where=where
        )


def _event_id(given: str | Sequence[str], columns: Mapping[str, str], where: str) -> tuple[str, ...]:
    ids = (given,) if isinstance(given, str) else tuple(given)
    for column in ids:
        if column not in columns:
            raise DeclarationError(f"event_id: {unknown('column', str(column), columns)}", where=where)
        kind = columns[column]
        if base_type(kind) not in SIMPLE:
            raise DeclarationError(f"event_id: column {column} is of type {kind}: it takes simple types", where=where)
    if len(set(ids)) < len(ids):
        raise DeclarationError(f"event_id names a column twice: {', '.join(ids)}", where=where)
    return ids


@overload
def view(
    name: str,
    *,
    source: Source,
    transform: Transform | Sequence[Transform] = (),
    keys: Sequence[str] = (),
    bucket: str | None = None,
    measures: Mapping[str, Measure],
    dimensions: Sequence[Dimension] = (),
    speed: bool = True,
    batch: bool = True,
    promote_if: Sequence[Gate] = (),
    **other: object,
) -> View: ...


@overload
def view(
    name: None = None,
    *,
    source: Source,
    transform: tuple[()] = (),
    keys: Sequence[str] = (),
    bucket: str | None = None,
    measures: Mapping[str, Measure],
    dimensions: Sequence[Dimension] = (),
    speed: bool = True,
    batch: bool = True,
    promote_if: Sequence[Gate] = (),
    **other: object,
) -> Callable[[Transform], View]: ...


def view(
    name: str | None = None,
    *,
    source: Source,
    transform: Transform | Sequence[Transform] = (),
    keys: Sequence[str] = (),
    bucket: str | None = None,
    measures: Mapping[str, Measure],
    dimensions: Sequence[Dimension] = (),
    speed: bool = True,
    batch: bool = True,
    promote_if: Sequence[Gate] = (),
    **other: object,
) -> View | Callable[[Transform], View]:
    """Declares a view: once, for both layers. Without a name it decorates its transform and takes that one's name.

    Args:
        name: how queries call it.
        source: what it reads.
        transform: pure row-wise functions, DataFrame to DataFrame, applied in order.
        keys: columns of the transformed rows that states are grouped by; null is a key like any other.
        bucket: states are also kept per this much event time in UTC ("15m", "1h", "1d"); None keeps no time.
        measures: name to measure.
        dimensions: tables whose columns questions may group and filter by, each joined by the key it shares with the
            view. Not part of the view's version: adding one rebuilds nothing.
        speed: whether the speed layer folds it; False for answers that end where the last batch did.
        batch: whether `dovetail batch` computes it where no view is named; False for answers from the speed layer
            alone, back to where the log began when the view was first seen.
        promote_if: gates that hold back what would move an answer too far, see `dv.gate`. Not part of the version.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where = caller()
    _refuse_other(other, "view", where)

    def declare(name: str, steps: Sequence[Transform]) -> View:
        _named(name, "view", where)
        _check_view(name, source, keys, bucket, measures, where)
        signed = of_view(name, measures, source.sign, where)
        bound = {key: m.bound(source.event_time, where=where) for key, m in signed.items()}
        _check_dimensions(name, keys, dimensions, where)
        if not (speed or batch):
            raise DeclarationError(f"view {name}: with speed=False and batch=False nothing computes it", where=where)
        gates = checked(name, promote_if, measures, where)
        return View(
            name, source, tuple(steps), tuple(keys), bucket, bound, where, tuple(dimensions), speed, batch, gates
        )

    if name is None:
        return lambda function: declare(function.__name__, [function])
    return declare(name, [transform] if callable(transform) else transform)


def _check_view(
    name: str, source: Source, keys: Sequence[str], bucket: str | None, measures: Mapping[str, Measure], where: str
) -> None:
    if not isinstance(source, Source):  # the types say so; a user without a type checker may not
        raise DeclarationError(f"view {name}: source must be a dv.source, not {source!r}", where=where)
    if isinstance(keys, str):
        raise DeclarationError(f"view {name}: keys must be a list of columns, as in keys=['{keys}']", where=where)
    for column in keys:
        if not isinstance(column, str) or not column or column.startswith("_"):
            raise DeclarationError(f"view {name}: '{column}' cannot be a key: it names no column", where=where)
    names = [*keys, *measures]
    for repeated in {n for n in names if names.count(n) > 1}:
        raise DeclarationError(f"view {name}: '{repeated}' is used twice among keys and measures", where=where)
    if "bucket" in names:
        raise DeclarationError(f"view {name}: 'bucket' is the name of the time column in answers", where=where)
    if bucket is not None:
        bucket_seconds(bucket)
        if source.event_time is None:
            raise DeclarationError(
                f"view {name}: bucket='{bucket}' needs a time",
                where=where,
                next=f"give source {source.name} event_time=",
            )
    if not measures:
        raise DeclarationError(f"view {name} has no measures", where=where, next="add one, as in {'rows': dv.count()}")
    for key, measure in measures.items():
        if not NAME.fullmatch(key):
            raise DeclarationError(f"view {name}: measure '{key}': {_NAME_RULE}", where=where)
        if not isinstance(measure, Measure):
            raise DeclarationError(
                f"view {name}: measure '{key}' is {measure!r}, not a dv.count(), dv.sum(…)…", where=where
            )


def _check_dimensions(name: str, keys: Sequence[str], dimensions: Sequence[Dimension], where: str) -> None:
    for given in dimensions:
        if not isinstance(given, Dimension):
            raise DeclarationError(f"view {name}: dimensions holds {given!r}, not a dv.dimension(…)", where=where)
        if given.key not in keys:
            raise DeclarationError(
                f"view {name}: dimension {given.name} is looked up by {given.key}, which is no key of the view",
                where=where,
                next=f"add '{given.key}' to keys",
            )
    names = [d.name for d in dimensions]
    for repeated in {n for n in names if names.count(n) > 1}:
        raise DeclarationError(f"view {name}: dimension {repeated} is given twice", where=where)


_NAME_RULE = "a name is a lower-case letter, then lower-case letters, digits and _, 63 at most"


def _named(name: str, kind: str, where: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(f"{kind} {name!r}: {_NAME_RULE}", where=where)


def _refuse_other(other: Mapping[str, object], kind: str, where: str) -> None:
    for name in other:
        raise DeclarationError(f"{kind}: {unknown('argument', name, _ARGUMENTS[kind])}", where=where)


_ARGUMENTS = {
    "source": [
        "topic",
        "format",
        "schema",
        "event_time",
        "event_id",
        "dedup_horizon",
        "rules",
        "subject",
        "sensitive",
        "owner",
    ],
    "view": ["source", "transform", "keys", "bucket", "measures", "dimensions", "speed", "batch", "promote_if"],
}
