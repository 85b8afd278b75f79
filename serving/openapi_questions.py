"""The parameters and bodies of questions as /docs and the OpenAPI description have them."""

from __future__ import annotations

from typing import Any, get_args

import orjson

from dovetail.serving import lookup
from dovetail.serving.fields import LONGEST_LIST, SCALARS
from dovetail.serving.live import OF_ONE_ANSWER
from dovetail.serving.past import ID
from dovetail.serving.query import LIMIT, LONGEST, MOST, TIMEOUT, Fill, Layer
from dovetail.serving.where import COMPARED, OPS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
LENGTH: Schema = {"type": "string", "pattern": r"^\s*[0-9]{1,9}\s*[a-z]+\s*$"}
"""A length of time."""
TEXTS = {
    "by": "Keys or columns of dimensions to group by, separated by commas; none: one total.",
    "measures": "Measures to show, or parts of them, as in buyers.low; default all.",
    "bucket": "Also group by time: a multiple of the stored bucket, such as 1h or 1d, counted from "
        "1970-01-01; 1w is a week from Monday, 1mo a month, 1q a quarter, 1y a year. Shown as its first instant.",
    "window": "Each row merges this much time, up to the end of its bucket: window=7d with bucket=1d. "
        "Default bucket: the stored one. Days, weeks and months go back on the calendar of tz. start and end say which "
        "rows are shown; what lies before start is merged. Records without a time are in no window.",
    "fill": "Also a row for each bucket without records, for every group in the answer, from start (or the "
        "first with records) to end (or the last). null: its measures are null. zero: they are what they say of no "
        f"rows, or 0 where that is null and they are numbers, averages too. At most {MOST} rows are added.",
    "start": "Only from here on: an ISO 8601 date or datetime on a boundary of stored buckets.",
    "end": "Only before here; excluded.",
    "tz": "The IANA zone of buckets and of times without an offset; default UTC.",
    "order_by": "Columns of the answer, with - for descending; nulls last; default the grouped columns.",
    "limit": f"Rows at most; default {LIMIT}, at most {MOST}. `more` in the receipt: some were cut off.",
    "at_least": "Wait for an answer that includes this ledger seq, or this record as partition@offset.",
    "as_of": "The answer that the receipt of this id stands for, or 410 where it is not kept any more.",
    "cursor": "The page after one of which `more` was cut off: its `receipt.next`, and all else as there. "
        "Pages are of one answer, whatever comes meanwhile.",
    "max_age": "Wait for an answer that is no further behind the log than this: 500 ms, 30s, 5m.",
    "complete": "required: 409 rather than an answer that lacks records which are gone.",
    "timeout": f"Seconds to wait for at_least and max_age; default {TIMEOUT:g}, at most {LONGEST:g}.",
    "layer": "batch: only what lies below the receipt's cut; speed: only what lies from there up to its position; "
        "default both. The receipt says it too. Not with a grant that has a floor.",
    "where.KEY": "Only these values of a key or a dimension's column, separated by commas; "
        "a backslash keeps a comma in a value.",
    "where.KEY.null": "true: null matches too.",
    "where.KEY.OPERATOR": "lt, lte, gt, gte: below or above one value, which null never is. prefix: a text "
        "that begins so. not: none of these values; where.KEY=A and where.KEY.not=A share out all rows, those of null "
        "too, and where.KEY.not.null=true leaves null out.",
    "having.MEASURE": "The same of a measure of the answer, as in having.revenue.gte=100; limit counts the "
        "rows that are left.",
    "every": "The least time between two events, from 50ms to 60s; default 100ms. Only the newest answer is sent.",
}  # fmt: skip
IN_URL: dict[str, Schema] = {
    **dict.fromkeys(("by", "measures", "order_by", "start", "end", "tz"), TEXT),
    "bucket": LENGTH,
    "window": LENGTH,
    "fill": {"enum": [*get_args(Fill)]},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST},
    "at_least": {"type": "string", "pattern": "^([0-9]{1,18}|[0-9]{1,9}@[0-9]{1,18})$"},
    "as_of": {"type": "string", "pattern": f"^{ID.pattern}$"},
    "cursor": {"type": "string", "pattern": f"^{ID.pattern}~[0-9]{{1,11}}$"},
    "max_age": {"type": "string", "pattern": r"^(\s*[0-9]{1,9}\s*[a-z]+\s*|[0-9]{1,9})$"},
    "complete": {"enum": ["required"]},
    "layer": {"enum": [*get_args(Layer)]},
    "timeout": {"type": "number", "minimum": 0, "maximum": LONGEST},
    "every": LENGTH,
}
EXAMPLES = {
    **SCALARS, "by": "country,product", "measures": "lines,revenue", "order_by": "-revenue", "every": "1s",
    "where.KEY": {"where.country": "FR,DE"}, "where.KEY.null": {"where.country.null": "true"},
    "where.KEY.OPERATOR": {"where.product.gte": "2"}, "having.MEASURE": {"having.revenue.gte": "100"},
    "limit": 100, "timeout": 5,
}  # fmt: skip
_OPS = "|".join(OPS)
CONDITIONS = {
    "where.KEY": (r"^where\.[^.].*$", TEXT),
    "where.KEY.null": (rf"^where\.[^.].*?(\.({_OPS}))?\.null$", {"enum": ["true"]}),
    "where.KEY.OPERATOR": (rf"^where\.[^.].*\.({_OPS})$", TEXT),
    "having.MEASURE": (rf"^having\.[^.].*?(\.({_OPS}))?$", TEXT),
}
"""The names that stand for many, and what each of those is."""


