"""From a record's bytes to columns: the same expression in both layers, so that equal bytes give equal rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dovetail.shared import changes, csv_records
from dovetail.shared.conditions import quoted
from dovetail.shared.rules import reason_of
from dovetail.shared.unpack import LIBRARIES, unpacked

META = ("_partition", "_offset", "_timestamp", "_key", "_value", "_headers")
RAW = (
    "_partition int, _offset bigint, _timestamp timestamp, _key binary, _value binary, "
    "_headers array<struct<key string, value binary>>"
)
"""META with its types, as Spark writes them."""
POSITION = META[:2]
KEPT_APART = tuple(f"{column} as {column[1:]}" for column in META if column != "_headers")
"""SQL: a record as it is kept where no view counts it: partition, offset, timestamp, key, value."""
FORGOTTEN, MARK = "forgotten", "dovetail-forgotten"
"""The reason of a record that was blanked because of whom it is, and the one header by which it is known."""
IS_BLANK = f"coalesce(_value is null and exists(_headers, h -> h.key = '{MARK}'), false)"
"""SQL: the record was blanked."""
REASON = "_reason"
"""Why no view sees a record: what it is in quarantine for, or which rule dropped it; null for one that views see."""


AT_ONCE = "spark_partition_id() >= 0"
"""SQL that is true, but not known to be: else a filter on the reason would be pushed below what parses a record, which
would be done once for each column."""
NO_TEXT = [(IS_BLANK, FORGOTTEN), ("_value is null", "no value"), ("not is_valid_utf8(_value)", "not UTF-8")]
"""SQL conditions in their order, and what each says of a record that is no text."""


def named(records: DataFrame) -> DataFrame:
    """Spark's Kafka columns under the names of the master dataset."""
    return records.select(
        F.col("partition").alias("_partition"),
        F.col("offset").alias("_offset"),
        F.col("timestamp").alias("_timestamp"),
        F.col("key").alias("_key"),
        F.col("value").alias("_value"),
        F.col("headers").alias("_headers"),
    )


