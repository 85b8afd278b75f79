"""The records of imports, as runs, the proof and a trace read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.shared.decode import META, REASON, decode
from dovetail.shared.engine import arrow
from dovetail.shared.errors import IntegrityError
from dovetail.shared.imports import Import
from dovetail.shared.manifest import Admitted
from dovetail.shared.rules import reason_of
from dovetail.shared.tables import Layout

AGAIN = "_again"
"""Of a stored row, the imports that hold its event id before it, its own among them: with any of these it is a repeat.

Which of them a run takes in decides, so that a row counts when the import that it repeats is dropped.
"""


def held(layout: Layout, source: str, imports: Iterable[Import], spark: SparkSession) -> DataFrame:
    """All that these imports, at least one, hold: columns of META and AGAIN.

    Raises:
        IntegrityError: the records of one are not there.
    """
    return reduce(DataFrame.unionByName, (_read(layout, source, each, spark) for each in imports))


def once(rows: DataFrame, ids: Collection[int]) -> DataFrame:
    """Those of the result of `held` that count where these imports are taken in; columns of META."""
    return rows.where(~_repeats(ids)).select(*META)


def books(rows: DataFrame, ids: Collection[int], decoder: Mapping[str, Any]) -> tuple[Admitted, ...]:
    """What a run says of the imports that it takes in, given the result of `held`."""
    again = rows.where(_repeats(ids)).groupBy("_partition").agg(F.count(F.lit(1)).alias("n"))
    repeats = {r["_partition"]: r["n"] for r in arrow(again).to_pylist()}
    dropping = [reason_of(r["name"]) for r in decoder.get("rules", ()) if r["otherwise"] == "drop"]
    bad = F.col(REASON).isNotNull() & ~F.col(REASON).isin(*dropping) if dropping else F.col(REASON).isNotNull()
    judged = decode(once(rows, ids), decoder).groupBy("_partition")
    counts = arrow(judged.agg(F.count(F.lit(1)).alias("n"), F.count_if(bad).alias("bad"))).to_pylist()
    found = {r["_partition"]: (r["n"], r["bad"]) for r in counts}

    def of(each: int) -> Admitted:
        n, quarantined = found.get(-each, (0, 0))
        return Admitted(each, n + repeats.get(-each, 0), quarantined, repeats.get(-each, 0))

    return tuple(of(each) for each in sorted(ids))


def digest(rows: DataFrame) -> tuple[int, int]:
    """The number of rows, and what tells whether one of them is another one; given the result of `held`."""
    hashed = F.expr(f"bit_xor(xxhash64(_partition, _offset, _timestamp, _key, _value, {AGAIN}))")
    (row,) = arrow(rows.agg(F.count(F.lit(1)).alias("n"), F.coalesce(hashed, F.lit(0)).alias("digest"))).to_pylist()
    return row["n"], row["digest"]


def _read(layout: Layout, source: str, each: Import, spark: SparkSession) -> DataFrame:
    path = layout.imported(source) / each.folder
    if not DeltaTable.is_deltatable(str(path)):
        raise IntegrityError(
            f"the records of {each} are not there",
            where=str(path),
            next="put them back from a copy of the storage root",
        )
    return spark.read.format("delta").load(str(path)).select(*META, AGAIN)


def _repeats(ids: Collection[int]) -> Column:
    return F.arrays_overlap(AGAIN, F.array(*(F.lit(each) for each in sorted(ids))))
