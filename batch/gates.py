"""Whether a view's gates let other runs answer: their answers against those that they would replace, at one position.

A batch that goes on with the runs that answer replaces commits of speed, and is compared with these alone: what both
sides have in common would hide what is lost of a night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.batch.diff import common, compared, presented
from dovetail.batch.held import OWNER, merged, stored
from dovetail.shared.declare import View
from dovetail.shared.errors import GateClosed
from dovetail.shared.gates import Gate, Held, hold
from dovetail.shared.ledger import LedgerRow
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Manifest, Run, ready
from dovetail.shared.project import Project
from dovetail.shared.versions import Bundle, load


@dataclass(frozen=True)
class Judged:
    """What a gate found: the answers before and after where it judges the whole, else how many groups move too far."""

    gate: Gate
    before: Any
    after: Any
    groups: int
    beyond: int

    @property
    def closed(self) -> bool:
        return self.beyond > self.groups * (self.gate.groups or 0.0)

    def __str__(self) -> str:
        gate = self.gate
        if gate.groups is None:
            moved = f"{_said(self.before)} → {_said(self.after)}{self._step()}"
            return f"{gate.measure} {moved}, within {_percent(gate.within)}"
        what = f"{gate.measure} moves by more than {_percent(gate.within)} in {self.beyond:,} of {self.groups:,} groups"
        return f"{what}, {_percent(gate.groups)} may"

    def _step(self) -> str:
        try:
            return f" ({float(self.after / self.before - 1):+.1%})"
        except (TypeError, ArithmeticError):
            return ""


@dataclass(frozen=True)
class Side:
    """The stored rows that answer, and the version they are of."""

    rows: DataFrame
    bundle: Bundle

    def answers(self, by: Sequence[str], names: Sequence[str]) -> pa.Table:
        return presented(merged(self.rows, self.bundle, by), self.bundle, by, names)


def of_batch(
    project: Project,
    view: View,
    started: Manifest | None,
    runs: tuple[Run, ...],
    spark: SparkSession,
    *,
    despite: str | None,
) -> str:
    """What the history is to say of the gates that a batch passes, nothing where all are open.

    Raises:
        GateClosed: one is closed, and nobody said why it should be passed; `dovetail status` tells it from now on.
    """
    closed = [] if started is None else [j for j in judged(project, view, started, runs, spark) if j.closed]
    if not closed or started is None:
        return ""
    said = "; ".join(map(str, closed))
    if despite is not None:
        return f" despite its gates ({said}): {despite}"
    full = "" if _joins(started, runs) else " --full"
    command = f"dovetail batch {view.name}{full}"
    held = Held(
        f"{view.name}: a gate is closed: {said}",
        f"dovetail prove {view.source.name} recounts what answers; then {command} once mended, "
        f'or {command} --despite-gates --because "…"',
    )
    hold(project.layout, started, held)
    why = "for the same records the batch does not come to what answers, which goes on"
    raise GateClosed(held.what, why=why, next=held.next)


def refuse_promote(
    project: Project, view: View, manifest: Manifest, to: tuple[Run, ...], spark: SparkSession
) -> list[Judged]:
    """What each gate finds of a promote; raises GateClosed where one is closed."""
    found = judged(project, view, manifest, to, spark)
    if closed := [j for j in found if j.closed]:
        raise GateClosed(
            f"{view.name}: a gate is closed: {'; '.join(map(str, closed))}",
            next=f'dovetail diff {view.name}; then dovetail promote {view.name} --despite-gates --because "…"',
        )
    return found


def judged(project: Project, view: View, manifest: Manifest, to: tuple[Run, ...], spark: SparkSession) -> list[Judged]:
    """What each gate of a view finds of the runs `to` in the place of those that answer.

    A measure that only one of the two versions has is not judged; nor is anything where one of them has not been kept
    up to date, or is computed in part only: there is no position at which both answer.
    """
    rows = DeltaLedger(project.layout.ledger(view.source.name)).rows() if view.promote_if else []
    if not all(ready(manifest, runs, rows) for runs in (manifest.runs, to)):
        return []
    before, after = _sides(project, manifest, to, rows, spark)
    known = before.bundle.measures.keys() & after.bundle.measures.keys()
    chosen = [gate for gate in view.promote_if if gate.measure in known]
    names = list(dict.fromkeys(gate.measure for gate in chosen))
    answers = dict[bool, tuple[pa.Table, pa.Table, list[str]]]()
    for grouped in {gate.groups is not None for gate in chosen}:  # merged once for all gates that look alike
        by = common(before.bundle, after.bundle) if grouped else []
        answers[grouped] = before.answers(by, names), after.answers(by, names), by
    return [judge(gate, *answers[gate.groups is not None]) for gate in chosen]


def _sides(
    project: Project, manifest: Manifest, to: tuple[Run, ...], rows: Sequence[LedgerRow], spark: SparkSession
) -> tuple[Side, Side]:
    bundles = [load(project.layout.version(runs[-1].version)) for runs in (manifest.runs, to)]

    def side(runs: tuple[Run, ...], bundle: Bundle, rows: Sequence[LedgerRow]) -> DataFrame:
        answering = replace(manifest, runs=runs, rollback=(), staged=())
        return stored(project.layout, answering, rows, bundle, spark)

    if joins := _joins(manifest, to):
        rows = [row for row in rows if row.seq <= to[-1].to_seq]
    before = side(manifest.runs, bundles[0], rows)
    if joins:
        before = before.where(~F.col(OWNER).isin([run.id for run in manifest.runs]))
    after = side(to[len(manifest.runs) :] if joins else to, bundles[1], rows)
    return Side(before, bundles[0]), Side(after, bundles[1])


def _joins(manifest: Manifest, to: tuple[Run, ...]) -> bool:
    """Whether runs go on with those that answer."""
    return manifest.runs == to[: len(manifest.runs)]


def judge(gate: Gate, before: pa.Table, after: pa.Table, by: Sequence[str]) -> Judged:
    """What a gate finds of two tables of answers, a row a group."""
    found = compared(before, after, by, [gate.measure], within=gate.within)
    measured = found.measures[0]
    shown = measured.worst[0] if measured.worst else {"before": measured.before, "after": measured.after}
    return Judged(gate, shown["before"], shown["after"], found.groups, measured.differing)


def _said(value: Any) -> str:
    return "nothing" if value is None else f"{value:,}" if isinstance(value, int | float | Decimal) else str(value)


def _percent(share: float) -> str:
    return f"{share * 100:.6g} %"
