"""The proof: recounts every record from the log itself and compares with what the stored states add up to.

A path of its own. Truth is one plain aggregation over all records at once, read from Kafka (or, where Kafka has dropped
them, from the master), by another engine than the layers' where that can be; what is proved is the tables: manifest,
runs, ledger, states, recorded repeats. Serving's code is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch import imported
from dovetail.batch.held import stored
from dovetail.batch.master import DeltaMaster
from dovetail.batch.prove_groups import Answering, compared, told
from dovetail.batch.prove_repeats import Differing, differing
from dovetail.shared.declare import Source
from dovetail.shared.decode import REASON, decode
from dovetail.shared.engine import arrow
from dovetail.shared.gaps import unarchived
from dovetail.shared.imports import Imports
from dovetail.shared.judge import Judge
from dovetail.shared.ledger import Books, LedgerRow, until_detached, visible
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Manifest
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, named
from dovetail.shared.project import Project
from dovetail.shared.records import outside, records_of, within
from dovetail.shared.set_apart import counted
from dovetail.shared.states import only_copies
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import Bundle, load

SHOWN = 10


@dataclass(frozen=True)
class Imported:
    """An import: its records as they are counted now, and the views whose answers hold it."""

    id: int
    records: int
    views: tuple[str, ...]


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
    engines: dict[str, str] = field(default_factory=dict)
    """By view which engine recounted it."""
    imported: list[Imported] = field(default_factory=list)
    """The old history that is there, or in an answer still."""

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
        _prove_imports(proof, [m for m in manifests.values() if m], layout, spark)
        _prove_repeats(proof, differing(records, source, rows, layout, gone=apart, sample=sample))
        for manifest in (m for m in manifests.values() if m):
            bundle = load(layout.version(manifest.live))
            _prove_tables(proof, manifest, rows, layout)
            answers = until_detached(manifest.live, [r for r in rows if r.seq >= manifest.seq])
            own = [r for r in apart if manifest.live in r.versions and answers[-1].to.reaches(r.to)]
            theirs = outside(own, records.where(within(Range(span.from_, answers[-1].to))))
            if manifest.imports:
                theirs = theirs.unionByName(_prove_admitted(proof, manifest, bundle, layout, spark))
            good = counted(
                theirs, manifest.live, rows, source=source.name, ledger=rows, layout=layout, runs=manifest.runs
            )
            copies = only_copies(layout, manifest.live, own, spark) if own else None
            held = stored(layout, manifest, rows, bundle, spark)
            _prove_view(proof, Answering(bundle, manifest, rows, good, held, copies), layout)
    finally:
        records.unpersist()
    return proof


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


def _prove_imports(proof: Proof, manifests: Sequence[Manifest], layout: Layout, spark: SparkSession) -> None:
    """Each import that is there, or in an answer, holds the records that were written, byte for byte."""
    for each in Imports(layout, proof.source).all():
        views = tuple(m.view for m in manifests if each.id in {a.id for a in m.imports})
        if each.dropped is not None and not views:
            continue
        records, digest = imported.digest(imported.held(layout, proof.source, [each], spark))
        proof.imported.append(Imported(each.id, records, views))
        if (records, digest) != (each.records, each.digest):
            what = "altered" if records == each.records else f"{records:,} of {each.records:,}"
            proof.problems.append(f"{each}: its records are not those that were imported: {what}")
            proof.lost += max(0, each.records - records)
            proof.doubled += max(0, records - each.records)


def _prove_admitted(proof: Proof, manifest: Manifest, bundle: Bundle, layout: Layout, spark: SparkSession) -> DataFrame:
    """The records of the imports that a view's answers hold, and whether the manifest tells the truth of them."""
    ids, imports = [each.id for each in manifest.imports], Imports(layout, proof.source)
    rows = imported.held(layout, proof.source, [imports.get(i) for i in ids], spark)
    for said, true in zip(manifest.imports, imported.books(rows, ids, bundle.decoder), strict=True):
        if said != true:
            proof.problems.append(f"{manifest.view}: the manifest says {said}; it is {true}")
    return imported.once(rows, ids)


def _prove_tables(proof: Proof, manifest: Manifest, rows: Sequence[LedgerRow], layout: Layout) -> None:
    """Each table holds as many state rows as the ledger or the manifest says; else the records are named."""
    states = AppendTable.existing(layout.states(manifest.live)).read(columns=["_commit_id"])
    held = {r["values"]: r["counts"] for r in pc.value_counts(states["_commit_id"]).to_pylist()}
    by_id = {r.commit_id: r for r in rows}
    for commit_id, expected in visible(manifest.live, rows, after=manifest.seq).items():
        if held.get(commit_id, 0) != expected:
            proof.problems.append(
                f"{manifest.view}: the commit of records {by_id[commit_id].range} (seq {by_id[commit_id].seq}) holds "
                f"{held.get(commit_id, 0)} of {expected} state rows"
            )
    for run in (r for r in manifest.runs if r.id != ORIGIN and r.state_rows):
        count = AppendTable.existing(layout.run(run.version, run.id)).read(columns=[]).num_rows
        if count != run.state_rows:
            proof.problems.append(
                f"{manifest.view}: run {run.id} of records {run.range} holds {count} of {run.state_rows} state rows"
            )


def _prove_view(proof: Proof, view: Answering, layout: Layout) -> None:
    """What the records come to is what the tables hold."""
    found = compared(view, layout, sample=proof.sample)
    proof.engines[view.bundle.name] = found.engine
    proof.groups += found.groups
    proof.equal += found.equal
    proof.lost += found.lost
    proof.doubled += found.doubled
    if found.wrong.num_rows:
        proof.problems += told(found.wrong, view, layout)


def _prove_repeats(proof: Proof, found: Differing) -> None:
    """What is recorded as a repeat is one, and every repeat is recorded."""
    proof.lost += len(found.lost)
    proof.doubled += len(found.doubled)
    if found.lost:
        what = "recorded as a repeat, and repeating nothing that counts"
        proof.problems.append(f"{what}: {named(found.lost, most=SHOWN)}")
    if found.doubled:
        what = "repeats, which no commit has recorded and every view counts"
        proof.problems.append(f"{what}: {named(found.doubled, most=SHOWN)}")
    for row in found.short:
        what = f"{found.held.get(row.seq, 0):,} of {row.books.repeats:,} repeats are recorded"
        proof.problems.append(f"{what} of the commit of records {row.range} (seq {row.seq})")
    if found.undecided:
        first, last = found.undecided[0], found.undecided[-1]
        what = f"repeats in {len(found.undecided):,} commits, of seq {first.seq} to {last.seq}, are taken as recorded"
        proof.gaps.append(f"{what}: found by another declaration, by an older Dovetail or beside records that are gone")
