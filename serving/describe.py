"""What a view says about itself, and the description of a question for /docs."""

from __future__ import annotations

from typing import Any

import orjson

from dovetail.serving import lookup
from dovetail.serving.live import OF_ONE_ANSWER
from dovetail.serving.query import LIMIT, LONGEST, MOST, TIMEOUT
from dovetail.serving.seen import Seen
from dovetail.serving.shape import type_name
from dovetail.serving.view import View
from dovetail.shared.duration import length
from dovetail.shared.errors import DovetailError

ADDITIVE = ("count", "sum")
"""Measures whose answers of the two layers add up to the merged one."""


def refusal(view: View) -> DovetailError | None:
    """Why questions are refused now; None where they are answered."""
    try:
        view.edition  # noqa: B018  raises where there is none
    except DovetailError as error:
        return error
    return None


def standing(view: View) -> str:
    """`ready`, or why questions are refused now."""
    refused = refusal(view)
    return refused.what if refused else "ready"


def line(view: View) -> dict[str, Any]:
    """A view in a list."""
    edition = view.published
    return {
        "view": view.name,
        "version": edition.shape.version if edition else None,
        "seq": edition.seq if edition else None,
        "standing": standing(view),
    }


def whole(view: View, seen: Seen) -> dict[str, Any]:
    """Keys with their types as they are seen, bucket, measures, and what answers are made of; `additive` are those
    measures that may be asked of one layer alone and add up.

    Raises where the view cannot answer.
    """
    edition = view.edition
    shape, manifest = edition.shape, edition.manifest
    return {
        "view": view.name,
        "version": shape.version,
        "source": shape.source,
        "keys": {name: type_name(seen.type(shape, name)) for name in shape.keys},
        "masked": {name: str(mask) for name, mask in sorted(seen.masks.items())},
        "bucket": length(shape.bucket_seconds) if shape.bucket_seconds else None,
        "measures": {name: type_name(shape.presented(name).result) for name in shape.measures},
        "additive": [n for n, m in shape.measures.items() if m.name in ADDITIVE and not (seen.hides(n) or seen.floor)],
        "parts": {name: list(m.presenter.parts) for name, m in shape.measures.items() if m.presenter.parts},
        "accuracy": {name: m.presenter.accuracy for name, m in shape.measures.items() if m.presenter.accuracy},
        "dimensions": {
            d.name: {
                "key": d.key,
                "version": d.n,
                "columns": {n: type_name(seen.type(shape, f"{d.name}.{n}")) for n in d.types},
                **view.dimensions.standing(d.name),
            }
            for d in shape.dimensions
        },
        "generation": manifest.generation,
        "runs": [{"id": r.id, "from_seq": r.from_seq, "to_seq": r.to_seq, "records": r.records} for r in manifest.runs],
        "cut": manifest.cut.as_json(),
        "position": edition.position.as_json(),
        "seq": edition.seq,
    }


