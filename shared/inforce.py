"""Puts a project's views in force: opens ledgers, stores bundles, attaches versions, writes first manifests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyspark.sql import DataFrame, SparkSession

from dovetail.shared import manifest as rules
from dovetail.shared import sensitive, versions
from dovetail.shared.commit import attach, detach, open_source
from dovetail.shared.declare import Source, View
from dovetail.shared.decode import REASON, decoded
from dovetail.shared.engine import arrow_schema
from dovetail.shared.errors import DeclarationError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.fold import fold
from dovetail.shared.judge import refuse_unfit
from dovetail.shared.ledger import LedgerRow, LedgerStore, LostRace, VersionId, view_of
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Manifest, ManifestStore, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Range
from dovetail.shared.project import Project
from dovetail.shared.purity import problems
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout
from dovetail.shared.versions import Bundle

BATCH_ALONE = "speed=False: its answers end here until the next batch"


def open_ledger(project: Project, source: Source, log: Log) -> DeltaLedger:
    """The source's ledger; at first sight it begins where the topic's log begins now."""
    ledger = DeltaLedger(project.layout.ledger(source.name))
    if ledger.last() is None:
        extent = log.extent(source.topic)
        open_source(ledger, topic_id=extent.topic_id, origin=extent.begin)
    return ledger


def put_in_force(project: Project, source: Source, ledger: LedgerStore, spark: SparkSession) -> None:
    """Attaches each declared view that nothing answers for yet. A changed one is left to `dovetail batch`.

    So is one that speed does not fold; before the first record it answers, from the origin, that there are none.

    Raises:
        DeclarationError: a rule of the source, or a transform, that cannot be.
    """
    refuse_unfit(source, spark)
    for view in project.views_of(source):
        sensitive.keep(project.layout, view)
        manifests = DeltaManifest(project.layout.manifest(view.name))
        if manifests.read() is None and (view.speed or _at_origin(ledger)):
            version = in_force(view.name, ledger.last()) or attach_declared(project, view, ledger, spark)
            answer_from_origin(view.name, version, ledger, manifests)
            if not view.speed:
                detach(ledger, version, note=BATCH_ALONE)


def attach_declared(project: Project, view: View, ledger: LedgerStore, spark: SparkSession) -> VersionId:
    """Stores the declared version of `view` and puts it in force; gives its id."""
    refuse_impure(project, view)
    refuse_unfit(view.source, spark)
    bundle = project.store(view)
    failpoint("attach.bundle_stored")
    DeltaStates(project.layout, view.source.name).create(bundle.version, arrow_schema(groups_of(bundle, spark)))
    failpoint("attach.states_created")
    attach(ledger, bundle.version, note=f"{view.where}")
    failpoint("attach.in_force")
    return bundle.version


def groups_of(bundle: Bundle, spark: SparkSession) -> DataFrame:
    """The states of no record, for their columns and types."""
    kinds = {"_partition": "int", "_offset": "bigint", **bundle.decoder["schema"], REASON: "string"}
    nulls = ", ".join(f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in kinds.items())
    empty = spark.sql(f"SELECT {nulls} WHERE false")  # as `decode` gives it: createDataFrame takes 50 ms more
    return fold(decoded(empty, bundle.decoder, placed=bundle.placed), bundle)


def refuse_impure(project: Project, view: View) -> None:
    """Raises DeclarationError where a transform is not row-wise: batch and speed would not agree."""
    found = [p for step in view.transform for p in problems(step, project=project.settings.folder)]
    if found:
        raise DeclarationError(
            f"a transform of {view.name} is not row-wise: {found[0].message}",
            where=f"{found[0].file}:{found[0].line}",
            next="dovetail check",
        )


def answer_from_origin(view: str, version: VersionId, ledger: LedgerStore, manifests: ManifestStore) -> Manifest | None:
    """The first manifest of a version that was in force before the first record; None where it came later."""
    begin, rows = ledger.first(), _since(version, ledger)
    if begin is None or not rows or rows[0].to != begin.to:
        return None
    attached = rows[0]
    origin = Run(ORIGIN, version, -1, attached.seq, Range(begin.to, attached.to))
    manifest = rules.first(view, (origin,), "in force from the origin")
    try:
        manifests.swap(manifest)
    except LostRace:
        return manifests.read()
    failpoint("attach.answered")
    return manifest


def _since(version: VersionId, ledger: LedgerStore) -> Sequence[LedgerRow]:
    """The ledger from the row on that put the version in force last; empty where it is not in force.

    Read from the end: a first start asks this for each view, of a ledger that each of them makes longer.
    """
    last, reach = ledger.last(), 1
    while last is not None and version in last.versions:
        rows = ledger.rows(after=max(-1, last.seq - reach))
        before = [i for i, row in enumerate(rows) if version not in row.versions]
        if before or rows[0].seq == 0:
            return rows[before[-1] + 1 :] if before else rows
        reach *= 4
    return ()


def _at_origin(ledger: LedgerStore) -> bool:
    first, last = ledger.first(), ledger.last()
    return first is None or last is None or first.to == last.to


def in_force(view: str, last: LedgerRow | None) -> VersionId | None:
    """The version of `view` that commits are folded for now."""
    return next((v for v in (last.versions if last else ()) if view_of(v) == view), None)


def bundles(
    layout: Layout, names: Iterable[VersionId], cache: dict[VersionId, versions.Bundle]
) -> list[versions.Bundle]:
    """The stored bundles of versions; read once each."""
    for name in names:
        if name not in cache:
            cache[name] = versions.load(layout.version(name))
    return [cache[name] for name in names]
