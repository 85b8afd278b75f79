"""Change events of a table (CDC): a record says how one row changed, views see it as signed rows. SQL, without Spark.

An insert gives the row after it with sign 1, a delete the row before it with sign -1, an update both: what was counted
of a row is taken back exactly, in whatever group and bucket it was. A record is still one record: decoded, judged,
counted in the books and found to be a repeat as one; rows are made of it where a transform begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.shared.caller import caller
from dovetail.shared.conditions import quoted
from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.rules import AnyRule, Rule

FORMATS = ("debezium",)
OP, BEFORE, CHANGE = "_op", "_before", "_change"
"""Of a decoded record: what happened, the row before an update, and where the database's log says so."""
HIDDEN = (OP, BEFORE, CHANGE)
TOMBSTONES = Rule("no tombstone", "true", "drop")
"""A record without a value only lets Kafka forget a key: what it deletes was said by the record before."""
LOG = ("lsn", "file", "pos", "row", "change_lsn", "event_serial_no", "scn", "rs_id", "ssn")
"""Fields of `source` that together say where in a database's log a change stands: of PostgreSQL, MySQL, SQL Server and
Oracle. Debezium, connectors, "data change events"."""
ENVELOPE = (
    "if(_json.record.payload is not null, _json.record.payload, named_struct("
    + ", ".join(f"'{part}', _json.record.{part}" for part in ("before", "after", "source", "op"))
    + "))"
)
"""A change as it stands, or in the `payload` of a JsonConverter with schemas."""
GIVEN = (
    "case when spark_partition_id() >= 0 and _json.corrupt is not null then from_json(cast(_value as string), "
    "'struct<before: map<string, string>, after: map<string, string>, "
    "payload: struct<before: map<string, string>, after: map<string, string>>>') end"
)
"""The fields of a record that could not be read whole, as texts; worked out once, as in `decode`."""
FULL = "set REPLICA IDENTITY FULL on the table"


@dataclass(frozen=True)
class Changes:
    """Each record says how a row of a table changed; see `changes`."""

    name: str = "debezium"
    sign: str = "sign"

    def columns(self, declared: Mapping[str, str]) -> dict[str, str]:
        """What a record is decoded into: its row after the change, or the one deleted, and HIDDEN."""
        fields = ", ".join(f"`{name}`: {kind}" for name, kind in declared.items())
        return {**declared, OP: "string", BEFORE: f"struct<{fields}>", CHANGE: "string"}


def changes(*, format: str = "debezium", sign: str = "sign") -> Changes:  # noqa: A002
    """Records that say how rows of a table changed, as Debezium writes them in JSON, with or without schemas.

    The schema declares the table's columns. Views see a row of `sign` 1 for an insert, one of -1 for a delete, and for
    an update the row before it with -1 and the one after it with 1. Their measures go by it without being told.

    Args:
        format: "debezium".
        sign: how that column is called; an int that every transform has to keep.

    Raises:
        DeclarationError: another format, or no name.
    """
    if format not in FORMATS:
        raise DeclarationError(f"changes: {unknown('format', str(format), FORMATS)}", where=caller())
    if not isinstance(sign, str) or not sign.isidentifier() or sign.startswith("_"):
        raise DeclarationError(f"changes: sign={sign!r} is no name of a column", where=caller(), next='sign="sign"')
    return Changes(format, sign)


def refuse_taking_out(rules: Sequence[AnyRule]) -> None:
    """Raises DeclarationError at a rule that takes changes out: what they were to take back would count for ever."""
    for rule in rules:
        if rule.otherwise in ("drop", "quarantine"):
            raise DeclarationError(
                f"rule '{rule.name}': otherwise='{rule.otherwise}' takes a change out, and the row it replaces would "
                "count for ever",
                where=rule.where,
                next="filter rows in a transform, which leaves them out before and after a change; or otherwise='fail'",
            )


def record_type(decoder: Mapping[str, Any]) -> str:
    """The type of a record's JSON. Timestamps are read as text: a number of theirs would be taken for seconds."""
    fields = ", ".join(f"`{c}`: {'string' if _zoned(kind) else kind}" for c, kind in declared(decoder).items())
    parts = f"before: struct<{fields}>, after: struct<{fields}>, source: map<string, string>, op: string"
    return f"struct<{parts}, payload: struct<{parts}>>"


