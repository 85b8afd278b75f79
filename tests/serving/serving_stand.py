"""A storage root built without Spark: events folded in plain Python, written with delta-rs, and asked over HTTP."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from deltalake import write_deltalake

from dovetail.serving.app import Server, create_app
from dovetail.shared import manifest as rules
from dovetail.shared.ledger import Books, CommitId, Judged, LedgerRow, VersionId, new_commit_id
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import ORIGIN, Admitted, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.measures import Measure, avg, count, max_, min_, sum_
from dovetail.shared.position import Position, Range
from dovetail.shared.settings import Settings
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout

Event = dict[str, Any]
UTC = dt.UTC
T0 = dt.datetime(2026, 3, 1, tzinfo=UTC)

TYPES: dict[str, pa.DataType] = {
    "country": pa.string(), "product": pa.int32(), "day": pa.date32(), "vip": pa.bool_(), "price": pa.decimal128(10, 2),
    "seen": pa.timestamp("us", tz="UTC"), "big": pa.int64(), "ratio": pa.float64(), "raw": pa.binary(),
}  # fmt: skip
MEASURES: dict[str, Measure] = {
    "lines": count(), "cancelled": count(where="cancelled"), "revenue": sum_("amount"), "pieces": sum_("quantity"),
    "least": min_("quantity"), "most": max_("quantity"), "average": avg("amount"), "last": max_("ordered_at"),
}  # fmt: skip
STATE_TYPES = {"amount": pa.decimal128(38, 2), "quantity": pa.int64(), "ordered_at": pa.timestamp("us", tz="UTC"),
               "ratio": pa.float64(), "name": pa.string()}  # fmt: skip


def event(**given: Any) -> Event:
    """An order line; what is not given has a default."""
    return {
        "country": "FR", "product": 1, "day": dt.date(2026, 3, 1), "vip": False, "price": Decimal("1.50"), "seen": T0,
        "big": 1, "ratio": 0.5, "raw": b"x", "ordered_at": T0, "quantity": 2, "amount": Decimal("10.00"),
        "cancelled": False, "name": "n", **given,
    }  # fmt: skip


@dataclass
class ViewSpec:
    name: str
    keys: tuple[str, ...] = ("country", "product")
    bucket: int | None = 3600
    measures: dict[str, Measure] = field(default_factory=lambda: dict(MEASURES))
    fingerprint: str = "0123456789abcdef"

    @property
    def version(self) -> VersionId:
        return VersionId(f"{self.name}@{self.fingerprint}")

    @property
    def groups(self) -> pa.Schema:
        states = {s.column: s for m in self.measures.values() for s in m.states}
        return pa.schema(
            [
                *((k, TYPES[k]) for k in self.keys),
                *([("_bucket", pa.timestamp("us", tz="UTC"))] if self.bucket else []),
                *((c, pa.int64() if s.kind.name == "count" else STATE_TYPES[s.expr]) for c, s in states.items()),
                ("_rows", pa.int64()),
            ]
        )

    def bucket_of(self, event: Event) -> dt.datetime | None:
        if event["ordered_at"] is None or self.bucket is None:
            return None
        seconds = int((event["ordered_at"] - dt.datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)
        return dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(seconds=seconds - seconds % self.bucket)

    def fold(self, events: Sequence[Event]) -> pa.Table:
        """As the speed layer's fold: one row a group."""
        grouped: dict[tuple[Any, ...], list[Event]] = {}
        for e in events:
            bucket = (self.bucket_of(e),) if self.bucket else ()
            grouped.setdefault((*(e[k] for k in self.keys), *bucket), []).append(e)
        names = [*self.keys, *(["_bucket"] if self.bucket else [])]
        rows = []
        for key, members in grouped.items():
            row = dict(zip(names, key, strict=True)) | {"_rows": len(members)}
            for m in self.measures.values():
                for s in m.states:
                    taken = [e for e in members if _takes(s.where, e)]
                    values = [1] * len(taken) if s.kind.name == "count" else [e[s.expr] for e in taken]
                    row[s.column] = s.kind.merge_values(values)
            rows.append(row)
        return pa.Table.from_pylist(rows, schema=self.groups)


def _takes(where: str | None, event: Event) -> bool:
    if where is None:
        return True
    if where.endswith(" IS NOT NULL"):
        return event[where.removesuffix(" IS NOT NULL").strip("()")] is not None
    return bool(event[where])