def parameters(*without: str) -> list[Schema]:
    """The parameters of a question in a URL. Those that stand for many names are objects with these as properties."""
    return [_parameter(name, text) for name, text in TEXTS.items() if name not in without]


def _parameter(name: str, text: str) -> Schema:
    found: Schema = {"name": name, "in": "query", "required": False, "description": text, "example": EXAMPLES[name]}
    if name not in CONDITIONS:
        return {**found, "schema": IN_URL[name]}
    pattern, value = CONDITIONS[name]
    many = {"type": "object", "patternProperties": {pattern: value}, "additionalProperties": False}
    return {**found, "style": "form", "explode": True, "schema": many}


def header(name: str, text: str) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": TEXT, "description": text}


VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
SOME: Schema = {"anyOf": [VALUE, {"type": "array", "minItems": 1, "maxItems": LONGEST_LIST, "items": VALUE}]}
ONE: Schema = {"type": ["string", "number", "boolean"]}
_BY_OP = {"in": SOME, **{op: ONE if op in (*COMPARED, "prefix") else SOME for op in OPS}}
CONDITION: Schema = {
    "anyOf": [*SOME["anyOf"], {"type": "object", "properties": _BY_OP, "additionalProperties": False}],
}
"""A value, several, or these by operator."""
NAMES: Schema = {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "maxItems": LONGEST_LIST, "items": TEXT}]}

ALSO_IN_BODY: dict[str, Schema] = {
    "at_least": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "max_age": {"type": "integer", "minimum": 0, "maximum": 10**9 - 1},
    "limit": {"type": "string", "pattern": "^[0-9]+$"},
    "timeout": {"type": "string", "pattern": r"^[0-9.eE+-]+$"},
}


def _in_body(name: str) -> Schema:
    """What a field may be in a body, where a number may also stand as a text and null is nothing."""
    if name in ("by", "measures", "order_by"):
        return {**NAMES, "description": TEXTS[name]}
    own = [IN_URL[name], *([ALSO_IN_BODY[name]] if name in ALSO_IN_BODY else [])]
    return {"anyOf": [*own, {"type": "null"}], "description": TEXTS[name]}


def _body(properties: Schema, example: str | Schema, *required: str) -> Schema:
    schema = {
        "type": "object", "properties": properties, "required": [*required], "additionalProperties": False,
    }  # fmt: skip
    shown = orjson.loads(example) if isinstance(example, str) else example
    return {"required": True, "content": {"application/json": {"schema": schema, "example": shown}}}


_FIELDS = {name: _in_body(name) for name in (*SCALARS, "by", "measures", "order_by")}
_CONDITIONS: Schema = {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Condition"}}
STATEMENT = '{"sql": "SELECT country, MEASURE(revenue) FROM sales GROUP BY country"}'
LOOKED_UP: Schema = {
    "type": "array", "minItems": 1, "maxItems": lookup.MOST,
    "items": {"type": "object", "additionalProperties": VALUE},
    "description": "Objects that name every key of the view.",
}  # fmt: skip
QUERY_BODY = _body(
    {**_FIELDS, "where": _CONDITIONS, "having": _CONDITIONS},
    {"by": ["country"], "where": {"country": ["FR", None]}, "bucket": "1d", "limit": 10},
)
LOOKUP_BODY = _body({"keys": LOOKED_UP, **{name: _FIELDS[name] for name in lookup.TAKEN}}, lookup.EXAMPLE, "keys")
EXPIRES = "30d"
EMBEDDED = '{"question": "by=country&measures=revenue", "expires": "30d"}'
EMBED_BODY = _body(
    {
        "question": {**TEXT, "description": "As in the URL of a query; default all in one row."},
        "expires": {**LENGTH, "description": f"How long it can be seen; default {EXPIRES}."},
    },
    EMBEDDED,
)
SQL_BODY = _body({"sql": {**TEXT, "maxLength": 8 << 10}}, STATEMENT, "sql")
KNOWN = header("If-None-Match", "The ETag of an answer that is held: 304 where that is the answer still.")
LAST = header(
    "Last-Event-ID", "The receipt seen last: where its rows are those of now, nothing is sent until they change."
)
OF_QUERY = [*parameters("every"), KNOWN]
OF_LIVE = [*parameters(*OF_ONE_ANSWER), LAST]
