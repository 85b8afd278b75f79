"""The master dataset: every record's bytes and decoded columns in an append-only Delta table per source; its claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch import imported, run_table
from dovetail.batch.counting import Places, by_commit, places_in
from dovetail.batch.recompute import Written
from dovetail.shared.claims import Claims
from dovetail.shared.commit import Folded
from dovetail.shared.declare import Source
from dovetail.shared.decode import META, RAW, REASON, decode, decoded, decoder_id, judged, parsed, parser
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.failing import MOST, sparing
from dovetail.shared.failpoints import failpoint
from dovetail.shared.fold import fold, folded, places, without
from dovetail.shared.forgotten import ForgetList
from dovetail.shared.gaps import beyond, unarchived
from dovetail.shared.imports import Import
from dovetail.shared.inforce import bundles
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import CommitId, LedgerRow, VersionId, view_of
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Admitted, Manifest, RunId, runs_of
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.records import outside, within
from dovetail.shared.set_apart import counted
from dovetail.shared.states import COMMIT, FAILING, failed_in, only_copies, stamped
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import Bundle

CLAIMS_BETWEEN = 100
"""Claims after which their small files are joined."""


class DeltaMaster:
    """The master of one source, read and written by Spark; its claims by delta-rs."""

    def __init__(self, layout: Layout, source: Source, spark: SparkSession, *, judge: Judge | None = None) -> None:
        """`judge` is asked by `fold`; without one it judges by what is in the record alone."""
        self._judge = judge or Judge(source, DeltaLedger(layout.ledger(source.name)))
        self._layout, self._source, self._spark = layout, source, spark
        self._path = str(layout.master(source.name))
        self._claims = Claims(layout.claims(source.name))
        self._bundles: dict[VersionId, Bundle] = {}

    def claim(self) -> Position:
        return self.last_claim() or Position()

    def last_claim(self) -> Position | None:
        return self._claims.last()

    def write_claim(self, to: Position) -> None:
        self._claims.append(to)

    def passed(self) -> list[Range]:
        """The ranges that were passed: it will never hold them."""
        return self._claims.passed()

    def held(self) -> Position:
        """The largest offset held plus one, per partition, where it lies above the last claim."""
        return beyond(self._layout.master(self._source.name), self.claim())

    def exists(self) -> bool:
        return DeltaTable.is_deltatable(self._path)

    def append(self, records: DataFrame, *, topic_id: str) -> None:
        """Appends records (columns of META) with their decoded columns, in one Delta commit.

        No rule is looked at: what a record is holds for good, what rules say of it changes, and the archive goes on
        whatever they say. Of who is forgotten nothing is stored but that there was a record. While a schema registry
        does not answer only the bytes are stored, and decoded when they are read: Kafka would drop them some day.
        """
        decoder = parser(self._source.as_json())
        forgotten, bare = ForgetList.of(self._layout, self._source.name), False
        try:
            rows = parsed(records, decoder)
        except ServiceMissing:
            if forgotten:  # whose records they are is not known
                raise
            rows, bare = records.select(*META), True
        if forgotten:
            rows = forgotten.blanked(rows)
        clashing = self._clashing(rows)
        (
            rows.drop(*clashing)
            .withColumn("_topic_id", F.lit(topic_id))
            .withColumn("_decoder", F.lit("" if clashing or bare else decoder_id(decoder)))
            .coalesce(4)
            .write.format("delta")
            .mode("append")
            .option("mergeSchema", "true")
            .save(self._path)
        )

    def create(self) -> None:
        """Makes the table empty, unless it is there."""
        if not self.exists():
            empty = parsed(self._spark.createDataFrame([], RAW), self._source.as_json())
            rows = empty.withColumn("_topic_id", F.lit("")).withColumn("_decoder", F.lit(""))
            rows.write.format("delta").mode("ignore").save(self._path)

    def rows(self, span: Range, decoder: Mapping[str, Any]) -> DataFrame:
        """The records of `span`, all of which it holds, as `decode` gives them: from stored columns where they were
        decoded alike.
        """
        stored = self._held(span)
        if self._all_were(decoder_id(parser(decoder))):
            columns = (f"`{name}`" for name in (*META, *decoder["schema"], REASON))
            return judged(stored.selectExpr(*columns), decoder)
        return judged(self._parsed(stored, decoder), decoder)

    def bytes_of(self, span: Range) -> DataFrame:
        """The records of `span` as they came, columns of META."""
        return self._held(span).select(*META)

    def every(self) -> DataFrame:
        """All records with the columns that the source declares, before any rule is looked at."""
        return self._parsed(self._frame(), self._source.as_json())

    def fold(self, span: Range, versions: frozenset[VersionId]) -> Folded:
        rows = self.rows(span, self._source.as_json())
        return folded(rows, self._judge, bundles(self._layout, versions, self._bundles), span, keep=True)

    def counts(self, rows: Sequence[LedgerRow]) -> Mapping[int, int]:
        """How many records it holds in the range of each ledger row, by seq."""
        commits = [r for r in rows if not r.range.empty]
        if not commits or not self.exists():
            return {}
        return by_commit(commits, self._places(Range(commits[0].range.from_, commits[-1].to)))

    def write_run(
        self, version: VersionId, run: RunId, rows: Sequence[LedgerRow], imports: Sequence[Import] = ()
    ) -> Written:
        bundle, span = bundles(self._layout, [version], self._bundles)[0], Range(rows[0].range.from_, rows[-1].to)
        ledger = (*rows, *self._judge.ledger.rows(after=rows[-1].seq))
        kept = [row for row in unarchived(rows, self.passed()) if version in row.versions]
        read = outside(kept, self.rows(span, bundle.decoder))
        records = counted(read, version, rows, source=self._source.name, ledger=ledger, layout=self._layout)
        copies = only_copies(self._layout, version, kept, self._spark) if kept else None
        records, admitted = self._with(imports, records, bundle.decoder)
        manifest = DeltaManifest(self._layout.manifest(view_of(version))).read()
        known = self._known(manifest, version, span, imports)
        records = self._without(known, records)

        def states_of(some: DataFrame) -> DataFrame:
            states = fold(decoded(some, bundle.decoder, placed=bundle.placed), bundle)
            return states if copies is None else states.unionByName(copies.select(states.columns))

        expected = _expected(manifest, sum(row.books.consumed for row in rows))

        def write(states: DataFrame) -> int:
            return run_table.write(states, bundle.keys, self._layout.run(version, run), expected=expected)

        of_all = states_of(records)

        def attempt(some: DataFrame) -> int:
            if some is records:
                return write(of_all)
            run_table.look_at(states_of(some))
            return 0

        with ThreadPoolExecutor(1, "counting") as pool:  # once all is planned: that needs Python's lock too
            counts = pool.submit(self.counts, rows)
            count, found = sparing(records, version, attempt, most=MOST * len(rows))
        failed = known if found is None else pa.concat_tables([known, found.select(known.column_names)])
        if failed.num_rows:
            self._write_failed(version, run, rows[-1].seq, failed)
        if found is not None:
            count = write(states_of(self._without(found, records)))
        return Written(count, counts.result(), failed.num_rows, admitted)

    def _with(
        self, imports: Sequence[Import], rows: DataFrame, decoder: Mapping[str, Any]
    ) -> tuple[DataFrame, tuple[Admitted, ...]]:
        """Decoded records with those of imports that count, and what is to be said of these."""
        if not imports:
            return rows, ()
        ids, old = [each.id for each in imports], imported.held(self._layout, self._source.name, imports, self._spark)
        return rows.unionByName(decode(imported.once(old, ids), decoder)), imported.books(old, ids, decoder)

    def _known(self, manifest: Manifest | None, version: VersionId, span: Range, imports: Sequence[Import]) -> pa.Table:
        """The records of `span` and of imports that earlier runs of the version have set apart."""
        runs = runs_of(manifest, version)
        rows, old = failed_in(self._layout, runs.values()), {-each.id for each in imports}
        places = zip(rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True)
        here = [p in old or span.includes(p, o) for p, o in places]
        return rows.filter(pa.array(here, pa.bool_())).drop_columns([name for name, _ in COMMIT])

    def _without(self, failed: pa.Table, rows: DataFrame) -> DataFrame:
        return without(self._spark.createDataFrame(places(failed)) if failed.num_rows else None, rows)

    def _write_failed(self, version: VersionId, run: RunId, seq: int, failed: pa.Table) -> None:
        table = AppendTable(self._layout.failed(version, run), FAILING)
        table.append(stamped(failed, CommitId(run), seq).select(FAILING.names))
        failpoint("batch.failed_written")

    def _parsed(self, stored: DataFrame, decoder: Mapping[str, Any]) -> DataFrame:
        alike = F.col("_decoder") == decoder_id(parser(decoder))
        afresh = parsed(stored.where(~alike).select(*META), decoder)
        if not {*afresh.dtypes} <= {*stored.dtypes}:  # a column is new or of another type: none was decoded alike
            return parsed(stored.select(*META), decoder)
        return stored.where(alike).select(*afresh.columns).unionByName(afresh)

    def _all_were(self, decoder: str) -> bool:
        """Whether every file says that all of its records were decoded so: then the table is read once, not twice."""
        files = pa.table(DeltaTable(self._path).get_add_actions(flatten=True))
        said = {"min._decoder", "max._decoder", "null_count._decoder"}
        if not said <= {*files.column_names}:  # of a table this wide no statistics are kept
            return False
        ends = {*files["min._decoder"].to_pylist(), *files["max._decoder"].to_pylist()}
        return ends == {decoder} and set(files["null_count._decoder"].to_pylist()) == {0}

    def _held(self, span: Range) -> DataFrame:
        return self._frame().where(within(span))

    def _places(self, span: Range) -> Iterator[Places]:
        return places_in(self._layout.master(self._source.name), span)

    def _frame(self) -> DataFrame:
        return self._spark.read.format("delta").load(self._path)

    def _clashing(self, rows: DataFrame) -> list[str]:
        """Columns whose type is another one in the table: left out, and decoded from the bytes when read."""
        if not self.exists():
            return []
        held = {f.name: f.dataType for f in self._frame().schema.fields}
        return [f.name for f in rows.schema.fields if held.get(f.name, f.dataType) != f.dataType]


def _expected(manifest: Manifest | None, records: int) -> float:
    """How many states so many records will come to, if what answers has as many a record."""
    runs = manifest.runs if manifest else ()
    computed = sum(run.computed for run in runs)
    return records * (sum(run.state_rows for run in runs) / computed if computed else 1)
