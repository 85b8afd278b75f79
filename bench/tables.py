"""Views written into storage without Spark, for benchmarks of serving alone, and a server over them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

import dovetail as dv
from bench.layers import free_port
from dovetail.shared import manifest as manifests
from dovetail.shared.ledger import Books, CommitId, Kind, LedgerRow, VersionId, new_commit_id
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout

T0 = datetime(2026, 3, 1, tzinfo=UTC)
ORIGIN = Position({0: 0})


def buckets(hours: pa.Array) -> pa.Array:
    """The hourly buckets that begin so many hours after T0."""
    micros = pc.add(pc.multiply(hours, 3_600_000_000), int(T0.timestamp()) * 1_000_000)
    return micros.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))


class StoredView:
    """A view whose one run holds `states`: its keys, `_bucket` of an hour, the measures' states, `_rows`."""

    def __init__(self, layout: Layout, view: str, measures: Mapping[str, dv.Measure], states: pa.Table) -> None:
        self.name, self.source, self.commits = view, f"of_{view}", 0
        self._version, self._position = VersionId(f"{view}@0000000000000000"), ORIGIN
        held = {s.column for m in measures.values() for s in m.states}
        folder = layout.version(self._version)
        folder.mkdir(parents=True)
        bundle = {
            "format": 1, "version": self._version, "source": self.source, "topic": self.source, "decoder": {},
            "keys": [name for name in states.column_names if name not in {*held, "_bucket", "_rows"}],
            "bucket_seconds": 3600, "measures": {n: m.as_json() for n, m in measures.items()}, "where": "",
            "module": "views", "attribute": view,
        }  # fmt: skip
        (folder / "bundle.json").write_text(json.dumps(bundle))
        self._states = DeltaStates(layout, self.source)
        self._states.create(self._version, states.schema)
        self._ledger, self.seq = DeltaLedger(layout.ledger(self.source)), -1
        self._append("open", {})
        self._append("attach", {self._version: 0})
        made = Run(RunId("bench"), self._version, -1, 1, Range(ORIGIN, ORIGIN), states.num_rows, states.num_rows)
        write_deltalake(str(layout.run(self._version, made.id)), states)
        DeltaManifest(layout.manifest(view)).swap(manifests.first(view, (made,), "bench"))

    def commit(self, states: pa.Table) -> None:
        """A micro-batch as the speed layer writes it."""
        commit_id, n = new_commit_id(), states.num_rows
        self._states.write_states(self._version, commit_id, self.seq + 1, [states])
        self._append("commit", {self._version: n}, commit_id, Books(n, n, offered=n))
        self.commits += 1

    def _append(
        self, kind: Kind, versions: dict[VersionId, int], commit_id: CommitId | None = None, books: Books | None = None
    ) -> None:
        books = books or Books()
        span = Range(self._position, Position({0: self._position[0] + books.consumed}))
        row = LedgerRow(self.seq + 1, 0, kind, span, versions, "t", commit_id or new_commit_id(), books)
        self._ledger.append(row)
        self.seq, self._position = row.seq, span.to


@contextmanager
def served(folder: Path, *views: str) -> Iterator[int]:
    """The port of a server over the storage under `folder`, once these views answer."""
    port = free_port()
    (folder / "dovetail.toml").write_text(f"[serving]\nport = {port}\n")
    server = subprocess.Popen([sys.executable, "-m", "dovetail", "serve"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        for view in views:
            wait(f"http://127.0.0.1:{port}/v1/views/{view}/query?limit=1")
        yield port
    finally:
        server.terminate()
        server.wait()


def wait(url: str) -> None:
    """Until that url is answered."""
    for _ in range(600):
        try:
            if httpx.get(url, timeout=60).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")
