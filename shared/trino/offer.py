"""What Trino is offered of a view: everybody who may ask it there sees the same. Reads tables, writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dovetail.shared import access, sensitive, versions
from dovetail.shared.dimensions import Joins, Version, Versions
from dovetail.shared.grants import Grant, Mask
from dovetail.shared.manifest import ORIGIN, Manifest, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.sections import TrinoSettings
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.trino.names import quoted
from dovetail.shared.trino.statement import Looked, Made, Parts, statement
from dovetail.shared.trino.tables import Tables, of_version

NO_GRANTS = "a grant shows some of its rows only, or no small groups, and Trino knows no grants"
NO_COLUMNS = "it has no column that can be shown there"


@dataclass(frozen=True)
class Offer:
    """A view's manifest, its statement or the problem why it is not shown, and the tables that the statement reads."""

    manifest: Manifest
    problem: str = ""
    made: Made | None = None
    tables: Mapping[str, Path] | None = None
    dimensions: tuple[tuple[str, Version], ...] = ()

    @property
    def runs(self) -> Mapping[str, Run]:
        return {run_table(run): run for run in self.manifest.runs if run.id != ORIGIN}


def offer(to: TrinoSettings, layout: Layout, tables: Tables, view: str) -> Offer | None:
    """What is offered of a view now; None where it has never answered.

    Raises:
        UsageError: `trino.grant` names no grant.
        IntegrityError: which keys are sensitive cannot be read.
    """
    manifest = DeltaManifest(layout.manifest(view)).read()
    if manifest is None:
        return None
    grants = _grants(to, layout, view)
    if any(grant.rows or grant.floor for grant in grants):
        return Offer(manifest, NO_GRANTS)
    bundle = versions.load(layout.version(manifest.live))
    joined = tuple(_joined(layout, view, bundle.keys))
    ledger, manifests, states = f"ledger_{bundle.source}", f"manifest_{view}", of_version("states", manifest.live)
    read = {
        ledger: layout.ledger(bundle.source),
        manifests: layout.manifest(view),
        states: layout.states(manifest.live),
        **{run_table(r): layout.run(r.version, r.id) for r in manifest.runs if r.id != ORIGIN},
        **{f"dimension_{name}": copy_of(layout, name, version) for name, version in joined},
    }
    full = {name: tables.full(name, path) for name, path in read.items()}
    parts = Parts(
        manifest=manifest,
        keys=bundle.keys,
        bucket=bundle.bucket_seconds is not None,
        measures=bundle.measures,
        stored=AppendTable.existing(layout.states(manifest.live)).schema,
        ledger=full[ledger],
        manifests=full[manifests],
        states=full[states],
        runs=tuple(full[run_table(r)] for r in manifest.runs if r.id != ORIGIN),
        dimensions=tuple(
            Looked(name, full[f"dimension_{name}"], version.key, columns_of(layout, name, version))
            for name, version in joined
        ),
        masks=_masks(to, grants, sensitive.of(layout, view)),
    )
    made = statement(quoted(to.catalog, to.schema_name, view), parts)
    return Offer(manifest, "", made, read, joined) if made.columns else Offer(manifest, NO_COLUMNS)


def run_table(run: Run) -> str:
    return of_version("run", run.version, run.id)


def copy_of(layout: Layout, dimension: str, version: Version) -> Path:
    """Where a version of a dimension lies as a Delta table: Trino reads no Parquet file alone."""
    return layout.dimension(dimension) / Path(version.file).with_suffix(".delta")


def columns_of(layout: Layout, dimension: str, version: Version) -> dict[str, str]:
    """The attributes of a version, each with its column in the copy: a CSV's header may hold any name."""
    names = Versions(layout, dimension).read(version).column_names
    return {name: f"c{i}" for i, name in enumerate(n for n in names if n != version.key)}


def _joined(layout: Layout, view: str, keys: tuple[str, ...]) -> Iterator[tuple[str, Version]]:
    """The newest versions of the dimensions that the view's questions may use."""
    for name in sorted(Joins(layout, view).names()):
        last = Versions(layout, name).last()
        if last is not None and last.key in keys:
            yield name, last


def _grants(to: TrinoSettings, layout: Layout, view: str) -> list[Grant]:
    """The grant that is named; else all that are of the view: what one of them does not show, Trino does not."""
    held = access.read(layout)
    if to.grant:
        return [held.grant(to.grant)]
    return [grant for grant in held.grants.values() if grant.of(view) and "read" in grant.roles]


def _masks(to: TrinoSettings, grants: list[Grant], sensitive_: Mapping[str, str]) -> dict[str, Mask]:
    """What a source calls sensitive, and what grants mask more; only one that is named lets a column be seen clear.

    Only its masks are shown in their form: the forms of several are not compared.
    """
    columns = {name: mask for grant in grants for name, mask in grant.columns.items() if to.grant or mask != "clear"}
    masks = {**sensitive_, **(columns if to.grant else dict.fromkeys(columns, "null"))}
    return {name: Mask.parse(mask) for name, mask in masks.items() if mask != "clear"}
