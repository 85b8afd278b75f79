"""From a record's bytes to columns by a Python library, in Arrow: run by Spark's workers, to which it is sent whole.

So it imports nothing of Dovetail, and a worker needs the library of the format, Arrow and nothing else.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from pyspark.sql import types as T

Fields = Mapping[str, Any]
Reader = Callable[[bytes, int, int], Fields]
"""From a record's value, partition and offset to its fields; raises Unread."""
EXACT = Context(prec=100)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unread(Exception):
    """Why a record is in quarantine."""


class Misfit(Exception):
    """A value does not fit its type."""


@dataclass(frozen=True)
class Plan:
    """All that a worker is told: the columns with their types, as declared and as Spark's, and how to read a record.

    `schemas` are by id the kind and the texts of what a registry holds; `unknown` by id and partition the offset below
    which a record counts as of an unknown one.
    """

    texts: Mapping[str, str]
    types: T.StructType
    format: str
    how: Mapping[str, Any]
    schemas: Mapping[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    unknown: Mapping[int, Mapping[int, int]] = field(default_factory=dict)


def columns(plan: Plan, reason: str, arrow: pa.DataType) -> Callable[[Iterator[Any]], Iterator[pa.Array]]:
    """What Spark calls with values, partitions and offsets: for each record the columns and, as `reason`, why there
    are none."""

    def read(batches: Iterator[tuple[pa.Array, pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        reader = READERS[plan.format](plan)
        for values, partitions, offsets in batches:
            places = zip(values.to_pylist(), partitions.to_pylist(), offsets.to_pylist(), strict=True)
            rows = [_row(plan, reader, reason, *place) for place in places]
            yield pa.array(rows, arrow)

    return read


def _row(plan: Plan, reader: Reader, reason: str, value: bytes | None, partition: int, offset: int) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        fields = reader(value, partition, offset)
    except Unread as error:
        return {reason: str(error)}
    row = {}
    for column in plan.types:
        try:
            row[column.name] = fitted(column.dataType, fields.get(column.name))
        except Misfit:
            return {reason: f"{column.name} is not {plan.texts[column.name]}"}
    return row


def fitted(kind: T.DataType, value: Any) -> Any:
    """A value as one of Spark's type, the same number to the last digit; raises Misfit."""
    if value is None:
        return None
    if isinstance(kind, T.ArrayType):
        return [fitted(kind.elementType, each) for each in _of(list, value)]
    if isinstance(kind, T.MapType):
        pairs = _of(dict, value).items()
        return [(fitted(kind.keyType, key), fitted(kind.valueType, each)) for key, each in pairs]
    if isinstance(kind, T.StructType):
        held = _of(dict, value)
        return {f.name: fitted(f.dataType, held.get(f.name)) for f in kind}
    if isinstance(kind, T.DecimalType):
        return _decimal(kind, value)
    return FITTED[type(kind)](value)


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise Misfit
    return value


def _whole(bits: int) -> Callable[[Any], int]:
    def fit(value: Any) -> int:
        if not -(2 ** (bits - 1)) <= _of(int, value) < 2 ** (bits - 1):
            raise Misfit
        return int(value)

    return fit


def _double(value: Any) -> float:
    if type(value) is int and abs(value) <= 2**53:
        return float(value)
    return float(_of(float, value))


def _float(value: Any) -> float:
    found = _double(value)
    try:
        (narrow,) = struct.unpack("f", struct.pack("f", found))
    except OverflowError:
        raise Misfit from None
    if narrow != found and found == found:
        raise Misfit
    return found


def _decimal(kind: T.DecimalType, value: Any) -> Decimal:
    if type(value) not in (int, str, Decimal) or (type(value) is str and not value.strip()):
        raise Misfit
    try:
        given = Decimal(value)
        found = given.quantize(Decimal(1).scaleb(-kind.scale), context=EXACT)
    except InvalidOperation:
        raise Misfit from None
    if found != given or (found.adjusted() >= kind.precision - kind.scale and found):
        raise Misfit
    return found


def _string(value: Any) -> str:
    return str(value) if isinstance(value, uuid.UUID) else str(_of(str, value))


def _timestamp(value: Any) -> datetime:
    if _of(datetime, value).tzinfo is None:
        raise Misfit
    return value  # type: ignore[no-any-return]


def _timestamp_ntz(value: Any) -> datetime:
    if _of(datetime, value).tzinfo is not None:
        raise Misfit
    return value  # type: ignore[no-any-return]


FITTED: dict[type[T.DataType], Callable[[Any], Any]] = {
    T.ByteType: _whole(8), T.ShortType: _whole(16), T.IntegerType: _whole(32), T.LongType: _whole(64),
    T.BooleanType: lambda v: _of(bool, v), T.DoubleType: _double, T.FloatType: _float, T.StringType: _string,
    T.BinaryType: lambda v: _of(bytes, v), T.DateType: lambda v: _of(date, v),
    T.TimestampType: _timestamp, T.TimestampNTZType: _timestamp_ntz,
}  # fmt: skip


def schema_id(value: bytes) -> int | None:
    """The id that a record begins with, as Confluent's serializers write it; None where there is none."""
    return int.from_bytes(value[1:5], "big") if len(value) >= 5 and value[0] == 0 else None


def avro(plan: Plan) -> Reader:
    """Reads Avro of one schema, or of the one that each record names."""
    if "schema" in plan.how:
        alone = _avro_schema((plan.how["schema"],))
        return lambda value, *_: _avro(value, 0, alone, "its schema")
    schemas = {number: _avro_schema(texts) for number, (kind, texts) in plan.schemas.items() if kind == "AVRO"}

    def read(value: bytes, partition: int, offset: int) -> Fields:
        number = schema_id(value)
        if number is None:
            raise Unread("no schema id: it does not begin as Confluent's serializers write it")
        if number not in plan.schemas or offset < plan.unknown.get(number, {}).get(partition, 0):
            raise Unread(f"schema {number} is unknown to the registry")
        if number not in schemas:
            raise Unread(f"schema {number} is not Avro but {plan.schemas[number][0]}")
        return _avro(value, 5, schemas[number], f"schema {number}")

    return read


def _avro_schema(texts: tuple[str, ...]) -> Any:
    import fastavro

    named: dict[str, Any] = {}
    found: Any = None
    for text in texts:
        found = fastavro.parse_schema(json.loads(text), named_schemas=named)
    return found


def _avro(value: bytes, begin: int, schema: Any, called: str) -> Fields:
    import fastavro

    stream = io.BytesIO(value)
    stream.seek(begin)
    try:
        found = fastavro.schemaless_reader(stream, schema, None)
    except Exception:  # noqa: BLE001  broken bytes raise whatever they lead to
        raise Unread(f"not Avro of {called}") from None
    if stream.tell() != len(value):
        raise Unread(f"not Avro of {called}")
    if not isinstance(found, dict):
        raise Unread(f"{called} is not of a record")
    return found


def protobuf(plan: Plan) -> Reader:
    """Reads one message of a set of descriptors."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    files = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(plan.how["descriptor"]))
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    name = plan.how["message"]
    descriptor = pool.FindMessageTypeByName(name)
    kind, path = message_factory.GetMessageClass(descriptor), _path(descriptor)

    def read(value: bytes, *_: int) -> Fields:
        if plan.how["confluent"]:
            value = _unframed(value, path, name)
        try:
            return _fields(kind.FromString(value))
        except DecodeError:
            raise Unread(f"not a {name}") from None

    return read


def _path(descriptor: Any) -> list[int]:
    """Where a message stands in its file: its index there, or that of the one it is in, and so on to its own."""
    around = descriptor.containing_type
    beside = around.nested_types_by_name if around else descriptor.file.message_types_by_name
    return [*(_path(around) if around else ()), [*beside].index(descriptor.name)]


def _unframed(value: bytes, path: list[int], name: str) -> bytes:
    if schema_id(value) is None:
        raise Unread("no schema id: it does not begin as Confluent's serializers write it")
    try:
        count, at = _varint(value, 5)
        indexes = []
        for _ in range(count):
            index, at = _varint(value, at)
            indexes.append(index)
    except IndexError:
        raise Unread(f"not a {name}") from None
    if (indexes or [0]) != path:
        raise Unread(f"not a {name} but message {'.'.join(map(str, indexes or [0]))} of its file")
    return value[at:]


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A zigzag number, and where it ends."""
    found = shift = 0
    while value[at] & 0x80:
        found |= (value[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    found |= value[at] << shift
    return (found >> 1) ^ -(found & 1), at + 1


def _fields(message: Any) -> dict[str, Any]:
    return {f.name: _field(message, f) for f in message.DESCRIPTOR.fields}


def _field(message: Any, f: Any) -> Any:
    if f.message_type and f.message_type.GetOptions().map_entry:
        held, inner = getattr(message, f.name), f.message_type.fields_by_name["value"]
        return {key: _value(held[key], inner) for key in held}
    if f.is_repeated:
        return [_value(each, f) for each in getattr(message, f.name)]
    if f.has_presence and not message.HasField(f.name):
        return None
    return _value(getattr(message, f.name), f)


def _value(value: Any, f: Any) -> Any:
    if f.enum_type:
        known = f.enum_type.values_by_number.get(value)
        return known.name if known else value
    if f.message_type is None:
        return value
    name = f.message_type.full_name
    if name == "google.protobuf.Timestamp":
        try:
            return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
        except OverflowError:
            return _fields(value)  # of a time that is none, which fits no column
    if f.message_type.file.name == "google/protobuf/wrappers.proto":
        return value.value
    return _fields(value)


READERS: dict[str, Callable[[Plan], Reader]] = {"avro": avro, "protobuf": protobuf}
