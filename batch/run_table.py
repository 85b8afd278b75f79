"""The table of a run: few states are brought to this process and written by it, many are written by the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import convert_to_deltalake, write_deltalake

from dovetail.shared.engine import DISK_REFUSES, arrow, is_gone, too_large
from dovetail.shared.failing import said
from dovetail.shared.failpoints import failpoint
from dovetail.shared.places import delete
from dovetail.shared.tables import PROPERTIES, AppendTable, written

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ENGINE_ROWS = 200_000
"""With more states the engine's own writer, in parallel and past the driver, is the faster one."""
SORTED_ROWS = 1_000_000
"""With more states their order is worth its price: a reader of a few keys skips most of such a file."""
LEAVES_A_MARK = "mapreduce.fileoutputcommitter.marksuccessfuljobs"
"""Hadoop's empty file beside those of a job that succeeded: the table's own log says so."""


def write(states: DataFrame, keys: Sequence[str], path: Path, *, expected: float) -> int:
    """Writes states into a new table at `path`; gives the number of rows.

    Args:
        expected: how many they will be, as far as can be told without computing them.

    Raises:
        ServiceMissing: the disk refuses the write.
        PySparkException: what the data makes the engine raise; nothing is at `path` then.
    """
    if expected <= ENGINE_ROWS:
        try:
            table = arrow(states)
        except Exception as error:
            if not too_large(error):
                raise
        else:
            with written(path):
                write_deltalake(str(path), table, mode="append", configuration=dict(PROPERTIES))
            failpoint("batch.slice_written")
            return len(table)
    return _by_engine(states.sortWithinPartitions(*keys) if expected > SORTED_ROWS else states, path)


def look_at(frame: DataFrame) -> None:
    """Computes every column of every row: a count alone would leave out what nobody asks for, and what that raises."""
    frame.write.format("noop").mode("overwrite").save()


def _by_engine(states: DataFrame, path: Path) -> int:
    """Files by Spark, their table by delta-rs: Spark's own Delta writer takes half a second and more beside them."""
    try:
        states.write.option(LEAVES_A_MARK, "false").parquet(str(path))
    except Exception as error:
        if is_gone(error):
            raise
        delete(path)
        if not said(error) and (refused := re.search(DISK_REFUSES, str(error))):  # what the data says may be anything
            with written(path):
                raise OSError(refused[0]) from error
        raise
    with written(path):
        convert_to_deltalake(str(path), configuration=dict(PROPERTIES))
    failpoint("batch.slice_written")
    return len(AppendTable.existing(path).read(columns=[]))
