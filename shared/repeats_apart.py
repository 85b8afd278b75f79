"""Records that repeat another for some versions alone: those that still read what today's declaration sets apart.

After a rule was added, the version that answers takes what the rule refuses until another is promoted. Of such records
the source's own repeats know nothing. So each other way to decode that is in force has an index of its own; what it
finds is set apart for its versions, as records that make them raise are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dovetail.shared.decode import KEPT_APART, META, POSITION, decode, decoder_id
from dovetail.shared.engine import arrow
from dovetail.shared.ledger import LedgerRow, LedgerStore, VersionId
from dovetail.shared.repeats import Candidates, Deduplicator, candidates
from dovetail.shared.states import FAILING
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import Bundle

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from dovetail.shared.declare import Source
    from dovetail.shared.log import Log

REPEATS = "it repeats an earlier record of its event id"
FOLDER = "decoder-"


class Apart:
    """The indexes of one source for what is decoded in other ways than declared. For the holder of the speed lock."""

    def __init__(self, source: Source, ledger: LedgerStore, layout: Layout, log: Log, spark: SparkSession) -> None:
        self._given = source, ledger, layout, log, spark
        self._source, self._layout, self._spark = source, layout, spark
        self._declared = source.as_json()
        self._indexes: dict[str, Deduplicator] | None = None
        self._versions: dict[str, set[VersionId]] = {}

    def found(self, rows: DataFrame, whole: DataFrame, bundles: Sequence[Bundle]) -> dict[VersionId, pa.Table]:
        """Of the rows of a commit, but for its repeats, those that repeat one for a version alone; as FAILING has them.

        Args:
            whole: the same rows with all their bytes.
        """
        others = dict[str, list[Bundle]]()
        for bundle in (b for b in bundles if b.decoder != self._declared):
            others.setdefault(decoder_id(bundle.decoder), []).append(bundle)
        found = dict[VersionId, pa.Table]()
        for name, index in self._kept(others).items():
            decoder = others[name][0].decoder
            again = index.decide(candidates(decode(rows.select(*META), decoder), self._source.event_id))
            if len(again):
                found |= dict(_set_apart(whole, self._spark.createDataFrame(again.places), others[name]))
        return found

    def learn(self, row: LedgerRow) -> None:
        for index in (self._indexes or {}).values():
            index.learn(row)

    def _kept(self, others: Mapping[str, Sequence[Bundle]]) -> Mapping[str, Deduplicator]:
        """One index for each way to decode, by its id; those of ways that are in force no more are deleted."""
        self._versions = {name: {b.version for b in bundles} for name, bundles in others.items()}
        before = self._indexes
        if before is not None and before.keys() == others.keys():
            return before
        self._indexes = {n: (before or {}).get(n) or self._index(n, of[0].decoder) for n, of in others.items()}
        for folder in self._layout.seen(self._source.name).glob(f"{FOLDER}*"):
            if folder.name.removeprefix(FOLDER) not in self._indexes:
                shutil.rmtree(folder)
        return self._indexes

    def _index(self, name: str, decoder: Mapping[str, Any]) -> Deduplicator:
        def without(found: Candidates, rows: Sequence[LedgerRow]) -> Candidates:
            return found.without(self._recorded(self._versions[name], rows))

        return Deduplicator.of(*self._given, folder=f"{FOLDER}{name}", decoder=decoder, without=without)

    def _recorded(self, versions: Iterable[VersionId], rows: Sequence[LedgerRow]) -> DataFrame | None:
        ids = [row.commit_id for row in rows if any(row.failing.get(v) for v in versions)]
        if not ids:
            return None
        held = AppendTable(self._layout.failing(self._source.name), FAILING).read(
            pc.field("_commit_id").isin(ids) & pc.field("version").isin([*versions]) & (pc.field("reason") == REPEATS),
            ["partition", "offset"],
        )
        return self._spark.createDataFrame(held.rename_columns([*POSITION])) if held.num_rows else None


def _set_apart(whole: DataFrame, places: DataFrame, bundles: Iterable[Bundle]) -> Iterable[tuple[VersionId, pa.Table]]:
    records = arrow(whole.join(places, [*POSITION], "left_semi").selectExpr(*KEPT_APART))
    told = records.append_column("reason", pa.repeat(REPEATS, len(records)))
    for bundle in bundles:
        yield bundle.version, told.append_column("version", pa.repeat(pa.scalar(bundle.version), len(told)))
