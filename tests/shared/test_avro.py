"""Avro: what becomes columns and what goes to quarantine, and why. Real Spark, a double of the registry over HTTP."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import fastavro
import pytest
from registry_double import RegistryDouble

import dovetail as dv
from dovetail.shared import project as projects
from dovetail.shared import registry as seam
from dovetail.shared import settings, unpack
from dovetail.shared.check import look
from dovetail.shared.decode import RAW, REASON, decode
from dovetail.shared.errors import DeclarationError, ServiceMissing
from dovetail.shared.registry import ROOT

AT = datetime(2026, 10, 1, 9, 20, 0, 123000, tzinfo=UTC)
COLUMNS = "id bigint, name string, at timestamp, price decimal(10,2), day date, tags array<string>, more struct<a: int>"
FIRST = {
    "type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}]},
    ],
}  # fmt: skip
MORE = {"type": "record", "name": "More", "fields": [{"name": "a", "type": "int"}]}
SECOND = {
    **FIRST, "fields": [
        {"name": "name", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "id", "type": "int"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "more", "type": ["null", MORE]},
        {"name": "ignored", "type": "double"},
    ],
}  # fmt: skip
TEXTS = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}
NAME = uuid.UUID(int=7)
ONE = {"id": 1, "at": AT, "price": Decimal("2.500")}
TWO = {"id": 2, "at": AT, "name": NAME, "day": date(2026, 10, 1), "tags": ["a", "b"], "more": {"a": 3}, "ignored": 1.0}


def written(schema, record, number=None):
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return (b"" if number is None else b"\0" + number.to_bytes(4, "big")) + stream.getvalue()


def source(address="", columns=COLUMNS, **rest):
    how = dv.avro(registry=address, **rest) if address else dv.avro(**rest)
    return dv.source("orders", format=how, schema=columns, event_time="at" if " at " in columns else None)


def read(spark, values, of, *, first=0):
    rows = [(0, first + i, datetime(2026, 11, 1), None, v and bytearray(v), None) for i, v in enumerate(values)]
    return decode(spark.createDataFrame(rows, RAW), of.as_json()).orderBy("_offset").collect()


@pytest.fixture
def double(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(seam, "WAITS", (0.0,))
    before = spark.conf.get(ROOT)
    spark.conf.set(ROOT, str(tmp_path))
    with RegistryDouble().served() as served:
        served.register(1, FIRST)
        served.register(2, SECOND)
        yield served
    spark.conf.set(ROOT, before)


@pytest.mark.java
@pytest.mark.long
def test_each_record_is_read_by_the_schema_that_a_registry_double_tells_or_gets_a_reason(spark, double):
    double.register(3, TEXTS)
    double.register(4, "syntax = 'proto3';", schemaType="PROTOBUF")
    reasons = {
        written(FIRST, ONE, 1): None,
        written(SECOND, TWO, 2): None,
        written(FIRST, {**ONE, "price": None}, 1): None,
        None: "no value",
        b"": "no schema id: it does not begin as Confluent's serializers write it",
        b'{"id": 1}': "no schema id: it does not begin as Confluent's serializers write it",
        written(FIRST, ONE, 1)[:-2]: "not Avro of schema 1",
        written(FIRST, ONE, 1) + b"\0": "not Avro of schema 1",
        written(FIRST, ONE, 9): "schema 9 is unknown to the registry",
        written(TEXTS, {"id": "1"}, 3): "id is not bigint",
        written(FIRST, {**ONE, "price": Decimal("2.505")}, 1): "price is not decimal(10,2)",
        written(FIRST, {**ONE, "price": Decimal("123456789.000")}, 1): "price is not decimal(10,2)",
        b"\0\0\0\0\4xyz": "schema 4 is not Avro but PROTOBUF",
    }
    rows = read(spark, list(reasons), source(double.address))
    assert dict(zip(reasons, [row[REASON] for row in rows], strict=True)) == reasons
    seen = [tuple(row[c] for c in source(double.address).columns) for row in rows[:3]]
    at = AT.replace(tzinfo=None)
    assert seen == [
        (1, None, at, Decimal("2.50"), None, None, None),
        (2, str(NAME), at, None, date(2026, 10, 1), ["a", "b"], (3,)),
        (1, None, at, None, None, None, None),
    ]
    assert all(v is None for row in rows[3:] for v in [row[c] for c in source(double.address).columns])


@pytest.mark.java
@pytest.mark.long
def test_what_was_read_reads_the_same_when_the_registry_double_is_down_and_what_is_new_waits(spark, double):
    values = [written(FIRST, ONE, 1), written(FIRST, ONE, 7)]
    before = read(spark, values, source(double.address))
    assert [row[REASON] for row in before] == [None, "schema 7 is unknown to the registry"]
    double.down = True
    unpack._KNOWN.clear()  # as another process finds it
    assert read(spark, values, source(double.address)) == before
    with pytest.raises(ServiceMissing, match="does not say what a record was written with"):
        read(spark, [written(SECOND, TWO, 2)], source(double.address))
    double.down = False
    double.register(7, FIRST)
    assert read(spark, values, source(double.address)) == before, "as each layer read it, it is read for good"
    assert [r[REASON] for r in read(spark, values, source(double.address), first=2)] == [None, None]
    assert [r[REASON] for r in read(spark, values, source(double.address, attempt=2))] == [None, None]


@pytest.mark.java
@pytest.mark.long
def test_bare_avro_is_read_by_the_schema_in_the_project(spark, tmp_path):
    (tmp_path / "order.avsc").write_text(json.dumps(FIRST, indent=2))
    of = source(schema=tmp_path / "order.avsc")
    rows = read(spark, [written(FIRST, ONE), written(FIRST, ONE)[:3]], of)
    assert [(row["id"], row[REASON]) for row in rows] == [(1, None), (None, "not Avro of its schema")]


def test_the_content_of_a_schema_file_and_not_its_layout_is_part_of_how_a_source_is_decoded(tmp_path):
    file = tmp_path / "order.avsc"
    told = []
    for text in (json.dumps(FIRST), json.dumps(FIRST, indent=2), json.dumps(SECOND)):
        file.write_text(text)
        told.append(source(schema=file).as_json())
    assert told[0] == told[1] != told[2]


VIEWS = """
import dovetail as dv

