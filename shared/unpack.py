"""Avro and Protobuf as a column of Spark: what is to be known of schemas is asked by the driver before any is read."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.pandas.types import to_arrow_type

from dovetail.shared import binary_records
from dovetail.shared.binary_records import Plan
from dovetail.shared.errors import DeclarationError, UsageError
from dovetail.shared.kept_schemas import KeptSchemas, Known
from dovetail.shared.options import resolved
from dovetail.shared.places import rooted
from dovetail.shared.registry import ACCESS, FOLDER, ROOT, Registry
from dovetail.shared.sections import FILE
from dovetail.shared.tables import Layout

_CLOUDPICKLE = importlib.import_module("pyspark.cloudpickle")  # without types
LIBRARIES = {"avro": "fastavro", "protobuf": "google.protobuf"}
_LOOKED: set[tuple[str, str]] = set()
"""Applications whose executors were found to have the library of a format."""
_KNOWN: dict[tuple[Path, str, str], Known] = {}
"""What tables were found to say: of what is not open there, none says anything else later."""
ID = "conv(hex(substring(_value, 2, 4)), 16, 10)"


def unpacked(records: DataFrame, decoder: Mapping[str, Any], reason: str) -> Column:
    """The columns of `decoder["schema"]` in a struct that also says why there are none.

    Raises:
        ServiceMissing: a registry has to be asked, and does not answer.
        UsageError: the library of the format is not installed.
    """
    name: str = decoder["format"]
    _refuse_without_library(name, records.sparkSession)
    columns = ", ".join(f"`{column}` {kind}" for column, kind in decoder["schema"].items())
    types = cast(T.StructType, T.StructType.fromDDL(columns))
    plan = Plan(decoder["schema"], types, name, decoder[name])
    if "registry" in plan.how:
        plan = _asked(plan, records, decoder)
    else:
        _refuse_misread(plan)
    # Sent whole, so that workers need no Dovetail.
    _CLOUDPICKLE.register_pickle_by_value(binary_records)
    made = T.StructType([*types, T.StructField(reason, T.StringType())])
    read = binary_records.columns(plan, reason, to_arrow_type(made, timezone="UTC"))
    made_of: Any = arrow_udf  # whose stubs know of no structs
    found: Column = made_of(read, made)("_value", "_partition", "_offset")
    return found


def _refuse_without_library(name: str, session: SparkSession) -> None:
    library, context = LIBRARIES[name], session.sparkContext
    master = context.master or ""
    lacking = _lacks(library)
    if not lacking and not master.startswith("local") and (context.applicationId, name) not in _LOOKED:
        # An executor that lacks it would look like a transform that raises at every record.
        tasks = context.defaultParallelism
        _CLOUDPICKLE.register_pickle_by_value(sys.modules[__name__])
        lacking = any(context.range(tasks, numSlices=tasks).map(lambda _: _lacks(library)).collect())
        _LOOKED.add((context.applicationId, name))
    if lacking:
        raise UsageError(
            f"dv.{name} reads records with {library}, which is not installed everywhere", where=master,
            next=f"pip install 'dovetail[{name}]', here and where Spark's executors run",
        )  # fmt: skip


def _lacks(library: str) -> bool:
    try:
        importlib.import_module(library)
    except ImportError:
        return True
    return False


def _refuse_misread(plan: Plan) -> None:
    """Raises DeclarationError for a file by which no record can be read."""
    try:
        binary_records.READERS[plan.format](plan)
    except Exception as error:  # noqa: BLE001  the libraries raise what they like
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        message = plan.how.get("message")
        what = f"the descriptor tells no message {message}" if message else "the Avro schema is none"
        raise DeclarationError(what, where=f"dv.{plan.format}", why=said) from None


def _asked(plan: Plan, records: DataFrame, decoder: Mapping[str, Any]) -> Plan:
    from dovetail.shared.decode import decoder_id, parser

    seen = _seen(records)
    if not seen:
        return plan
    session, how = records.sparkSession, plan.how
    root = session.conf.get(ROOT, None)
    if root is None:
        raise UsageError("this session knows of no storage to keep schemas in", next="start it by dovetail shell")
    place = Layout(rooted(root)).schemas(how["source"]), how["registry"], decoder_id(parser(decoder))
    known = _KNOWN.get(place, Known())
    if known.open(seen):
        kept = KeptSchemas(*place)
        known = _KNOWN[place] = kept.settled(seen, lambda number: _registry(session, how["registry"]).schema(number))
    schemas = {number: (s.kind, s.texts) for number, s in known.schemas.items() if number in seen}
    return replace(plan, schemas=schemas, unknown={n: o for n, o in known.unknown.items() if n in seen})


def _seen(records: DataFrame) -> dict[int, dict[int, int]]:
    """By schema id and partition the largest offset of the records that name it."""
    framed = records.where("substring(_value, 1, 1) = X'00' and length(_value) >= 5")
    rows = framed.selectExpr(f"{ID} as id", "_partition", "_offset").groupBy("id", "_partition").agg(F.max("_offset"))
    found: dict[int, dict[int, int]] = {}
    for number, partition, offset in rows.collect():
        found.setdefault(int(number), {})[partition] = offset
    return found


def _registry(session: SparkSession, address: str) -> Registry:
    given = {name: session.conf.get(f"{ACCESS}{name}", "") or "" for name in ("user", "password")}
    folder = Path(session.conf.get(FOLDER, "") or ".")
    return Registry(address, **resolved(given, folder=folder, where=f"{folder / FILE}: registry"))