def decode(records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    """Adds the columns of `decoder["schema"]` and `_reason` to records with the columns of META.

    Args:
        decoder: what a bundle stores of its source: format, schema (name to Spark type), event_time, event_id if there
            is one, and the rules that take records out, if any.
    """
    return judged(parsed(records, decoder), decoder)


def asks(decoder: Mapping[str, Any]) -> bool:
    """Whether records have to be looked at before they can be decoded: not as a stream, only once they are there."""
    return "registry" in decoder.get(decoder["format"], {})


def judged(rows: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    """The result of `parsed` with a reason for each record that breaks a rule, too: the first one it breaks."""
    rules = decoder.get("rules")
    if not rules:
        return rows
    # What is kept aside comes before what is dropped, so that no bytes go for a rule of less weight.
    ordered = sorted(rules, key=lambda r: bool(r["otherwise"] != "quarantine"))
    broken = " ".join(f"when {breaks(r['condition'])} then {quoted(reason_of(r['name']))}" for r in ordered)
    # No rule sees what could not be read: its columns may hold anything.
    reason = f"case when {REASON} is not null then {REASON} {broken} end as {REASON}"
    return rows.selectExpr(*(f"`{name}`" for name in (*META, *decoder["schema"])), reason)


def breaks(condition: str) -> str:
    """SQL: a row breaks a rule with this condition; as of a CHECK, null is no breach."""
    return f"({condition}\n) is false"  # a comment may end the condition


def decoder_id(decoder: Mapping[str, Any]) -> str:
    """Names a way of decoding."""
    return hashlib.sha256(json.dumps(decoder, sort_keys=True).encode()).hexdigest()[:16]


def parser(decoder: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a decoder that `parsed` needs, without the rules."""
    return {key: value for key, value in decoder.items() if key != "rules"}


def parsed(records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    """What `decode` gives before any rule is looked at: the reasons are of records that could not be read."""
    columns: dict[str, str] = decoder["schema"]
    if "sign" in decoder:
        return _changes(records, decoder)
    if decoder.get("format") == "csv":
        return _csv(records, decoder)
    if decoder.get("format") in LIBRARIES:
        return _binary(records, decoder)
    fields = ", ".join(f"`{name}`: {kind}" for name, kind in columns.items())
    rows = records.withColumn("_json", _read(f"struct<{fields}>"))
    return rows.select(
        *(F.col(name) for name in records.columns),
        *(F.col("_json")["record"][name].alias(name) for name in columns),
        _reason(decoder).alias(REASON),
    )


def _changes(records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    read = records.withColumn("_json", _read(changes.record_type(decoder)))
    rows = read.selectExpr("*", f"{changes.ENVELOPE} as _envelope", f"{changes.GIVEN} as _given")
    columns = [*(f"`{name}`" for name in records.columns), *changes.decoded_columns(decoder)]
    return rows.selectExpr(*columns, f"{changes.unreadable(decoder)} as {REASON}")


def _csv(records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    lines = records.withColumn("_line", F.regexp_replace(F.col("_value").cast("string"), r"\r?\n\z", ""))
    read = F.from_csv(F.col("_line"), csv_records.fields_type(decoder), csv_records.options(decoder))
    rows = lines.withColumn("_csv", F.when(F.expr(AT_ONCE), read))
    columns = [*(f"`{name}`" for name in records.columns), *csv_records.columns(decoder)]
    kept = rows.selectExpr(*columns, "_csv", "_line")
    whens = [*NO_TEXT, *csv_records.unreadable(decoder), *_lacking(decoder)]
    return kept.selectExpr(
        *(f"`{name}`" for name in (*records.columns, *decoder["schema"])), f"{_case(whens)} as {REASON}"
    )


def _binary(records: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
    unpacked_once = F.when(F.expr(AT_ONCE), unpacked(records, decoder, REASON))
    rows = records.withColumn("_fields", unpacked_once).select(*records.columns, "_fields.*")
    kept = (f"`{name}`" for name in (*records.columns, *decoder["schema"]))
    whens = [*NO_TEXT[:2], *_lacking(decoder)]
    return rows.selectExpr(*kept, f"coalesce({REASON}, {_case(whens)}) as {REASON}")


def _lacking(decoder: Mapping[str, Any]) -> list[tuple[str, str]]:
    wanted = dict.fromkeys([decoder["event_time"], *decoder.get("event_id", ())])
    return [(f"`{column}` is null", f"no {column}") for column in wanted if column in decoder["schema"]]


def _case(whens: Sequence[tuple[str, str]]) -> str:
    return f"case {' '.join(f'when {sql} then {quoted(said)}' for sql, said in whens)} end"


def _read(kind: str) -> Column:
    """A record's value, of this type, as `record` of a struct that also says whether all of it could be read."""
    # Spark reads the first JSON value and ignores what follows it, be it a second record: so the value is read as one
    # field of an object, and another field must be found after it.
    read = F.from_json(
        F.expr("concat('{\"record\": ', cast(_value as string), ', \"end\": 1}')"),
        f"record {kind}, end int, corrupt string",
        {
            "mode": "PERMISSIVE",
            "columnNameOfCorruptRecord": "corrupt",
            "timeZone": "UTC",
            # Spark's own takes the comma out of "12,50" and reads 1250; in this locale it is no number.
            "locale": "de-CH",
        },
    )
    return F.when(F.expr(AT_ONCE), read)


def decoded(rows: DataFrame, decoder: Mapping[str, Any], *, placed: bool = False) -> DataFrame:
    """The rows a transform sees: the declared columns of those that are neither in quarantine nor dropped.

    Args:
        placed: with `_partition` and `_offset`, for measures that need them.
    """
    return rows_of(rows.where(f"{REASON} is null"), decoder, placed=placed)


def rows_of(records: DataFrame, decoder: Mapping[str, Any], *, placed: bool) -> DataFrame:
    """The rows of decoded records as a transform sees them: one of each, or of a change those it takes and gives."""
    position = POSITION if placed else ()
    if "sign" in decoder:
        return records.selectExpr(changes.rows(decoder), *position)
    return records.selectExpr(*(f"`{name}`" for name in (*decoder["schema"], *position)))


def _reason(decoder: Mapping[str, Any]) -> Column:
    json, columns = F.col("_json"), decoder["schema"]
    record = json["record"]
    reason = (
        F.when(F.expr(IS_BLANK), FORGOTTEN)
        .when(F.col("_value").isNull(), "no value")
        .when(~F.expr("is_valid_utf8(_value)"), "not UTF-8")
        .when(record.isNull() | json["end"].isNull(), "not a JSON object")
    )
    clash = F.lit("a field in it is not of its type")
    given = F.expr("from_json(cast(_value as string), 'map<string, string>')")
    for column, kind in reversed(columns.items()):
        clash = F.when(record[column].isNull() & given[column].isNotNull(), f"{column} is not {kind}").otherwise(clash)
    reason = reason.when(json["corrupt"].isNotNull(), clash)
    for column in dict.fromkeys([decoder["event_time"], *decoder.get("event_id", ())]):
        if column in columns:
            reason = reason.when(record[column].isNull(), f"no {column}")
    return reason
