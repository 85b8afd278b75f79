"""Many rows as JSON, made of whole columns: Arrow joins their texts while Python's lock is free for others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from dovetail.serving.values import rendered, texts_of

AT_ONCE = 10_000
"""Rows that are made at a time: what they are made of takes megabytes, and Python's lock a millisecond a column."""
ESCAPED = r'["\\\x00-\x1f]'
"""Characters that stand in no JSON text as they are."""


def array_of(table: pa.Table, kinds: Mapping[str, pa.DataType]) -> bytes:
    """The rows as an array of objects; the columns are values as held in memory, of the types in `kinds`."""
    return b"[" + b"".join(_objects(table, kinds, "},"))[:-1] + b"]"


def lines_of(table: pa.Table, kinds: Mapping[str, pa.DataType]) -> bytes:
    """The rows as objects, each on a line of its own."""
    return b"".join(_objects(table, kinds, "}\n"))


def _objects(table: pa.Table, kinds: Mapping[str, pa.DataType], end: str) -> Iterator[memoryview]:
    """One object after the other, in parts."""
    for first in range(0, table.num_rows, AT_ONCE):
        part, pieces = table.slice(first, AT_ONCE), list[str | pa.Array]()
        for name, kind in kinds.items():
            pieces += ["," if pieces else "{", f"{orjson.dumps(name).decode()}:", _texts(part[name], kind)]
        yield _end_to_end(pc.binary_join_element_wise(*pieces, end, ""))


def _texts(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """The JSON of each value."""
    values = column.combine_chunks()
    if pa.types.is_integer(kind):
        return pc.fill_null(values.cast(pa.string()), "null")
    if (texts := texts_of(values, kind)) is not None:
        return _in_quotes(texts)
    if pa.types.is_string(kind) and not pc.any(pc.match_substring_regex(values, ESCAPED)).as_py():
        return _in_quotes(values)
    if pa.types.is_floating(kind):  # as JSON in one, which has no comma within a number or a name like Infinity
        return pa.array(orjson.dumps(rendered(values, kind))[1:-1].decode().split(","))
    if pa.types.is_timestamp(kind):  # each once: an answer by time has the same instants over and over
        each = values.dictionary_encode()
        return pc.fill_null(_one_by_one(each.dictionary, kind).take(each.indices), "null")
    return _one_by_one(values, kind)


def _one_by_one(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.array([orjson.dumps(v).decode() for v in rendered(values, kind)], pa.string())


def _in_quotes(texts: pa.Array) -> pa.Array:
    return pc.fill_null(pc.binary_join_element_wise('"', texts, '"', ""), "null")


def _end_to_end(texts: pa.Array) -> memoryview:
    """All of them, as they lie one after the other in memory."""
    _, ends, data = texts.buffers()
    return memoryview(data)[: memoryview(ends).cast("i")[len(texts)]]
