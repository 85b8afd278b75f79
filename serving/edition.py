"""One published state of a view: which rows, up to where, and what an answer from them says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

from dovetail.serving.depth import Depth
from dovetail.serving.query import Cursor, Layer, Plan
from dovetail.serving.shape import Shape
from dovetail.serving.speed_rows import SpeedRows
from dovetail.serving.tail import Account
from dovetail.shared.ledger import Judged
from dovetail.shared.manifest import Manifest
from dovetail.shared.position import Position

Gap = dict[str, str | int]
LACKS = "counted by earlier versions only: neither the log nor the archive held them when this one was computed"


def tag(view: str) -> str:
    """Six characters of a receipt's id that tell which view it is of."""
    return blake2b(view.encode(), digest_size=3).hexdigest()


@dataclass(frozen=True)
class Edition:
    """The runs of `manifest` below its cut and every commit from there up to `seq`, in the tables named.

    `broken` counts by rule what broke it, in all of the source's ledger up to there.
    `token` is what the database holds as published in every transaction that sees exactly these rows.
    """

    token: int
    shape: Shape
    manifest: Manifest
    seq: int
    position: Position
    account: Account
    runs: tuple[str, ...]
    speed: SpeedRows
    broken: Mapping[Judged, int] = field(default_factory=dict)
    depth: Depth = field(default_factory=Depth)

    @property
    def tables(self) -> tuple[str, ...]:
        return (*self.runs, self.speed.table)

    def of_layer(self, layer: Layer | None) -> tuple[str, ...]:
        """The tables of one layer, or of both."""
        match layer:
            case "batch":
                return self.runs or (f"(FROM {self.speed.table} LIMIT 0)",)  # the columns, and no row
            case "speed":
                return (self.speed.table,)
        return self.tables

    def tables_of(self, plan: Plan) -> tuple[str, ...]:
        """Those that may hold what a plan asks for: speed's not, where it has no rows of that time."""
        held = self.of_layer(plan.layer)
        return held if plan.layer or self.speed.within(plan.since, plan.end) else self.runs or held

    def id(self, plan: Plan) -> str:
        """Names the rows of an answer: equal ids, equal rows. With `tag` in it, so that it tells its view."""
        digest = blake2b(f"{self._parts}|{self.seq}|{plan.digest}".encode(), digest_size=4).hexdigest()
        dimensions = "-".join(str(d.n) for d in self.shape.dimensions)
        return f"s{self.manifest.generation}.{self.seq}.{f'd{dimensions}.' if dimensions else ''}{self._tag}{digest}"

    def receipt(
        self, plan: Plan, *, behind: dict[str, Any], more: bool, unmatched: Mapping[str, int]
    ) -> dict[str, Any]:
        joined = {d.name: {"version": d.n, "unmatched": unmatched.get(d.name)} for d in plan.dimensions(self.shape)}
        receipt = {
            "id": self.id(plan),
            **self._said,
            **({"layer": plan.layer} if plan.layer else {}),
            "dimensions": joined,
            "approximate": self._approximate(plan),
            "behind": behind,
        }
        if not more:
            return receipt
        return {**receipt, "more": True, "next": str(Cursor(self.id(plan.first), plan.offset + plan.limit))}

    def account_of(self) -> dict[str, Any]:
        """What every receipt of this edition says, whatever was asked."""
        return {**self._said, "dimensions": {d.name: {"version": d.n} for d in self.shape.dimensions}}

    def _approximate(self, plan: Plan) -> list[str]:
        asked = dict.fromkeys(name.partition(".")[0] for name in plan.measures)
        return [name for name in asked if self.shape.measures[name].presenter.accuracy]

    @cached_property
    def _tag(self) -> str:
        return tag(self.shape.view)

    @cached_property
    def _parts(self) -> str:
        dimensions = [f"{d.name}:{d.n}" for d in self.shape.dimensions]
        return "|".join([self.shape.version, *(run.id for run in self.manifest.runs), *dimensions])

    @cached_property
    def gaps_known(self) -> list[Gap]:
        """The records that are in no answer because they are gone: passed as lost, or not there any more for a run."""
        short = [run for run in self.manifest.runs if run.lacks]
        lacking: list[Gap] = [{"seq": run.to_seq, "records": run.lacks, "why": LACKS} for run in short]
        return [*self.account.gaps, *lacking]

    @cached_property
    def _said(self) -> dict[str, Any]:
        failed = self.account.failing.get(self.shape.version, 0) + sum(r.failed for r in self.manifest.runs)
        return {
            "view": self.shape.view,
            "version": self.shape.version,
            "runs": [run.id for run in self.manifest.runs],
            "cut": self.manifest.cut.as_json(),
            "position": self.position.as_json(),
            "seq": self.seq,
            "quarantined": self.account.quarantined,
            "failed": failed,
            "gaps": self.gaps_known,
            "complete": not self.gaps_known,
            **({"imports": [asdict(each) for each in imports]} if (imports := self.manifest.imports) else {}),
        }
