"""The forms an answer is sent in, chosen by the request's Accept header."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import csv

from dovetail.serving import json_rows
from dovetail.serving.answer import Shown
from dovetail.serving.problems import NotAcceptable
from dovetail.serving.values import rendered, texts_of

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
RECEIPT = "Dovetail-Receipt"
"""The header that an answer's receipt is in, as JSON, where the body has no room for it."""
IN_SCHEMA = b"dovetail.receipt"
"""What an Arrow stream's schema calls it."""
LONGEST_HEADER = 8_000
"""Characters; of a longer receipt the header leaves out what grows, and GET /v1/receipts/{id} has it all."""
GROWING = ("gaps", "position", "cut", "runs", "imports")


def chosen(accept: str) -> str:
    """The media type that a client likes best of those there are; JSON where it does not say.

    Raises:
        NotAcceptable: it takes none of them.

    >>> chosen(""), chosen("text/html,*/*;q=0.8"), chosen("text/csv;q=0.5, application/x-ndjson")
    ('application/json', 'application/json', 'application/x-ndjson')
    """
    if not accept or accept == "*/*":
        return JSON
    liked = [(_quality(accept, kind), kind) for kind in (JSON, *WRITERS)]
    quality, kind = max(liked, key=lambda pair: pair[0])
    if not quality:
        raise NotAcceptable(f"none of what the request accepts is there: {', '.join((JSON, *WRITERS))}")
    return kind


def body_of(rows: bytes, receipt: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """The JSON document of an answer; with `receipts` where it is made of the answers of several views."""
    several = (b',"receipts":', orjson.dumps(receipts)) if receipts else ()
    return b"".join((b'{"rows":', rows, b',"receipt":', orjson.dumps(receipt), *several, b"}"))


def header_of(receipt: Mapping[str, Any]) -> str:
    """The receipt as JSON in ASCII, as a header can hold it."""
    text = json.dumps(receipt, separators=(",", ":"))
    if len(text) <= LONGEST_HEADER:
        return text
    return json.dumps({k: v for k, v in receipt.items() if k not in GROWING}, separators=(",", ":"))


def _ndjson(shown: Shown, _: Mapping[str, Any]) -> bytes:
    """A row a line."""
    return json_rows.lines_of(shown.table, shown.kinds)


def _csv(shown: Shown, _: Mapping[str, Any]) -> bytes:
    """With a line of names. Texts are quoted, null is not: so it differs from an empty text."""
    columns = [_flat(shown.table[name], kind) for name, kind in shown.kinds.items()]
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table(columns, names=list(shown.kinds)), sink)
    return bytes(sink.getvalue())


def _arrow(shown: Shown, receipt: Mapping[str, Any]) -> bytes:
    """One IPC stream, the types as declared, decimals as decimals, and the receipt in the schema's metadata."""
    columns = [shown.table[name].cast(kind) for name, kind in shown.kinds.items()]
    table = pa.table(columns, names=list(shown.kinds)).replace_schema_metadata({IN_SCHEMA: orjson.dumps(receipt)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


WRITERS: Mapping[str, Callable[[Shown, Mapping[str, Any]], bytes]] = {NDJSON: _ndjson, CSV: _csv, ARROW: _arrow}


def _flat(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """A column that CSV can hold: lists and structs as JSON, all as text where NaN or an infinity is one already."""
    if pa.types.is_integer(kind) or pa.types.is_string(kind):
        return column
    if (texts := texts_of(column, kind)) is not None:
        return texts
    values = rendered(column, kind)
    if any(isinstance(v, list | dict) for v in values):
        return pa.array([orjson.dumps(v).decode() if v is not None else None for v in values])
    if any(isinstance(v, str) for v in values):
        return pa.array([str(v) if v is not None else None for v in values])
    return pa.array(values)


def _quality(accept: str, kind: str) -> float:
    """How much a client likes a media type, by the most specific range that names it (RFC 9110, 12.5.1)."""
    best = (-1, 0.0)
    for part in accept.split(","):
        named, *parameters = (p.strip().lower() for p in part.split(";"))
        ranges = ("*/*", f"{kind.partition('/')[0]}/*", kind)
        if named in ranges:
            best = max(best, (ranges.index(named), _q(parameters)))
    return best[1]


def _q(parameters: Sequence[str]) -> float:
    for text in parameters:
        name, _, value = text.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