def decoded_columns(decoder: Mapping[str, Any]) -> list[str]:
    """SQL of the columns of a record whose change is in `_envelope`."""
    columns = declared(decoder)
    image = "if(_envelope.op = 'd', _envelope.before, _envelope.after)"
    made = [f"{_value(image, c, kind)} as `{c}`" for c, kind in columns.items()]
    row = ", ".join(f"{quoted(c)}, {_value('_envelope.before', c, kind)}" for c, kind in columns.items())
    before = f"case when _envelope.op = 'u' and _envelope.before is not null then named_struct({row}) end as {BEFORE}"
    place = ", ".join(f"try_element_at(_envelope.source, '{field}')" for field in LOG)
    return [*made, f"_envelope.op as {OP}", before, f"nullif(concat_ws(' ', {place}), '') as {CHANGE}"]


def unreadable(decoder: Mapping[str, Any]) -> str:
    """SQL: why a record is no change that can be counted; null where it is one."""
    e, columns = "_envelope", declared(decoder)
    images = {"before": f"{e}.op in ('u', 'd')", "after": f"{e}.op in ('c', 'r', 'u')"}
    whens = [
        ("_value is null", TOMBSTONES.reason),
        ("not is_valid_utf8(_value)", "not UTF-8"),
        ("_json.record is null or _json.`end` is null", "not a JSON object"),
        (f"{e}.op is null", "no op: it is no change as Debezium writes one"),
        (f"{e}.op = 't'", "the table was truncated: which rows that takes back it does not say"),
        (f"{e}.op not in ('c', 'r', 'u', 'd')", "op is none of c, r, u and d"),
    ]
    whens += [
        (f"_json.corrupt is not null and {_clash(i, c)}", _said(c, k)) for c, k in columns.items() for i in images
    ]
    whens += [("_json.corrupt is not null", "a field in it is not of its type")]
    whens += [(f"{there} and {e}.{i} is null", _absent(i)) for i, there in images.items()]
    for image, there in images.items():
        for column, kind in columns.items():
            if _zoned(kind):
                wrong = f"{e}.{image}.`{column}` is not null and {_value(f'{e}.{image}', column, kind)} is null"
                whens.append((f"{there} and {wrong}", _said(column, kind)))
        for column in dict.fromkeys([decoder["event_time"], *decoder.get("event_id", ())]):
            if column in columns:
                said = f"no {column} in before: {FULL}" if image == "before" else f"no {column}"
                whens.append((f"{there} and {e}.{image}.`{column}` is null", said))
    if CHANGE in decoder.get("event_id", ()):
        whens.append((" and ".join(f"try_element_at({e}.source, '{f}') is null" for f in LOG), "no place in source"))
    return f"case {' '.join(f'when {sql} then {quoted(said)}' for sql, said in whens)} end"


def rows(decoder: Mapping[str, Any]) -> str:
    """SQL: a generator of the rows that a decoded record gives."""
    sign = decoder["sign"]

    def row(of: str, value: str) -> str:
        fields = ", ".join(f"{quoted(c)}, {of}`{c}`" for c in declared(decoder))
        return f"named_struct({fields}, {quoted(sign)}, {value})"

    before = f"if({BEFORE} is not null, {row(f'{BEFORE}.', '-1')}, null)"
    after = row("", f"if({OP} = 'd', -1, 1)")
    return f"inline(array_compact(array({before}, {after})))"


def declared(decoder: Mapping[str, Any]) -> dict[str, str]:
    """The columns of the table."""
    return {name: kind for name, kind in decoder["schema"].items() if name not in HIDDEN}


def image(value: bytes | None) -> bytes | None:
    """The row of a change as JSON: after it, or the one deleted; null where it has none."""
    try:
        found = json.loads(value or b"")
        change = found.get("payload") or found
        row = change.get("after") or change.get("before")
    except (ValueError, AttributeError, RecursionError):
        return None
    return json.dumps(row).encode() if row else None


def _zoned(kind: str) -> bool:
    return kind.lower() == "timestamp"


def _value(image: str, column: str, kind: str) -> str:
    value = f"{image}.`{column}`"
    # A text of a time alone would be taken for today's.
    return f"if({value} like '%____-__-__%', try_cast({value} as timestamp), null)" if _zoned(kind) else value


def _clash(image: str, column: str) -> str:
    raw = f"coalesce(_given.payload.{image}, _given.{image})"
    return f"_envelope.{image}.`{column}` is null and try_element_at({raw}, {quoted(column)}) is not null"


def _said(column: str, kind: str) -> str:
    return f"{column} is not {kind}"


def _absent(image: str) -> str:
    return "no after" if image == "after" else f"no row before the change: {FULL}"
