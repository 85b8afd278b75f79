"""Protobuf: what becomes columns and what goes to quarantine, and why. Real Spark."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2

import dovetail as dv
from dovetail.shared.binary_records import Plan, Unread, protobuf
from dovetail.shared.decode import RAW, REASON, decode
from dovetail.shared.errors import DeclarationError

AT = datetime(2026, 10, 1, 9, 20, 0, 123456, tzinfo=UTC)
COLUMNS = (
    "id bigint, name string, at timestamp, price decimal(10,2), kind string, tags array<string>, "
    "counts map<string, int>, part struct<n: int>, note string, absent int"
)
F = descriptor_pb2.FieldDescriptorProto
FIELDS = [
    ("id", F.TYPE_UINT64, ""), ("name", F.TYPE_STRING, ""), ("at", F.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
    ("price", F.TYPE_STRING, ""), ("kind", F.TYPE_ENUM, ".shop.Kind"), ("tags", F.TYPE_STRING, "*"),
    ("counts", F.TYPE_MESSAGE, "*.shop.Order.CountsEntry"), ("part", F.TYPE_MESSAGE, ".shop.Order.Part"),
    ("note", F.TYPE_MESSAGE, ".google.protobuf.StringValue"),
]  # fmt: skip


def descriptor() -> bytes:
    """As `protoc --include_imports --descriptor_set_out` makes it of a file with shop.Other and shop.Order."""
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"])
    kind = file.enum_type.add(name="Kind")
    for n, name in enumerate(("PLAIN", "GIFT")):
        kind.value.add(name=name, number=n)
    file.message_type.add(name="Other")
    order = file.message_type.add(name="Order")
    for number, (name, type_, of) in enumerate(FIELDS, start=1):
        label = F.LABEL_REPEATED if of.startswith("*") else F.LABEL_OPTIONAL
        order.field.add(name=name, number=number, type=type_, label=label, type_name=of.lstrip("*") or None)
    entry = order.nested_type.add(name="CountsEntry")
    entry.options.map_entry = True
    for number, (name, type_) in enumerate((("key", F.TYPE_STRING), ("value", F.TYPE_INT32)), start=1):
        entry.field.add(name=name, number=number, type=type_, label=F.LABEL_OPTIONAL)
    order.nested_type.add(name="Part").field.add(name="n", number=1, type=F.TYPE_INT32, label=F.LABEL_OPTIONAL)
    found = descriptor_pb2.FileDescriptorSet()
    for module in (timestamp_pb2, wrappers_pb2):
        module.DESCRIPTOR.CopyToProto(found.file.add())
    found.file.append(file)
    return found.SerializeToString()


def message(**fields) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor()).file:
        pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))()
    made.at.FromDatetime(AT.replace(tzinfo=None))
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(made, name).extend(value)
        elif isinstance(value, dict):
            getattr(made, name).update(value)
        else:
            setattr(made, name, value)
    made.part.SetInParent()
    return made.SerializeToString()


@pytest.fixture
def file(tmp_path):
    (tmp_path / "shop.desc").write_bytes(descriptor())
    return tmp_path / "shop.desc"


def source(file, of="shop.Order", **how):
    return dv.source("orders", format=dv.protobuf(descriptor=file, message=of, **how), schema=COLUMNS, event_time="at")


@pytest.mark.java
@pytest.mark.long
def test_each_message_is_read_or_gets_a_reason(spark, file):
    good = message(id=7, name="a", price="2.50", kind=1, tags=["x", "y"], counts={"k": 3})
    reasons = {
        good: None,
        b"": "no at",
        None: "no value",
        good[:-1]: "not a shop.Order",
        message(id=2**63, price="1"): "id is not bigint",
        message(price="2.505"): "price is not decimal(10,2)",
    }
    rows = [(0, i, datetime(2026, 11, 1), None, v if v is None else bytearray(v), None) for i, v in enumerate(reasons)]
    of = source(file)
    found = decode(spark.createDataFrame(rows, RAW), of.as_json()).orderBy("_offset").collect()
    told = dict(zip(reasons, [row[REASON] for row in found], strict=True))
    # an empty text, which is proto3's for a field not set, is no decimal
    assert told == reasons | {b"": "price is not decimal(10,2)"}
    assert tuple(found[0][c] for c in of.columns) == (
        7, "a", AT.replace(tzinfo=None), Decimal("2.50"), "GIFT", ["x", "y"], {"k": 3}, (0,), None, None,
    )  # fmt: skip


def read(value, *, confluent):
    import base64

    how = {"descriptor": base64.b64encode(descriptor()).decode(), "message": "shop.Order", "confluent": confluent}
    return protobuf(Plan({}, None, "protobuf", how))(value, 0, 0)  # type: ignore[arg-type]


def test_confluents_frame_is_taken_off_and_says_which_message_it_is():
    body = message(id=7)
    assert read(b"\0\0\0\0\x05\x02\x02" + body, confluent=True)["id"] == 7
    for value, said in {
        b"\0\0\0\0\x05\x00" + body: "not a shop.Order but message 0 of its file",
        b"\0\0\0\0\x05\x04\x02\x00" + body: r"not a shop.Order but message 1\.0 of its file",
        b"\0\0\0\0\x05\x02": "not a shop.Order",
        b"\0\0\0\0": "no schema id",
        body: "no schema id",
    }.items():
        with pytest.raises(Unread, match=said):
            read(value, confluent=True)


def test_the_descriptors_are_part_of_how_a_source_is_decoded(file):
    before = source(file).as_json()
    assert before != source(file, confluent=True).as_json()
    file.write_bytes(descriptor() + b"")
    assert before == source(file).as_json()
    file.write_bytes(descriptor()[:-1])
    assert before != source(file).as_json()


def test_what_cannot_be_protobuf_is_refused_at_its_line(file, tmp_path):
    with pytest.raises(DeclarationError, match="'' is no name of a message") as caught:
        dv.protobuf(descriptor=file, message="")
    assert caught.value.where.startswith("test_protobuf.py:")
    with pytest.raises(DeclarationError, match=r"none\.desc is not there"):
        source(tmp_path / "none.desc").as_json()


@pytest.mark.java
@pytest.mark.long
def test_a_message_that_the_descriptors_do_not_tell_is_refused_before_any_record_is_read(spark, file):
    with pytest.raises(DeclarationError, match=r"the descriptor tells no message shop\.Ordre"):
        decode(spark.createDataFrame([], RAW), source(file, of="shop.Ordre").as_json())
