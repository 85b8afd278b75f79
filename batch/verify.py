"""Whether a changed view comes to the same states: its code and that of what answers, both over the master.

Where it does for every group, the runs that answer can be relabelled instead of computed anew: see `relabel`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import BinaryType, DataType, DecimalType, FractionalType, MapType, StructType

from dovetail.batch.held import group_columns, states_of
from dovetail.batch.master import DeltaMaster
from dovetail.batch.recompute import check_counts
from dovetail.shared import notes
from dovetail.shared.declare import View
from dovetail.shared.decode import POSITION, decoded
from dovetail.shared.engine import arrow
from dovetail.shared.errors import UsageError
from dovetail.shared.failing import said
from dovetail.shared.fold import ROWS, fold, grouping, user_code
from dovetail.shared.gaps import unarchived
from dovetail.shared.inforce import groups_of, refuse_impure
from dovetail.shared.ledger import LedgerRow, VersionFails, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.measures.base import State
from dovetail.shared.position import Range
from dovetail.shared.project import Project
from dovetail.shared.sensitive import hidden
from dovetail.shared.set_apart import counted
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.versions import Bundle, load

SHOWN = 10
"""Groups that are named, of those that differ."""
OTHER = "_other"


@dataclass(frozen=True)
class Verified:
    """How many groups the records up to ledger row `seq` make by one of the two, and how many are equal by both.

    `runs` are those that answered, up to that row. `sample` is the share of keys that was looked at; `differing` are
    lines about the worst of the groups that differ.
    """

    before: VersionId
    after: VersionId
    seq: int
    runs: tuple[RunId, ...]
    sample: float
    groups: int
    equal: int
    differing: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return self.groups == self.equal

    @property
    def whole(self) -> bool:
        """Whether every group was looked at and is equal: what relabelling takes."""
        return self.same and self.sample == 1


def verify(project: Project, view: View, spark: SparkSession, *, sample: float = 1.0) -> Verified:
    """Runs both codes over every record below the cut, and compares what they come to.

    Stores the declared version, and what was found of it where that lets the runs be relabelled; changes no answer.

    Args:
        sample: the share of the records that is looked at, chosen by a hash of their keys.

    Raises:
        UsageError: nothing is to be verified, or states of the two cannot be equal; says why.
        VersionFails: one of the two raises.
        IntegrityError: the master and the ledger disagree.
    """
    layout = project.layout
    manifest, declared = DeltaManifest(layout.manifest(view.name)).read(), project.version(view)
    if manifest is None or manifest.live == declared:
        raise UsageError(f"{view.name} is declared as it answers: there is nothing to verify", next="dovetail plan")
    refuse_impure(project, view)
    before, after = load(layout.version(manifest.live)), project.store(view)
    ledger = DeltaLedger(layout.ledger(view.source.name)).rows()
    rows = [row for row in ledger if row.seq <= manifest.seq]
    master = DeltaMaster(layout, view.source, spark)
    unlike = [*_unlike(before, after, layout, spark), *_unknown(manifest, rows, master)]
    if unlike:
        raise UsageError(f"{after.version} cannot take the runs of {before.version}: {unlike[0]}", next=_anew(view))
    check_counts(rows, master.counts(rows))
    old, new = (
        _made(_records(bundle, rows, ledger, manifest, master, layout, sample), bundle) for bundle in (before, after)
    )
    found = _compared(old, new, after)
    runs = tuple(run.id for run in manifest.runs)
    verified = Verified(
        before.version, after.version, manifest.seq, runs, sample, found["groups"], found["equal"],
        tuple(_told(hidden(found["worst"], view.source.sensitive), after)),
    )  # fmt: skip
    if verified.whole:
        notes.keep(_note(layout, declared), asdict(verified))
    return verified


def last(layout: Layout, version: VersionId) -> Verified | None:
    """What lets runs be relabelled as this version's; None where nothing does."""
    found = notes.read(_note(layout, version))
    return Verified(**{**found, "runs": tuple(found["runs"]), "differing": ()}) if found else None


def _note(layout: Layout, version: VersionId) -> Path:
    return layout.version(version) / "verified.json"


def _anew(view: View) -> str:
    return f"dovetail reprocess {view.name}"


def _unlike(before: Bundle, after: Bundle, layout: Layout, spark: SparkSession) -> Iterator[str]:
    """Why tables of the one cannot be tables of the other."""
    if (before.source, before.topic) != (after.source, after.topic):
        yield "they read other records"
    if (before.keys, before.bucket_seconds) != (after.keys, after.bucket_seconds):
        yield "keys or bucket are others"
    elif {s.column for s in states_of(before)} != {s.column for s in states_of(after)}:
        yield "measures are others"
    else:
        held = from_arrow_schema(AppendTable.existing(layout.states(before.version)).schema)
        for column in groups_of(after, spark).schema:
            if held[column.name].dataType.simpleString() != column.dataType.simpleString():
                yield f"{column.name} is of another type"


