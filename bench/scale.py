"""What the protocol's own tables cost with 1,000 partitions, 10,000 ledger rows and 10,000 views. No Spark, no Kafka.

The real ledger, manifests and server on a folder. Figures are of processor time of this process, so that what else the
machine does counts little; each stands beside the same thing at the smallest size, in the same run.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from deltalake import DeltaTable

from bench.ledgers import SOURCE, VERSIONS, following, grown, more, opened, stored_views, version
from dovetail.batch import promote
from dovetail.batch.counting import by_commit
from dovetail.batch.recompute import choose_cut
from dovetail.serving import query
from dovetail.serving.behind import Behind
from dovetail.serving.fields import Fields
from dovetail.serving.follow import DIMENSIONS_EVERY, Ledgers
from dovetail.serving.formats import body_of
from dovetail.shared import commit as steps
from dovetail.shared import manifest as manifests
from dovetail.shared.inforce import answer_from_origin
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import ORIGIN, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout
from dovetail.shared.upkeep import COMMITS_BETWEEN

TIMES = 20


@dataclass(frozen=True)
class Size:
    """How far each part goes; the first of each is the control.

    `ledgers` are (rows, partitions), `nights` (runs, partitions), `entries` those of a table's own log, `whole` the
    most offsets that are read at once.
    """

    partitions: tuple[int, ...] = (1, 100, 1_000)
    ledgers: tuple[tuple[int, int], ...] = ((100, 1), (10_000, 1), (100, 1_000), (1_000, 1_000), (10_000, 1_000))
    whole: int = 2_000_000
    entries: tuple[int, ...] = (100, 1_000, 10_000)
    attached: tuple[int, ...] = (10, 100)
    nights: tuple[tuple[int, int], ...] = ((1, 1_000), (30, 1_000), (365, 1_000), (365, 10))
    manifests: tuple[int, ...] = (100, 1_000, 10_000)
    served: tuple[int, ...] = (10, 100, 1_000)


FULL = Size()
Figure = tuple[str, float, int]
"""What was done, seconds of processor time, bytes; 0 where none are meant."""


def run(folder: Path, size: Size = FULL) -> list[dict[str, Any]]:
    parts: list[tuple[str, tuple[Any, ...], Callable[[Path, Any], Iterator[Figure]]]] = [
        ("{} partitions", size.partitions, of_append),
        ("{} partitions", size.partitions, of_receipt),
        ("{} rows of {} partitions", size.ledgers, lambda at, of: of_ledger(at, *of, whole=size.whole)),
        ("{} entries", size.entries, of_log),
        ("{} views of a source", size.attached, of_attaching),
        ("{} runs of {} partitions", size.nights, lambda at, of: of_promote(at, *of)),
        ("{} views", size.manifests, of_manifests),
        ("{} views", size.served, of_serving),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    for part, (named, sizes, measure) in enumerate(parts):
        control: dict[str, float] = {}
        for of in sizes:
            at = folder / f"{part}-{of}"
            shown = named.format(*(f"{n:,}" for n in (of if isinstance(of, tuple) else (of,))))
            for what, seconds, held in measure(at, of):
                ratio = seconds / control.setdefault(what, seconds)
                rows.append({"what": what, "of": shown, "ms": seconds * 1e3, "of control": ratio, "bytes": held})
            shutil.rmtree(at, ignore_errors=True)
    return sorted(rows, key=lambda row: str(row["what"]))


def of_append(at: Path, partitions: int) -> Iterator[Figure]:
    """One row at the end of a ledger, and another handle that follows it."""
    path = at / "ledger"
    ledger, follower, taken, seen = opened(path, partitions), DeltaLedger(path), [], []
    follower.last()
    for n in range(TIMES):
        row = following(ledger, n)
        taken.append(cpu(lambda row=row: ledger.append(row)))  # type: ignore[misc]
        seen.append(cpu(follower.last))
    newest = max(path.glob("_delta_log/*.json"))
    file = max(path.glob("*.parquet"), key=lambda f: f.stat().st_mtime_ns)
    yield "append a ledger row", middle(taken), file.stat().st_size + newest.stat().st_size
    yield "follow it from another process", middle(seen), 0


def of_receipt(at: Path, partitions: int) -> Iterator[Figure]:
    """What an answer says about itself, and the arithmetic that it takes."""
    layout = Layout(at)
    store = stored_views(layout, 1, partitions)
    while not store.loaded:
        store.look()
    view = next(iter(store.views.values()))
    plan = query.plan(view.edition.shape, Fields()).plan
    position = view.edition.position
    behind = Behind(Ends(Position({p: o + 10 for p, o in position.items()})))
    behind.watch(SOURCE)
    behind.look()

    def receipt() -> bytes:
        said = view.edition.receipt(plan, behind=behind.of(SOURCE, position), more=False, unmatched={})
        return body_of(b"[]", said)

    further = Position({p: o + 1 for p, o in position.items()})
    yield "receipt of an answer", often(receipt), len(receipt())
    yield "range, and that it follows", often(lambda: Range(position, further).empty or position == further), 0
    store.stop()


def of_ledger(at: Path, rows: int, partitions: int, *, whole: int) -> Iterator[Figure]:
    """Opening a ledger as it lies after its upkeep: by a verb, by a server, and whole."""
    layout = Layout(at)
    path = layout.ledger(SOURCE)
    ledger = grown(path, rows, partitions)
    yield "upkeep of the ledger, after 100 rows", cpu(ledger.compact), ledger._table.size[1]
    yield "open a ledger for its last row", *spent(lambda: DeltaLedger(path).last())
    tail = Ledgers(layout).of(SOURCE)
    yield "a server opens it, 2 rows above the cut", *spent(lambda: tail.rows(after=rows - 2))
    more(path, rows, COMMITS_BETWEEN, partitions)
    tail.rows(after=rows)
    ledger.compact()
    last = rows + COMMITS_BETWEEN - 1
    yield "a server follows it past an upkeep", *spent(lambda: tail.rows(after=last - 1))
    if rows * partitions <= whole:
        yield "read all rows", *spent(lambda: DeltaLedger(path).rows())
        every = DeltaLedger(path).rows()
        taken = cpu(lambda: choose_cut(every, every[-1].to, version(VERSIONS)))
        yield "find that no cut is there for a version", taken, 0
        records = np.arange(partitions, dtype=np.int32), np.zeros(partitions, np.int64)
        yield "count a record of each partition by its commit", cpu(lambda: by_commit(every[1:], [records])), 0


def of_log(at: Path, entries: int) -> Iterator[Figure]:
    """Opening a ledger in whose log that many entries were left."""
    path = at / "ledger"
    opened(path, 1)
    for entry in range(1, entries):
        (path / f"_delta_log/{entry:020}.json").write_text('{"commitInfo":{}}\n')
    DeltaTable(str(path)).create_checkpoint()
    yield "open a ledger whose log was kept", often(lambda: DeltaLedger(path).last(), 3), 0


def of_attaching(at: Path, views: int) -> Iterator[Figure]:
    """Putting views in force one after another, as a first start does."""
    layout = Layout(at)
    ledger = DeltaLedger(layout.ledger(SOURCE))
    steps.open_source(ledger, topic_id="t", origin=Position())

    def attach() -> None:
        for n in range(views):
            steps.attach(ledger, version(n))
            answer_from_origin(f"v{n}", version(n), ledger, DeltaManifest(layout.manifest(f"v{n}")))

    taken = cpu(attach)
    yield "put a view in force at the origin", taken / views, sum(f.stat().st_size for f in at.rglob("ledger/*"))


def of_promote(at: Path, nights: int, partitions: int) -> Iterator[Figure]:
    """Pin, promote and unpin the run of one more night, with two earlier sets kept."""
    ledger, store = opened(at / "ledger", partitions), DeltaManifest(at / "manifest")
    steps.attach(ledger, version(0))
    cuts = [Position({p: o + n for p, o in ledger.last().to.items()}) for n in range(-nights - 1, 1)]  # type: ignore[union-attr]
    cuts[0] = Position()
    every = [
        Run(RunId(f"{n:032x}"), version(0), n - 1, n, Range(cuts[n], cuts[n + 1]), 1_000, 1_000)
        for n in range(nights + 1)
    ]
    every = [replace(run, from_seq=-1 if n == 0 else 1, to_seq=1) for n, run in enumerate(every)]
    sets = [tuple(every[: nights - back]) or tuple(every[:1]) for back in (2, 1, 0)]
    store.swap(replace(manifests.first("v0", sets[2], ""), rollback=(sets[1], sets[0])))

    def once() -> None:
        with promote.pin(store, every[-1].id, version(0), 1, owner="bench"):
            now = store.read()
            promote.promote(store, ledger, view="v0", started=now, runs=tuple(every), note="bench")

    taken = cpu(once)
    written = sum(f.stat().st_size for f in at.glob("manifest/*.parquet")) // 4
    yield "pin, promote, unpin", taken, written
    yield "read a manifest", often(lambda: DeltaManifest(at / "manifest").read(), 3), 0


def of_manifests(at: Path, views: int) -> Iterator[Figure]:
    """Reading every manifest once, as a server that starts does."""
    layout, origin = Layout(at), Position(dict.fromkeys(range(100), 10**9))
    made = Run(ORIGIN, version(0), -1, 1, Range(origin, origin))
    DeltaManifest(layout.manifest("v0")).swap(manifests.first("v0", (made,), ""))
    for n in range(1, views):
        shutil.copytree(layout.manifest("v0"), layout.manifest(f"v{n}"))
    held = sum(f.stat().st_size for f in layout.manifest("v0").rglob("*.*")) * views
    yield (
        "read every manifest",
        cpu(lambda: [DeltaManifest(layout.manifest(f"v{n}")).read() for n in range(views)]),
        held,
    )


def of_serving(at: Path, views: int) -> Iterator[Figure]:
    """A server's start, its rounds while nothing comes, and a commit that every view sees."""
    layout = Layout(at)
    store = stored_views(layout, views, 1)

    def load() -> None:
        while not store.loaded:
            store.look()

    yield "a server loads its views", *spent(load)
    time.sleep(DIMENSIONS_EVERY)
    yield "a round in which nothing came", *spent(store.look)
    ledger = DeltaLedger(layout.ledger(SOURCE))
    ledger.append(following(ledger, 1, versions=views))
    yield "a round with a commit of all views", *spent(store.look)
    store.stop()


@dataclass(frozen=True)
class Ends:
    """A broker whose log ends there."""

    position: Position

    def ends(self, topics: Collection[str]) -> Mapping[str, Position]:
        return dict.fromkeys(topics, self.position)


def cpu(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def spent(work: Callable[[], Any]) -> tuple[float, int]:
    return cpu(work), 0


def often(work: Callable[[], Any], times: int | None = None) -> float:
    return middle([cpu(work) for _ in range(times or TIMES)])


def middle(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]
