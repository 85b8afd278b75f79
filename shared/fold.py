"""From decoded rows to states: transform, group by keys and bucket, prepare. Both layers fold with this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType

from dovetail.shared.commit import Folded
from dovetail.shared.declare import View
from dovetail.shared.decode import META, REASON, decode, decoded
from dovetail.shared.engine import arrow, arrow_slices
from dovetail.shared.errors import UserCodeError
from dovetail.shared.ledger import Books, VersionId
from dovetail.shared.versions import Bundle

BUCKET, ROWS = "_bucket", "_rows"


def fold(rows: DataFrame, bundle: Bundle) -> DataFrame:
    """The states of `rows`: keys, `_bucket` (if any), a column per state, and `_rows`, the rows in each group.

    Raises:
        UserCodeError: the transform raised, or made columns that keys, measures or the bucket do not fit.
    """
    view = bundle.view
    try:
        transformed = view(rows)
        grouped = transformed.groupBy(*_groups(bundle, view))
        states = {s.column: F.expr(s.prepared) for m in bundle.measures.values() for s in m.states}
        folded = grouped.agg(*(state.alias(name) for name, state in states.items()), F.count(F.lit(1)).alias(ROWS))
    except Exception as error:  # user code: anything may come out of it
        raise UserCodeError(
            f"the transform of {bundle.name} does not fit its keys and measures, or raised: {_first_line(error)}",
            where=bundle.where,
            next="dovetail check --deep",
        ) from error
    return folded.select(*(_widened(folded, c).alias(c) if c in states else F.col(f"`{c}`") for c in folded.columns))


def _groups(bundle: Bundle, view: View) -> list[Column]:
    keys = [F.col(f"`{key}`") for key in bundle.keys]
    if bundle.bucket_seconds is None or view.source.event_time is None:
        return keys
    seconds = F.unix_seconds(F.col(f"`{view.source.event_time}`").cast("timestamp"))
    start = seconds - F.pmod(seconds, F.lit(bundle.bucket_seconds))
    return [*keys, F.timestamp_seconds(start).alias(BUCKET)]


def _widened(folded: DataFrame, name: str) -> Column:
    """Decimals get all 38 digits, so that merging states never overflows before the answer would."""
    kind = folded.schema[name].dataType
    column = F.col(f"`{name}`")
    return column.cast(f"decimal(38,{kind.scale})") if isinstance(kind, DecimalType) else column


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def folded(rows: DataFrame, decoder: Mapping[str, Any], bundles: Iterable[Bundle]) -> Folded:
    """What decoded records come to, for each of `bundles`.

    One job a version: the first also counts the records, the others run when their states are written, slice by slice.

    Args:
        rows: the result of `decode` with `decoder`.
    """
    counts = Observation()
    counted = rows.observe(
        counts,
        F.count(F.lit(1)).alias("consumed"),
        F.count_if(F.col(REASON).isNotNull()).alias("quarantined"),
        F.unix_millis(F.max("_timestamp")).alias("newest"),
    )
    states: dict[VersionId, Iterable[pa.Table]] = {}
    for bundle in bundles:
        sliced = arrow_slices(fold(_rows_for(rows if states else counted, decoder, bundle), bundle), bundle.keys)
        states[bundle.version] = sliced if states else [*sliced]
    if not states:
        arrow(counted.select(REASON).groupBy().count())
    figures = counts.get
    consumed, quarantined = figures["consumed"], figures["quarantined"]
    kept = consumed - quarantined
    return Folded(
        states=states,
        books=Books(consumed=consumed, decoded=kept, quarantined=quarantined, offered=kept),
        quarantined=_quarantined(rows) if quarantined else None,
        newest=figures["newest"],
    )


def _rows_for(rows: DataFrame, decoder: Mapping[str, Any], bundle: Bundle) -> DataFrame:
    if bundle.decoder == decoder:
        return decoded(rows, decoder)
    return decoded(decode(rows.select(*META), bundle.decoder), bundle.decoder)


def _quarantined(rows: DataFrame) -> pa.Table:
    names = {
        "_partition": "partition",
        "_offset": "offset",
        "_timestamp": "timestamp",
        "_key": "key",
        "_value": "value",
    }
    columns = [F.col(old).alias(new) for old, new in names.items()]
    return arrow(rows.where(F.col(REASON).isNotNull()).select(*columns, F.col(REASON).alias("reason")))