def _unknown(manifest: Manifest, rows: Sequence[LedgerRow], master: DeltaMaster) -> Iterator[str]:
    """Why the runs hold, or lack, what the master cannot say of the declared version."""
    if any(run.lacks for run in manifest.runs) or unarchived(rows, master.passed()):
        yield "the master lacks records that they count"
    if any(run.failed for run in manifest.runs) or any(row.failing.get(manifest.live) for row in rows):
        yield f"records made {manifest.live} raise, and were set apart"


def _records(
    bundle: Bundle, rows: Sequence[LedgerRow], ledger: Sequence[LedgerRow], manifest: Manifest, master: DeltaMaster,
    layout: Layout, sample: float,
) -> DataFrame:  # fmt: skip
    """The decoded records that a version counts below the cut, as a run would read them; a share of their keys."""
    read = master.rows(Range(rows[0].to, manifest.cut), bundle.decoder)
    chosen = read.where(f"pmod(xxhash64(_key, if(_key is null, _offset, null)), 1000000) < {round(sample * 1_000_000)}")
    found = counted(chosen, bundle.version, rows, source=bundle.source, ledger=ledger, layout=layout)
    return decoded(found, bundle.decoder, placed=bundle.placed)


def _made(records: DataFrame, bundle: Bundle) -> DataFrame:
    """What records come to, by group, told apart to the bit: see `_told_apart`."""
    types = {f.name: f.dataType for f in fold(records, bundle).schema}
    with user_code(bundle):
        columns = {s.column: _told_apart(s, types[s.column]) for s in states_of(bundle)} | {ROWS: "count(1)"}
        aggregates = [F.expr(f"{sql} as `{column}`") for column, sql in columns.items()]
        return bundle.view(records).groupBy(*map(F.expr, grouping(bundle))).agg(*aggregates).where(f"{ROWS} > 0")


def _told_apart(state: State, kind: DataType) -> str:
    """SQL: the state; where that depends on the order of its rows, as sums of doubles and sketches do, a digest of what
    it takes, each row's as often as it comes."""
    if isinstance(kind, BinaryType | FractionalType | StructType | MapType) and not isinstance(kind, DecimalType):
        place = POSITION if state.kind.placed else ()
        taken = ", ".join(f"cast({sql} as string)" for sql in (state.taken, state.by, *place) if sql)
        return f"sum(cast(xxhash64({taken}) as decimal(38, 0)))"
    return state.prepared


def _compared(before: DataFrame, after: DataFrame, bundle: Bundle) -> dict[str, Any]:
    """How many `groups` there are, how many are `equal`, and the `worst` of the others."""
    names, groups = [*(s.column for s in states_of(bundle)), ROWS], group_columns(bundle)
    left, right = (
        side.select(*(F.col(f"`{c}`").alias(f"{tag}_{c}") for c in [*groups, *names]))
        for tag, side in (("b", before), ("a", after))
    )
    both = left.join(right, _alike(groups), "full_outer").persist()
    try:
        equal = _alike(names)
        sums = arrow(both.agg(F.count(F.lit(1)).alias("groups"), F.count_if(equal).alias("equal"))).to_pylist()[0]
        other = [F.when(~_alike(s.column for s in m.states), name) for name, m in bundle.measures.items()]
        row = [F.coalesce(f"`b_{g}`", f"`a_{g}`").alias(g) for g in groups]
        counts = [F.coalesce(f"`{tag}_{ROWS}`", F.lit(0)).alias(f"{tag}_{ROWS}") for tag in "ba"]
        worst = both.where(~equal).select(*row, *counts, F.concat_ws(", ", *other).alias(OTHER))
        worst = worst.orderBy(F.abs(F.col(f"b_{ROWS}") - F.col(f"a_{ROWS}")).desc(), *(f"`{g}`" for g in groups)).limit(
            SHOWN
        )
        return {**sums, "worst": [] if sums["groups"] == sums["equal"] else arrow(worst).to_pylist()}
    except Exception as error:  # user code: anything may come out of it
        if not said(error):
            raise
        raise VersionFails(bundle.version, said(error)) from error
    finally:
        both.unpersist()


def _alike(columns: Iterable[str]) -> Column:
    return reduce(Column.__and__, (F.col(f"`b_{c}`").eqNullSafe(F.col(f"`a_{c}`")) for c in columns), F.lit(True))


def _told(worst: Iterable[Mapping[str, Any]], bundle: Bundle) -> Iterator[str]:
    for row in worst:
        key = ", ".join(str(row[g]) for g in group_columns(bundle))
        yield f"{bundle.name}[{key}]: {row[OTHER] or 'rows'}; {row[f'b_{ROWS}']} rows before, {row[f'a_{ROWS}']} after"
