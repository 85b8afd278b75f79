"""Values of Avro and Protobuf as Spark's types: to the last digit, or not at all. No Spark runs."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyspark import cloudpickle
from pyspark.sql import types as T

from dovetail.shared import binary_records
from dovetail.shared.binary_records import Misfit, Plan, Unread, avro, columns, fitted

AWARE, NAIVE = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 1)
PRICE = T.DecimalType(5, 2)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (T.IntegerType(), 2**31 - 1, 2**31 - 1),
        (T.DoubleType(), 3, 3.0),
        (T.FloatType(), 0.5, 0.5),
        (PRICE, Decimal("1.5"), Decimal("1.50")),
        (PRICE, "999.99", Decimal("999.99")),
        (PRICE, Decimal("0.000"), Decimal("0.00")),
        (PRICE, 7, Decimal("7.00")),
        (T.TimestampType(), AWARE, AWARE),
        (T.TimestampNTZType(), NAIVE, NAIVE),
        (T.DateType(), date(2026, 10, 1), date(2026, 10, 1)),
        (T.MapType(T.StringType(), T.IntegerType()), {"a": 1, "b": None}, [("a", 1), ("b", None)]),
        (T.StructType().add("a", T.IntegerType()), {"b": 1}, {"a": None}),
        (T.ArrayType(T.BinaryType()), [b"x", None], [b"x", None]),
        (T.IntegerType(), None, None),
    ],
)
def test_a_value_that_fits_keeps_what_it_says(kind, value, found):
    assert fitted(kind, value) == found


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.IntegerType(), 2**31), (T.IntegerType(), True), (T.IntegerType(), 1.0), (T.IntegerType(), "1"),
        (T.DoubleType(), 2**53 + 1), (T.DoubleType(), "1"), (T.FloatType(), 0.1), (T.FloatType(), 1e300),
        (PRICE, Decimal("1.005")), (PRICE, Decimal("1000")), (PRICE, 1.5), (PRICE, "x"), (PRICE, "NaN"), (PRICE, ""),
        (T.StringType(), 1), (T.StringType(), b"x"), (T.BinaryType(), "x"), (T.BooleanType(), 1),
        (T.TimestampType(), NAIVE), (T.TimestampType(), 1), (T.TimestampNTZType(), AWARE), (T.DateType(), AWARE),
        (T.ArrayType(T.StringType()), "ab"), (T.ArrayType(T.StringType()), ["a", 1]), (T.StructType(), [1]),
        (T.MapType(T.StringType(), T.StringType()), [("a", "b")]),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_not_bent(kind, value):
    with pytest.raises(Misfit):
        fitted(kind, value)


LONG = '{"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]}'


def reader(**known):
    return avro(Plan({}, T.StructType(), "avro", {"registry": "r"}, {7: ("AVRO", (LONG,))}, **known))


def test_bytes_that_are_not_one_record_of_their_schema_are_not_read():
    read = reader()
    assert read(b"\0\0\0\0\7\2", 0, 0) == {"n": 1}
    for value in (b"\0\0\0\0\7", b"\0\0\0\0\7\2\0", b"\0\0\0\0\7\xff"):
        with pytest.raises(Unread, match="not Avro of schema 7"):
            read(value, 0, 0)


def test_a_record_below_where_its_id_was_unknown_stays_unread():
    read = reader(unknown={7: {0: 5}})
    assert read(b"\0\0\0\0\7\2", 0, 5) == read(b"\0\0\0\0\7\2", 1, 4) == {"n": 1}
    with pytest.raises(Unread, match="schema 7 is unknown to the registry"):
        read(b"\0\0\0\0\7\2", 0, 4)


def test_a_schema_is_read_with_those_it_refers_to():
    money = '{"type": "record", "name": "shop.Money", "fields": [{"name": "cents", "type": "long"}]}'
    order = '{"type": "record", "name": "shop.Order", "fields": [{"name": "total", "type": "shop.Money"}]}'
    read = avro(Plan({}, T.StructType(), "avro", {"registry": "r"}, {7: ("AVRO", (money, order))}))
    assert read(b"\0\0\0\0\7\2", 0, 0) == {"total": {"cents": 1}}


ELSEWHERE = """
import base64, pickle, sys
import pyarrow as pa
sys.modules["dovetail"] = None  # an import of it raises
read = pickle.loads(base64.b64decode(sys.argv[1]))
batch = pa.array([bytes([0, 0, 0, 0, 7, 2]), b"x"]), pa.array([0, 0]), pa.array([0, 1])
print(*[array.to_pylist() for array in read(iter([batch]))])
"""


def test_a_worker_reads_records_without_dovetail():
    types = T.StructType().add("n", T.LongType())
    plan = Plan({"n": "bigint"}, types, "avro", {"registry": "r"}, {7: ("AVRO", (LONG,))})
    cloudpickle.register_pickle_by_value(binary_records)
    made = columns(plan, "why", pa.struct({"n": pa.int64(), "why": pa.string()}))
    sent = base64.b64encode(cloudpickle.dumps(made)).decode()
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, sent], capture_output=True, text=True, check=False)
    reason = "no schema id: it does not begin as Confluent's serializers write it"
    assert (done.stdout, done.stderr) == (f"{[{'n': 1, 'why': None}, {'n': None, 'why': reason}]}\n", "")