_TEXTS = {
    "by": ("list", "Keys or columns of dimensions to group by, separated by commas; none: one total."),
    "measures": ("list", "Measures to show, or parts of them, as in buyers.low; default all."),
    "bucket": ("string", "Also group by time: a multiple of the stored bucket, such as 1h or 1d, counted from "
        "1970-01-01; 1w is a week from Monday, 1mo a month, 1q a quarter, 1y a year. Shown as its first instant."),
    "window": ("string", "Each row merges this much time, up to the end of its bucket: window=7d with bucket=1d. "
        "Default bucket: the stored one. Days, weeks and months go back on the calendar of tz. start and end say which "
        "rows are shown; what lies before start is merged. Records without a time are in no window."),
    "fill": ("string", "Also a row for each bucket without records, for every group in the answer, from start (or the "
        "first with records) to end (or the last). null: its measures are null. zero: they are what they say of no "
        f"rows, or 0 where that is null and they are numbers, averages too. At most {MOST} rows are added."),
    "start": ("string", "Only from here on: an ISO 8601 date or datetime on a boundary of stored buckets."),
    "end": ("string", "Only before here; excluded."),
    "tz": ("string", "The IANA zone of buckets and of times without an offset; default UTC."),
    "order_by": ("list", "Columns of the answer, with - for descending; nulls last; default the grouped columns."),
    "limit": ("integer", f"Rows at most; default {LIMIT}, at most {MOST}. `more` in the receipt: some were cut off."),
    "at_least": ("string", "Wait for an answer that includes this ledger seq, or this record as partition@offset."),
    "as_of": ("string", "The answer that the receipt of this id stands for, or 410 where it is not kept any more."),
    "cursor": ("string", "The page after one of which `more` was cut off: its `receipt.next`, and all else as there. "
        "Pages are of one answer, whatever comes meanwhile."),
    "max_age": ("string", "Wait for an answer that is no further behind the log than this: 500 ms, 30s, 5m."),
    "complete": ("string", "required: 409 rather than an answer that lacks records which are gone."),
    "timeout": ("number", f"Seconds to wait for at_least and max_age; default {TIMEOUT:g}, at most {LONGEST:g}."),
    "layer": ("string", "batch: only what lies below the receipt's cut; speed: only what lies from there up to "
        "its position; default both. The receipt says it too. Not with a grant that has a floor."),
    "where.KEY": ("list", "Only these values of a key or a dimension's column, separated by commas; "
        "a backslash keeps a comma in a value."),
    "where.KEY.null": ("boolean", "true: null matches too."),
    "where.KEY.OPERATOR": ("list", "lt, lte, gt, gte: below or above one value, which null never is. prefix: a text "
        "that begins so. not: none of these values; where.KEY=A and where.KEY.not=A share out all rows, those of null "
        "too, and where.KEY.not.null=true leaves null out."),
    "having.MEASURE": ("list", "The same of a measure of the answer, as in having.revenue.gte=100; limit counts the "
        "rows that are left."),
}  # fmt: skip
PARAMETERS = [
    {"name": name, "in": "query", "required": False, "description": text, "schema": {
        "type": "string" if kind == "list" else kind}}
    for name, (kind, text) in _TEXTS.items()
]  # fmt: skip
LIVE_TEXT = (
    "Server-sent events. `answer`: the JSON of a query in one line, its receipt's id as the event's; sent at once, and "
    "when the rows are others than those sent last. `problem`: why there is no answer now, once, as problem+json; the "
    "next answer follows when there is one. Sends a comment every 10 s."
)
LIVE: dict[str, Any] = {
    "parameters": [
        *(p for p in PARAMETERS if p["name"] not in OF_ONE_ANSWER),
        {"name": "every", "in": "query", "required": False, "schema": {"type": "string"}, "description":
            "The least time between two events, from 50ms to 60s; default 100ms. Only the newest answer is sent."},
        {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}, "description":
            "The receipt seen last: where its rows are those of now, nothing is sent until they change."},
    ],
    "responses": {"200": {"description": "Events until either side ends it.", "content": {"text/event-stream": {}}}},
}  # fmt: skip
BODY = {
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "example": {"by": ["country"], "where": {"country": ["FR", None]}, "bucket": "1d", "limit": 10},
        }
    }
}
LOOKUP = {"content": {"application/json": {"schema": {"type": "object"}, "example": orjson.loads(lookup.EXAMPLE)}}}
EXPIRES = "30d"
EMBEDDED = '{"question": "by=country&measures=revenue", "expires": "30d"}'
EMBED_TEXT = (
    "Whoever has the link sees the answer to this one question, as your grant shows it, until the link expires or your "
    "key, the grant or its role share is taken away. It counts as your key asking."
)
EMBED = {"content": {"application/json": {"schema": {"type": "object"}, "example": orjson.loads(EMBEDDED)}}}
STATEMENT = '{"sql": "SELECT country, MEASURE(revenue) FROM sales GROUP BY country"}'
SQL = {"content": {"application/json": {"schema": {"type": "object"}, "example": orjson.loads(STATEMENT)}}}
