"""Ledgers and views of any size, as the layers leave them, without a record, a state or Spark."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import dovetail as dv
from bench.tables import buckets
from dovetail.serving.store import Store
from dovetail.shared import commit as steps
from dovetail.shared import manifest as manifests
from dovetail.shared.ledger import Books, LedgerRow, VersionId
from dovetail.shared.ledger_table import OFFSETS, SCHEMA, DeltaLedger, _stored
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import AppendTable, Layout
from dovetail.shared.upkeep import COMMITS_BETWEEN

SOURCE, VERSIONS = "orders", 10
MEASURES = {"lines": dv.count()}


def version(n: int) -> VersionId:
    return VersionId(f"v{n}@0000000000000000")


def opened(path: Path, partitions: int) -> DeltaLedger:
    """A ledger of one row at an origin with large offsets, as of a topic in its third year."""
    ledger = DeltaLedger(path)
    steps.open_source(ledger, topic_id="t", origin=Position({p: 10**9 + p for p in range(partitions)}))
    return ledger


def following(ledger: DeltaLedger, n: int, *, versions: int = VERSIONS) -> LedgerRow:
    last = ledger.last() or LedgerRow(-1, 0, "open", Range(Position(), Position()), {}, "t")
    to = Position({p: o + 1 + (p * 7919 + n) % 1_000 for p, o in last.to.items()})
    return LedgerRow(last.seq + 1, 0, "commit", Range(last.to, to), {version(v): 0 for v in range(versions)}, "t")


def grown(path: Path, rows: int, partitions: int) -> DeltaLedger:
    """A ledger of so many rows, joined by its upkeep but for the newest 100."""
    ledger = opened(path, partitions)
    for first in range(1, rows, COMMITS_BETWEEN):
        if first + COMMITS_BETWEEN >= rows:
            ledger.compact()
        more(path, first, min(COMMITS_BETWEEN, rows - first), partitions)
    return ledger


def more(path: Path, first: int, rows: int, partitions: int) -> None:
    """Rows as a ledger stores them, of which only seq, id and offsets differ: made as columns, for there are many."""
    books = Books(1, 1, offered=1)
    one = replace(following(DeltaLedger(path), 0), books=books, at=time.time())
    steps_ = np.random.default_rng(first).integers(1, 1_000, (rows, partitions)).cumsum(axis=0)
    start = np.array([*one.range.from_.values()])
    ends = start + steps_
    begins = np.vstack([start[None, :], ends[:-1]])
    table = pa.concat_tables([pa.Table.from_pylist([_stored(one)], schema=SCHEMA)] * rows)
    for name, values in {
        "seq": pa.array(range(first, first + rows), pa.int64()),
        "commit_id": pa.array([f"{n:032x}" for n in range(first, first + rows)]),
        "from": offsets(begins),
        "to": offsets(ends),
    }.items():
        table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), values)
    AppendTable(path, SCHEMA).append(table)


def offsets(each: Any) -> pa.Array:
    rows, partitions = each.shape
    places = pa.array(np.arange(0, rows * partitions + 1, partitions), pa.int32())
    keys = pa.array(np.tile(np.arange(partitions), rows), pa.int32())
    return pa.MapArray.from_arrays(places, keys, pa.array(each.ravel(), pa.int64())).cast(OFFSETS)


def stored_views(layout: Layout, views: int, partitions: int) -> Store:
    """A server over views of one source that are in force from the origin on, without a state."""
    ledger = opened(layout.ledger(SOURCE), partitions)
    last = following(ledger, 0, versions=views)
    ledger.append(replace(last, kind="attach", range=Range(last.range.from_, last.range.from_)))
    groups = pa.schema([("product", pa.string()), ("_bucket", buckets(pa.array([0])).type)])
    held = [(s.column, pa.int64()) for m in MEASURES.values() for s in m.states]
    DeltaStates(layout, SOURCE).create(version(0), pa.schema([*groups, *held, ("_rows", pa.int64())]))
    run = Run(ORIGIN, version(0), -1, 1, Range(last.range.from_, last.range.from_))
    for n in range(views):
        if n:
            shutil.copytree(layout.states(version(0)), layout.states(version(n)))
        bundle = {
            "format": 1, "version": version(n), "source": SOURCE, "topic": SOURCE, "decoder": {}, "keys": ["product"],
            "bucket_seconds": 3600, "measures": {name: m.as_json() for name, m in MEASURES.items()}, "where": "",
        }  # fmt: skip
        (layout.version(version(n)) / "bundle.json").write_text(json.dumps(bundle))
        DeltaManifest(layout.manifest(f"v{n}")).swap(manifests.first(f"v{n}", (replace(run, version=version(n)),), ""))
    return Store(layout.root)