class Stand:
    """One source with its views, grown step by step as the real layers would grow it."""

    def __init__(self, root: Path, source: str = "orders") -> None:
        self.layout, self.source = Layout(root), source
        self.ledger = DeltaLedger(self.layout.ledger(source))
        self.states = DeltaStates(self.layout, source)
        self.views: dict[str, ViewSpec] = {}
        """The newest version of each view."""
        self.in_force: dict[VersionId, ViewSpec] = {}
        self.events: list[Event] = []
        self.position = Position({0: 0, 1: 0})
        self._append("open")

    @property
    def seq(self) -> int:
        last = self.ledger.last()
        assert last is not None
        return last.seq

    def manifest(self, view: str) -> DeltaManifest:
        return DeltaManifest(self.layout.manifest(view))

    def attach(self, spec: ViewSpec, *, answers: bool = True) -> ViewSpec:
        self.views[spec.name] = self.in_force[spec.version] = spec
        folder = self.layout.version(spec.version)
        folder.mkdir(parents=True)
        (folder / "bundle.json").write_text(
            json.dumps(
                {
                    "format": 1, "version": spec.version, "source": self.source, "topic": "shop.orders",
                    "decoder": {"format": "json"}, "keys": list(spec.keys), "bucket_seconds": spec.bucket,
                    "measures": {n: m.as_json() for n, m in spec.measures.items()}, "where": "views.py:1",
                    "module": "views", "attribute": spec.name,
                }
            )
        )  # fmt: skip
        self.states.create(spec.version, spec.groups)
        self._append("attach")
        if answers:
            origin = Run(ORIGIN, spec.version, -1, self.seq, Range(Position({0: 0, 1: 0}), self.position))
            self.manifest(spec.name).swap(rules.first(spec.name, (origin,), "origin"))
        return spec

    def commit(
        self,
        events: Sequence[Event],
        *,
        quarantined: int = 0,
        repeats: int = 0,
        newest: int | None = None,
        name_rows: int = 0,
        broken: Mapping[Judged, int] | None = None,
        failing: Mapping[VersionId, int] | None = None,
    ) -> int:
        """One micro-batch; `name_rows` more state rows are named than written."""
        commit_id, seq = new_commit_id(), self.seq + 1
        written = {v: n + name_rows for v, n in self.write(events, commit_id, seq).items()}
        moved = len(events) + quarantined + repeats
        to = Position({0: self.position[0] + moved // 2, 1: self.position[1] + moved - moved // 2})
        books = Books(moved, len(events) + repeats, quarantined, repeats, offered=len(events))
        self._append(
            "commit", to=to, versions=written, books=books, commit_id=commit_id, broken=broken, failing=failing,
            newest=newest,
        )  # fmt: skip
        self.events += events
        return seq

    def write(self, events: Sequence[Event], commit_id: CommitId, seq: int) -> dict[VersionId, int]:
        """States only: an attempt that does not come into the ledger."""
        return {
            s.version: self.states.write_states(s.version, commit_id, seq, [s.fold(events)])
            for s in self.in_force.values()
        }

    def lost(self, records: int, why: str) -> None:
        self._append("lost", to=Position({0: self.position[0] + records, 1: self.position[1]}), note=why)

    def miss(self, version: VersionId) -> None:
        """A commit that does not name the version, which nothing has detached."""
        del self.in_force[version]
        self._append("commit")

    def detach(self, version: VersionId) -> None:
        del self.in_force[version]
        self._append("detach")

    def batch(
        self, view: str, *, full: bool = False, rows_off: int = 0, failed: int = 0, imports: tuple[Admitted, ...] = ()
    ) -> Run:
        """One run over what is in the ledger, joined to the earlier ones unless `full`, and promoted."""
        spec, manifests = self.views[view], self.manifest(view)
        now = manifests.read()
        joins = () if full or now is None else now.runs
        from_seq, from_ = (joins[-1].to_seq, joins[-1].cut) if joins else (-1, Position({0: 0, 1: 0}))
        covered = self.events[self._counts[from_seq] if from_seq >= 0 else 0 :]
        run = RunId(f"run{self.seq}{'full' if full else ''}")
        table = spec.fold(covered)
        write_deltalake(str(self.layout.run(spec.version, run)), table)
        written = Run(
            run, spec.version, from_seq, self.seq, Range(from_, self.position), table.num_rows + rows_off, len(covered),
            failed=failed, imports=imports,
        )  # fmt: skip
        runs = (*joins, written)
        manifests.swap(rules.promoted(now, runs, keep=2, note="batch") if now else rules.first(view, runs, "batch"))
        return written

    def prune(self, view: str) -> None:
        manifests = self.manifest(view)
        now = manifests.read()
        assert now is not None
        kept = replace(now, rollback=())
        manifests.swap(rules.pruned(kept))
        floor = manifests.read()
        assert floor is not None
        self.states.delete_through(now.live, floor.floor(now.live))

    _counts: dict[int, int]

    def _append(self, kind: Any, *, to: Position | None = None, versions: dict[VersionId, int] | None = None,
                books: Books | None = None, commit_id: CommitId | None = None, note: str = "",
                broken: Mapping[Judged, int] | None = None,
                failing: Mapping[VersionId, int] | None = None, newest: int | None = None) -> None:  # fmt: skip
        last = self.ledger.last()
        to, books = to or self.position, books or Books()
        row = LedgerRow(
            seq=last.seq + 1 if last else 0, epoch=0, kind=kind, range=Range(self.position, to),
            versions=versions if versions is not None else dict.fromkeys(self.in_force, 0),
            topic_id="t", commit_id=commit_id or new_commit_id(), books=books, note=note,
            broken=broken or {}, failing=failing or {}, newest=newest,
        )  # fmt: skip
        self.ledger.append(row)
        self.position = to
        self.__dict__.setdefault("_counts", {})[row.seq] = len(self.events) + books.offered


class Ends:
    """A LogEnd that says what a test sets."""

    def __init__(self) -> None:
        self.at: dict[str, Position] | None = None

    def ends(self, topics: Any) -> dict[str, Position]:
        if self.at is None:
            raise OSError("no broker")
        return self.at


class Client:
    """Asks a running app."""

    def __init__(self, http: httpx.Client, stand: Stand) -> None:
        self.http, self.stand = http, stand

    def get(self, view: str, **params: Any) -> httpx.Response:
        """`where` is given with two underscores for its dots: where__country="FR"."""
        return self.http.get(
            f"/v1/views/{view}/query", params={k.replace("__", "."): v for k, v in params.items() if v is not None}
        )

    def rows(self, view: str, **params: Any) -> list[dict[str, Any]]:
        """The rows of an answer that includes everything committed so far."""
        answer = self.answered(view, **params)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    def receipt(self, view: str, **params: Any) -> dict[str, Any]:
        receipt: dict[str, Any] = self.answered(view, **params).json()["receipt"]
        return receipt

    def answered(self, view: str, **params: Any) -> httpx.Response:
        """The answer that includes everything committed so far, whatever it is; waits for a view that is new."""
        self.until(lambda: self.http.get(f"/v1/views/{view}").status_code != 404)
        return self.get(view, **({"at_least": self.stand.seq} | params))

    @staticmethod
    def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Waits until `holds()`; fails after `seconds`."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not come to hold"
            time.sleep(0.01)


@contextmanager
def serve(
    folder: Path, stand: Stand, ends: Ends | None = None, *, looked: bool = True, key: str = "", port: int = 0,
    **sections: Any,
) -> Iterator[Client]:  # fmt: skip
    """The app in a real server on a free port of this machine; once it has `looked` at its views, where not told.

    Every request of the client goes with `key`; `sections` are of the settings.
    """
    settings = Settings(folder=folder, **sections)
    server = Server(create_app(settings, log_end=ends or Ends()), port=port, log_level="error")
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=30, headers=headers, limits=httpx.Limits()
        ) as http:
            client = Client(http, stand)
            if looked:
                client.until(lambda: http.get("/v1/views/none").status_code == 404)
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serving_process(folder: Path, **sections: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of the storage under `folder` in a process of its own, and its address; `sections` of the settings."""
    sections = {**sections, "serving": {"port": 0, **sections.get("serving", {})}}
    code = "\n".join(
        [
            "from pathlib import Path",
            "from dovetail.serving.app import serve",
            "from dovetail.shared.settings import Settings",
            f"settings = Settings(folder=Path({str(folder)!r}), **{sections!r})",
            "serve(settings, on_listening=lambda address: print(address, flush=True))",
        ]
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True) as one:
        assert one.stdout is not None
        yield one, one.stdout.readline().strip()
