"""A source and a view of it whose tables are written as commits and batches write them; for tests without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from dovetail.batch import promote
from dovetail.batch.clean import Clean
from dovetail.serving import snapshot
from dovetail.shared import manifest as rules
from dovetail.shared.commit import Folded, attach, commit, open_source
from dovetail.shared.ledger import Books, LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import ORIGIN, Pin, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.states import FAILING, QUARANTINE, DeltaStates
from dovetail.shared.tables import Layout

A, B = VersionId("sales@000000000000000a"), VersionId("sales@000000000000000b")
BEGIN = Position({0: 0})


class Stand:
    """A source, `lines`, and a view of it, `sales`, whose states are the offsets that each commit ended at."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.ledger, self.states = DeltaLedger(self.layout.ledger("lines")), DeltaStates(self.layout, "lines")
        self.manifests = DeltaManifest(self.layout.manifest("sales"))
        open_source(self.ledger, topic_id="t", origin=BEGIN)
        self.epoch = 0
        seq = self.attach(A).seq
        self.manifests.swap(rules.first("sales", (Run(ORIGIN, A, -1, seq, Range(BEGIN, BEGIN)),), ""))

    @property
    def last(self) -> LedgerRow:
        row = self.ledger.last()
        assert row is not None
        return row

    def attach(self, version: VersionId) -> LedgerRow:
        stored = {"format": 1, "version": version, "source": "lines", "topic": "t", "decoder": {}, "keys": [],
                  "bucket_seconds": None, "measures": {}, "where": ""}  # fmt: skip
        folder = self.layout.version(version)
        folder.mkdir(parents=True)
        (folder / "bundle.json").write_text(json.dumps(stored))
        self.states.create(version, pa.schema([("n", pa.int64())]))
        return attach(self.ledger, version)

    def commit(self, end: int, *, epoch: int | None = None) -> LedgerRow:
        """A commit up to `end`, with one record in quarantine, one repeat, and one that makes A raise."""

        def fold(_: Range, versions: frozenset[VersionId]) -> Folded:
            bad = {"partition": [0], "offset": [end], "timestamp": [0], "key": [b""], "value": [b""], "reason": ["x"]}
            apart = pa.table({**bad, "version": [str(A)]}).cast(pa.schema([f for f in FAILING if f.name[0] != "_"]))
            return Folded(
                {v: [pa.table({"n": [end]})] for v in versions},
                Books(4, 3, 1, repeats=1, failed=1, offered=1),
                quarantined=apart.select([f.name for f in QUARANTINE if f.name[0] != "_"]),
                repeats=pa.table({"_partition": [0], "_offset": [end]}),
                failing={A: apart} if A in versions else {},
            )

        epoch = self.last.epoch if epoch is None else epoch
        return commit(self.ledger, self.states, epoch=epoch, to=Position({0: end}), fold=fold)

    def run_of(self, version: VersionId, name: str, **given: bool) -> RunId:
        """A full run up to the ledger's end that answers from now on; not `named`: one that was never promoted."""
        run = Run(RunId(name), version, -1, self.last.seq, Range(BEGIN, self.last.to))
        folder = self.layout.run(version, run.id)
        folder.mkdir(parents=True)
        (folder / "rows").write_bytes(b"12345")
        if given.get("named", True):
            promote.promote(
                self.manifests, self.ledger, view="sales", started=self.pinned(run), runs=(run,), note="test"
            )
            promote.drop_pins(self.manifests)
        return run.id

    def pinned(self, run: Run) -> rules.Manifest | None:
        now = self.manifests.read()
        assert now is not None
        self.manifests.swap(rules.pinned(now, run.id, Pin(run.version, run.to_seq, "test")))
        return now

    def answer(self) -> list[int]:
        """What serving reads above the cut, which raises where parts do not fit."""
        found = snapshot.read(self.manifests, self.ledger, self.states)
        assert found is not None
        return sorted(n for rows in found.commits.values() for n in rows["n"].to_pylist())

    def ids(self) -> dict[str, set[str]]:
        """The commit ids of each table."""
        tables = {
            "quarantine": self.states.quarantined(), "failing": self.states.failing(),
            "repeats": self.states._repeats.read(), "states": self.states.table(A).read(),
        }  # fmt: skip
        return {name: {*table["_commit_id"].to_pylist()} for name, table in tables.items()}

    def clean(self, *, dry_run: bool = False) -> list[tuple[str, str, int]]:
        done = Clean(self.layout, dry_run).run()
        assert done.left == []
        return [(w.kind, str(w.where.relative_to(self.layout.root / "views" / "sales" / "versions")
                             if "sales" in w.where.parts else w.where.name), w.n) for w in done.waste]  # fmt: skip
