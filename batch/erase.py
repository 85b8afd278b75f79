"""Takes what is about somebody out of stored tables: their records are blanked, and no file of before is left.

Only for the holder of the locks of all that write these tables.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch.bytes_left import Needle
from dovetail.batch.master import DeltaMaster
from dovetail.shared.decode import FORGOTTEN, META, POSITION, REASON
from dovetail.shared.engine import arrow
from dovetail.shared.failpoints import failpoint
from dovetail.shared.forgotten import BLANK_HEADERS
from dovetail.shared.tables import AppendTable, written

KEPT = {*POSITION, "_timestamp", "_topic_id", "_decoder"}
"""Columns of the master that say where a record was, and nothing of what was in it."""


def places_of(master: DeltaMaster, needle: Needle) -> pa.Table:
    """Where the master's records about these subjects lie, columns of POSITION."""
    if not master.exists():
        return pa.table({"_partition": pa.array([], pa.int32()), "_offset": pa.array([], pa.int64())})
    return theirs_of(master.every(), needle)


def theirs_of(rows: DataFrame, needle: Needle) -> pa.Table:
    """Where those of `rows`, as `parsed` gives them, lie that are about these subjects, columns of POSITION.

    Of those that cannot be read, and so tell nobody whom they are about, each whose bytes name a subject.
    """
    column = needle.column
    theirs = arrow(rows.where(F.col(f"`{column}`").cast("string").isin(*needle.values)).select(*POSITION))
    unreadable = rows.where(f"{REASON} is not null and {REASON} <> '{FORGOTTEN}' and `{column}` is null").select(*META)
    naming = F.expr("exists(_headers, h -> true)")  # few records have any: they are looked at here
    for part, form in product(("_key", "_value"), needle.forms):
        naming = naming | F.coalesce(F.contains(F.col(part), F.lit(form)), F.lit(False))
    doubtful = arrow(unreadable.where(naming))
    named = [any(needle.within(value) for value in _bytes(row)) for row in doubtful.to_pylist()]
    return pa.concat_tables([theirs, doubtful.filter(pa.array(named, pa.bool_())).select(POSITION)])


def blank_master(path: Path, places: pa.Table, spark: SparkSession) -> None:
    """Blanks the master's records at these places, in one commit. What the commit says of itself names no subject."""
    if not places.num_rows:
        return
    blank = {"_headers": BLANK_HEADERS, REASON: f"'{FORGOTTEN}'"}
    columns = spark.read.format("delta").load(str(path)).columns
    sets = ", ".join(f"t.`{c}` = {blank.get(c, 'null')}" for c in columns if c not in KEPT)
    spark.createDataFrame(places).createOrReplaceTempView("forgotten_places")
    spark.sql(
        f"MERGE INTO delta.`{path}` t USING forgotten_places s "
        f"ON t._partition = s._partition AND t._offset = s._offset WHEN MATCHED THEN UPDATE SET {sets}"
    )


def blank_apart(path: Path, places: pa.Table) -> None:
    """The same for a table of records that are kept apart, with the columns of QUARANTINE."""
    if not places.num_rows or not DeltaTable.is_deltatable(str(path)):
        return
    with written(path):
        (
            DeltaTable(str(path))
            .merge(places, "t.partition = s._partition AND t.offset = s._offset", source_alias="s", target_alias="t")
            .when_matched_update({"key": "NULL", "value": "NULL", "reason": f"'{FORGOTTEN}'"})
            .execute()
        )


def blank_said(path: Path, needle: Needle) -> None:
    """Takes each text that names a subject out of what the rows of a table of imports say of them."""
    if not DeltaTable.is_deltatable(str(path)):
        return
    rows = AppendTable.existing(path).read(columns=["n", "import", "note"])
    blank = [row for row in rows.to_pylist() if needle.in_sql(row["import"]) or needle.in_sql(row["note"])]
    for row in blank:
        row["note"] = _blanked(row["note"], needle)
        row["import"] = json.dumps(_blanked(json.loads(row["import"]), needle), sort_keys=True) if row["import"] else ""
    if blank:
        with written(path):
            (
                DeltaTable(str(path))
                .merge(pa.Table.from_pylist(blank, schema=rows.schema), "t.n = s.n", source_alias="s", target_alias="t")
                .when_matched_update({"import": 's."import"', "note": "s.note"})
                .execute()
            )


def without_history(path: Path) -> None:
    """Deletes every file that the newest version of the table does not name, and what its log says of earlier ones.

    Readers that were on their way must have come to the newest version before.
    """
    if not DeltaTable.is_deltatable(str(path)):
        return
    with written(path):
        table, log = DeltaTable(str(path)), path / "_delta_log"
        named = {Path(file).name for file in AppendTable.existing(path).paths}
        for file in path.rglob("*"):
            if file.is_file() and log not in file.parents and file.name not in named:
                file.unlink()
        table.alter.set_table_description("")  # a newest entry that names no file, and so holds no statistics
        table.create_checkpoint()
        newest = f"{table.version():020}"
        for file in log.rglob("*"):
            if file.is_file() and file.name != "_last_checkpoint" and not file.name.startswith(newest):
                file.unlink()
        failpoint("forget.history_deleted")


def _blanked(said: Any, needle: Needle) -> Any:
    if isinstance(said, dict):
        return {name: _blanked(each, needle) for name, each in said.items()}
    if isinstance(said, list):
        return [_blanked(each, needle) for each in said]
    return FORGOTTEN if isinstance(said, str) and needle.in_sql(said) else said


def _bytes(row: dict[str, object]) -> list[bytes]:
    headers = row["_headers"]
    found = [row["_key"], row["_value"]]
    for header in headers if isinstance(headers, list) else ():
        found += [str(header["key"]).encode(), header["value"]]
    return [each for each in found if isinstance(each, bytes)]