orders = dv.source("orders", format=dv.avro(schema="schemas/order.avsc"), schema="id bigint")
totals = dv.view("totals", source=orders, measures={"n": dv.count()})
"""


def test_a_stored_version_holds_the_schema_of_its_records(tmp_path, monkeypatch):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.avsc").write_text(json.dumps(FIRST))
    (tmp_path / "dovetail.toml").write_text('views = ["avro_pinned.py"]\n')
    (tmp_path / "avro_pinned.py").write_text(VIEWS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    project = projects.load(settings.load(tmp_path))
    bundle = project.store(project.view("totals"))
    (tmp_path / "schemas" / "order.avsc").unlink()
    (tmp_path / "avro_pinned.py").unlink()
    assert bundle.view.source.as_json() == bundle.decoder


def test_a_check_says_where_a_schema_file_is_missed(tmp_path, monkeypatch):
    (tmp_path / "dovetail.toml").write_text('views = ["avro_missed.py"]\n')
    (tmp_path / "avro_missed.py").write_text(VIEWS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (found,) = look(settings.load(tmp_path)).problems
    assert (found.subject, found.where) == ("source orders", "avro_missed.py:4")
    assert "order.avsc is not there" in found.message


def test_declaring_formats_brings_no_library_of_theirs(tmp_path):
    (tmp_path / "views.py").write_text(VIEWS + 'dv.protobuf(descriptor="x", message="a.B"); dv.csv()\n')
    heavy = ("pyspark", "pyarrow", "numpy", "fastavro", "google.protobuf", "httpx")
    script = f"import sys, views; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_cannot_be_avro_is_refused_at_its_line(tmp_path):
    (tmp_path / "bad.avsc").write_text('"string"')
    for match, given in {
        "give a registry or a schema": {},
        "is not an address": {"registry": "registry:8081"},
        "holds a name or a password": {"registry": "http://me:secret@registry"},
        "attempt=0": {"registry": "http://registry", "attempt": 0},
    }.items():
        with pytest.raises(DeclarationError, match=match) as caught:
            dv.avro(**given)
        assert caught.value.where.startswith("test_avro.py:")
    with pytest.raises(DeclarationError, match=r"bad\.avsc is not the Avro schema of a record"):
        source(schema=tmp_path / "bad.avsc").as_json()
    with pytest.raises(DeclarationError, match=r"none\.avsc is not there"):
        source(schema=tmp_path / "none.avsc").as_json()
