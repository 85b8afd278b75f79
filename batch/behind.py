"""Which records the rows of a view come from.

A transform may select columns, and so lose where its rows come from. The records are therefore put into scratch files,
and read from them by the version's transform: Spark carries the file and the row that a row was read from beside its
columns, through selections, filters, explodes and lookups. Where a transform loses that too (a union, an unpivot, rows
mapped in Python) the question is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dovetail.shared.decode import POSITION, REASON, decode, rows_of
from dovetail.shared.engine import hush
from dovetail.shared.errors import UserCodeError
from dovetail.shared.fold import ROWS, grouping, user_code
from dovetail.shared.versions import Bundle

VALUE = 200
"""Bytes of a record's value that are read, to be shown."""
PLACE = ("_file", "_row")


def seen(records: DataFrame, bundle: Bundle) -> DataFrame:
    """What views see of records, with all that is shown of them."""
    event_time = bundle.decoder["event_time"]
    time = f"cast(`{event_time}` as string)" if event_time in bundle.decoder["schema"] else "cast(null as string)"
    columns = (f"`{name}`" for name in (*bundle.decoder["schema"], *POSITION, "_timestamp"))
    rows = decode(records, bundle.decoder).where(f"{REASON} is null")
    return rows.selectExpr(*columns, f"substring(_value, 1, {VALUE}) as _value", f"{time} as _time")


@contextmanager
def on_disk(rows: DataFrame, folder: Path) -> Iterator[DataFrame]:
    """The result of `seen`, in files that rows can be traced to."""
    try:
        rows.write.parquet(str(folder))
        yield rows.sparkSession.read.parquet(str(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def placed(kept: DataFrame, bundle: Bundle) -> DataFrame:
    """The rows that a view makes of records on disk: the columns they are grouped by, and PLACE.

    Raises:
        UserCodeError: the transform loses where a row comes from.
    """
    with user_code(bundle):
        made = bundle.view(rows_of(kept, bundle.decoder, placed=bundle.placed))
    hush()  # what the engine says of a transform that loses places is said below in other words
    try:
        return made.selectExpr(*grouping(bundle), *_places())
    except Exception as error:
        raise UserCodeError(
            f"the transform of {bundle.name} loses which record a row comes from: it unites, unpivots or maps rows",
            where=bundle.where,
            next=f"dovetail trace {bundle.source} P@O tells of one record in which groups it counts",
        ) from error


def by_record(rows: DataFrame, kept: DataFrame, *groups: str) -> DataFrame:
    """The records that rows of `placed` come from, each with `_rows`, their number; by the columns `groups` too."""
    counts = rows.groupBy(*groups, *PLACE).agg(F.count(F.lit(1)).alias(ROWS))
    return counts.join(kept.selectExpr(*POSITION, "_timestamp", "_value", "_time", *_places()), [*PLACE])


def _places() -> list[str]:
    read_from = zip(PLACE, ("_metadata.file_name", "_metadata.row_index"), strict=True)
    return [f"{sql} as {name}" for name, sql in read_from]
