"""The proof: recounts every record from the log itself and compares with what the stored states add up to.

A path of its own. Truth is one plain aggregation over all records at once, read from Kafka (or, where Kafka has dropped
them, from the master); what is proved is the tables: manifest, runs, ledger, states. Serving's code is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch.master import DeltaMaster
from dovetail.shared.declare import Source
from dovetail.shared.decode import REASON, decode, decoded
from dovetail.shared.engine import arrow
from dovetail.shared.fold import BUCKET, ROWS, fold
from dovetail.shared.gaps import unarchived
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import Books, LedgerRow, until_detached, visible
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Manifest
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.measures.base import State
from dovetail.shared.position import Position, Range
from dovetail.shared.project import Project
from dovetail.shared.records import outside, records_of, within
from dovetail.shared.set_apart import counted
from dovetail.shared.states import only_copies
from dovetail.shared.tables import Layout
from dovetail.shared.versions import Bundle, load

SHOWN = 10


@dataclass
class Proof:
    """What a recount found. `lost` and `doubled` count rows of groups, and records of the master.

    `sample` is the share of each view's groups that was looked at.
    """

    source: str
    seq: int
    position: Position
    books: Books
    sample: float = 1.0
    groups: int = 0
    equal: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    """What was given up: no recount reaches it."""

    @property
    def holds(self) -> bool:
        return not self.problems and self.lost == self.doubled == 0 and self.groups == self.equal


def prove(project: Project, source: Source, log: Log, spark: SparkSession, *, sample: float = 1.0) -> Proof | None:
    """Recounts all views of `source` up to the ledger's end; None while the source was never opened.

    Args:
        sample: of each view's groups this share, above 0, chosen by a hash of the keys: always the same ones. Books,
            master and the number of state rows are looked at whole.
    """
    layout = project.layout
    manifests = {v.name: DeltaManifest(layout.manifest(v.name)).read() for v in project.views_of(source)}
    ledger = DeltaLedger(layout.ledger(source.name))
    rows = ledger.rows()
    if not rows:
        return None
    span = Range(rows[0].to, rows[-1].to)
    proof = Proof(source.name, rows[-1].seq, span.to, reduce(lambda a, r: a + r.books, rows, Books()), sample)
    records, master = records_of(source, span, layout, log, spark).persist(), DeltaMaster(layout, source, spark)
    apart = unarchived(rows, master.passed())
    proof.gaps += _told(rows, apart)
    try:
        _prove_books(proof, Judge(source, ledger), [r for r in rows if r not in apart], outside(apart, records))
        _prove_master(proof, master, records, rows[0].to)
        for manifest in (m for m in manifests.values() if m):
            bundle = load(layout.version(manifest.live))
            _prove_tables(proof, manifest, rows, layout, spark)
            answers = until_detached(manifest.live, [r for r in rows if r.seq >= manifest.seq])
            own = [r for r in apart if manifest.live in r.versions and answers[-1].to.reaches(r.to)]
            theirs = outside(own, records.where(within(Range(span.from_, answers[-1].to))))
            good = counted(theirs, manifest.live, rows, source=source.name, ledger=rows, layout=layout)
            copies = only_copies(layout, manifest.live, own, spark) if own else None
            _prove_view(proof, bundle, good, stored(layout, manifest, rows, bundle, spark), copies)
    finally:
        records.unpersist()
    return proof


def stored(
    layout: Layout, manifest: Manifest, rows: Sequence[LedgerRow], bundle: Bundle, spark: SparkSession
) -> DataFrame:
    """The rows of every table that answers for the view: its runs, and the commits above its cut."""
    columns = [*group_columns(bundle), *(s.column for s in _states(bundle)), ROWS]
    commits = visible(manifest.live, rows, after=manifest.seq)
    states = spark.read.format("delta").load(str(layout.states(manifest.live)))
    parts = [states.where(F.col("_commit_id").isin(*commits) if commits else F.lit(False)).select(*columns)]
    for run in manifest.runs:
        if run.id != ORIGIN and run.state_rows:
            parts.append(spark.read.format("delta").load(str(layout.run(run.version, run.id))).select(*columns))
    return reduce(DataFrame.unionByName, parts)


def group_columns(bundle: Bundle) -> list[str]:
    """The columns that stored rows are grouped by."""
    return [*bundle.keys, *([BUCKET] if bundle.bucket_seconds else [])]


def _prove_books(proof: Proof, judge: Judge, rows: Sequence[LedgerRow], records: DataFrame) -> None:
    """Every record is in the books, and what rules took out of the commits that were judged as one would be now."""
    unruled = "" if "rules" not in judge.decoder else judge.decoder_id  # the ledger named no decoder before rules came
    alike = [r for r in rows if not r.range.empty and r.decoder in (judge.decoder_id, unruled)]
    books = reduce(lambda a, r: a + r.books, alike, Books())
    now = decode(records, judge.decoder)
    here = F.expr(" OR ".join(within(r) for r in _joined([r.range for r in alike])) or "false")
    dropped = F.col(REASON).isin(*judge.dropping) if judge.dropping else F.lit(False)
    bad = F.col(REASON).isNotNull() & ~dropped
    figures = arrow(
        now.agg(
            F.count(F.lit(1)).alias("consumed"),
            F.count_if(here & bad).alias("quarantined"),
            F.count_if(here & dropped).alias("dropped"),
        )
    ).to_pylist()[0]
    consumed = sum(row.books.consumed for row in rows)
    said = {"consumed": consumed, "quarantined": books.quarantined, "dropped": books.dropped}
    for name, true in figures.items():
        if true != said[name]:
            proof.problems.append(f"the ledger says {name} {said[name]:,}; the log holds {true:,}")


def _told(rows: Sequence[LedgerRow], apart: Sequence[LedgerRow]) -> list[str]:
    """What nobody holds any more, in words."""
    lost = [f"records {r.range} are lost, passed in seq {r.seq}: {r.note}" for r in rows if r.kind == "lost"]
    only = [f"of records {r.range} (seq {r.seq}) some are only in the states of then, taken as they are" for r in apart]
    return lost + only


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """The same records in as few ranges as there are."""
    found: list[Range] = []
    for each in ranges:
        if found and found[-1].to == each.from_:
            found[-1] = Range(found[-1].from_, each.to)
        else:
            found.append(each)
    return found


def _prove_master(proof: Proof, master: DeltaMaster, records: DataFrame, origin: Position) -> None:
    """The master holds each record below its claim once, byte for byte."""
    claim = master.last_claim()
    if claim is None or not master.exists():
        return
    span = Range(origin, claim.up_to(proof.position).with_partitions(origin))
    place = ["_partition", "_offset"]
    digest = F.xxhash64("_key", "_value", "_timestamp").alias("digest")
    held = (
        master.bytes_of(span)
        .select(*place, digest)
        .groupBy(*place)
        .agg(F.count(F.lit(1)).alias("n"), F.max("digest").alias("held"))
    )
    true = records.where(within(span)).select(*place, digest)
    wrong = true.join(held, place, "full_outer").where("n IS NULL OR digest IS NULL OR n > 1 OR digest <> held")
    for row in arrow(wrong.orderBy(*place).limit(SHOWN)).to_pylist():
        what = "lacks" if row["n"] is None else "doubles" if row["n"] > 1 else "altered or invented"
        proof.problems.append(f"the master {what} {row['_partition']}@{row['_offset']}")
        proof.lost += row["n"] is None
        proof.doubled += (row["n"] or 0) > 1


def _prove_tables(
    proof: Proof, manifest: Manifest, rows: Sequence[LedgerRow], layout: Layout, spark: SparkSession
) -> None:
    """Each table holds as many state rows as the ledger or the manifest says; else the records are named."""
    states = spark.read.format("delta").load(str(layout.states(manifest.live))).groupBy("_commit_id").count()
    held = {r["_commit_id"]: r["count"] for r in arrow(states).to_pylist()}
    by_id = {r.commit_id: r for r in rows}
    for commit_id, expected in visible(manifest.live, rows, after=manifest.seq).items():
        if held.get(commit_id, 0) != expected:
            proof.problems.append(
                f"{manifest.view}: the commit of records {by_id[commit_id].range} (seq {by_id[commit_id].seq}) holds "
                f"{held.get(commit_id, 0)} of {expected} state rows"
            )
    for run in (r for r in manifest.runs if r.id != ORIGIN and r.state_rows):
        count = spark.read.format("delta").load(str(layout.run(run.version, run.id))).count()
        if count != run.state_rows:
            proof.problems.append(
                f"{manifest.view}: run {run.id} of records {run.range} holds {count} of {run.state_rows} state rows"
            )


def _prove_view(proof: Proof, bundle: Bundle, records: DataFrame, held: DataFrame, copies: DataFrame | None) -> None:
    """Compares what the records come to, and the copies of what records there are none of, with what is held."""
    states, groups = _states(bundle), group_columns(bundle)
    good = decoded(decode(records, bundle.decoder), bundle.decoder, placed=bundle.placed)
    truth = fold(good, bundle).where(f"{ROWS} > 0")  # without keys there is a group of no rows
    if copies is not None:
        truth = _merged(truth.unionByName(copies.select(truth.columns)), bundle)
    chosen = _chosen(proof.sample, groups)
    truth, merged = truth.where(chosen), _merged(held.where(chosen), bundle)
    left = truth.select(*groups, *(F.col(c).alias(f"t_{c}") for c in [*(s.column for s in states), ROWS]))
    right = merged.select(*(F.col(g).alias(f"k_{g}") for g in groups), *merged.columns[len(groups) :])
    on = reduce(Column.__and__, (F.col(g).eqNullSafe(F.col(f"k_{g}")) for g in groups), F.lit(True))
    both = left.join(right, on, "full_outer").persist()
    same = (F.expr(s.kind.agree(f"`t_{s.column}`", f"`{s.column}`")) for s in states)
    equal = reduce(Column.__and__, same, F.col(f"t_{ROWS}").eqNullSafe(F.col(ROWS)))
    true_rows, held_rows = F.coalesce(f"t_{ROWS}", F.lit(0)), F.coalesce(ROWS, F.lit(0))
    try:
        found = arrow(
            both.agg(
                F.count(F.lit(1)).alias("groups"),
                F.count_if(equal).alias("equal"),
                F.coalesce(F.sum(F.greatest(true_rows - held_rows, F.lit(0))), F.lit(0)).alias("lost"),
                F.coalesce(F.sum(F.greatest(held_rows - true_rows, F.lit(0))), F.lit(0)).alias("doubled"),
            )
        ).to_pylist()[0]
        proof.groups += found["groups"]
        proof.equal += found["equal"]
        proof.lost += found["lost"]
        proof.doubled += found["doubled"]
        if found["equal"] != found["groups"]:
            for row in arrow(both.where(~equal).limit(SHOWN)).to_pylist():
                key = ", ".join(str(row[g] if row[f"t_{ROWS}"] is not None else row[f"k_{g}"]) for g in groups)
                proof.problems.append(
                    f"{bundle.name}[{key}]: {row[f't_{ROWS}'] or 0} rows in the log, {row[ROWS] or 0} stored"
                )
    finally:
        both.unpersist()


def _chosen(share: float, groups: Sequence[str]) -> str:
    """SQL: the row is of a group that a sample of this share takes."""
    if share == 1 or not groups:
        return "true"
    texts = ", ".join(f"cast(`{g}` as string)" for g in groups)  # the same whatever Delta made of its type
    return f"pmod(xxhash64({texts}), 1000000) < {round(share * 1_000_000)}"


def _merged(states: DataFrame, bundle: Bundle) -> DataFrame:
    merges = [F.expr(s.kind.merge_in_spark(f"`{s.column}`")).alias(s.column) for s in _states(bundle)]
    return states.groupBy(*group_columns(bundle)).agg(*merges, F.sum(ROWS).alias(ROWS)).where(f"{ROWS} > 0")


def _states(bundle: Bundle) -> list[State]:
    return list({s.column: s for m in bundle.measures.values() for s in m.states}.values())
