"""The world of the model: log, master, ledger, states, runs and manifests in memory, behind the project's own seams.

An actor is a greenlet that runs production code. Each call through a seam first hands control to the scheduler, so that
anything may happen between two calls. Between one call and the next an actor touches nothing that is shared, so a
switch before each call gives every interleaving and every moment of a crash.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from greenlet import GreenletExit, getcurrent, greenlet

from dovetail.batch.recompute import Written
from dovetail.shared import ledger as ledger_rules
from dovetail.shared.commit import Folded, open_source
from dovetail.shared.ledger import Books, CommitId, LedgerRow, LostRace, VersionId
from dovetail.shared.manifest import ORIGIN, Manifest, RunId
from dovetail.shared.position import Position, Range

Ids = dict[int, Counter]
"""States: per group the ids of its records. The number of state rows says as little as it does in reality."""

GROUPS = 3


class Red(AssertionError):
    """The protocol broke its promise.

    `kind`: wrong (a false answer), error (none where there must be one), stuck (a layer never catches up), undone (a
    change of the manifest was lost).
    """

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind


class OffsetOutOfRange(Exception):
    """The log no longer holds what was asked for."""


@dataclass(eq=False)
class Actor:
    """One process: killed with `crash`, it does nothing any more, not even in its `finally` blocks."""

    name: str
    body: Callable[[Actor], None]
    kind: str
    asleep_until: int = 0
    zombie: bool = False
    dead: bool = False
    greenlet: greenlet = field(init=False)

    def __post_init__(self) -> None:
        self.greenlet = greenlet(self._run)
        self.greenlet.actor = self

    def _run(self) -> None:
        self.body(self)

    def crash(self) -> None:
        self.dead = True
        self.greenlet.throw(GreenletExit)


class World:
    def __init__(self, seed: int, views: tuple[str, ...] = ("a", "b")) -> None:
        self.rng = random.Random(seed)
        self.trace: list[tuple] = []
        self.seen: Counter[str] = Counter()
        self.step = 0
        self.locks: dict[str, Actor] = {}
        self.next_id = 0
        starts = {p: self.rng.choice([0, 0, 3]) for p in range(self.rng.randint(1, 2))}
        self.log: dict[int, list[int | None]] = {p: [None] * o for p, o in starts.items()}
        self.kept_from = dict(starts)
        self.origin = Position(starts)
        self.views = views
        self.attached: set[VersionId] = set()
        self.ledger, self.states, self.master, self.runs = Ledger(self), States(self), Master(self), Runs(self)
        self.archive = Archive(self)
        self.manifests = {view: ManifestSlot(self, view) for view in self.views}
        open_source(self.ledger, topic_id="t", origin=self.origin)

    def seam(self, *what: object) -> None:
        """Hands control to the scheduler; the actor goes on from here, or never."""
        current = getcurrent()
        actor = getattr(current, "actor", None)
        if actor is not None:
            if not actor.dead:
                current.parent.switch()
            if actor.dead:
                raise GreenletExit
        self.note(actor.name if actor else "finish", *what)

    def note(self, who: str, *what: object) -> None:
        self.trace.append((self.step, who, *what))

    def lines(self, last: int = 20) -> str:
        return "\n".join(f"{s:4d} {who:<10} " + " ".join(map(str, what)) for s, who, *what in self.trace[-last:])

    def produce(self, records: int) -> None:
        """Records, and holes: control and aborted records take an offset and are never read."""
        for _ in range(records):
            log = self.log[self.rng.choice(list(self.log))]
            self.next_id += 1
            log.append(self.next_id if self.rng.random() < 0.8 else None)

    def add_partition(self) -> None:
        new = len(self.log)
        self.log[new], self.kept_from[new] = [], 0
        self.note("kafka", "partition", new, "added")

    def expire(self) -> None:
        """Retention drops what the archive claims to hold, never more."""
        for p, claimed in (self.master.claimed or Position()).items():
            self.kept_from[p] = self.rng.randint(self.kept_from[p], max(claimed, self.kept_from[p]))
        self.note("kafka", "kept from", self.kept_from)

    def log_end(self) -> Position:
        return Position({p: len(records) for p, records in self.log.items()})

    def poll(self, at: Position, *, whole: bool = False) -> tuple[Position, list[int]]:
        """A position at or beyond `at`, and the records between, as a consumer with `read_committed` gets them."""
        self.seam("poll from", at)
        pick = self.rng.randint
        to = Position({p: len(r) if whole else pick(at[p], len(r)) for p, r in self.log.items()})
        return to, [i for _, _, i in self.records(Range(at, to))]

    def records(self, span: Range) -> list[tuple[int, int, int]]:
        lost = [p for p, first, _ in span.partitions() if first < self.kept_from[p]]
        if lost:
            raise OffsetOutOfRange(f"partitions {lost} of {span} begin at {self.kept_from}")
        return [
            (p, o, self.log[p][o]) for p, a, b in span.partitions() for o in range(a, b) if self.log[p][o] is not None
        ]

    def truth(self, below: Position) -> Counter[int]:
        """The oracle: the ids of all records below a position."""
        return Counter(i for p, log in self.log.items() for i in log[: below[p]] if i is not None)

    def slices(self, span: Range) -> list[Position]:
        middle = Position({p: self.rng.randint(span.from_[p], o) for p, o in span.to.items()})
        return [middle, span.to] if self.rng.random() < 0.5 else [span.to]

    def try_lock(self, name: str, actor: Actor) -> bool:
        """An flock: free again the moment its holder dies."""
        self.seam("try lock", name)
        if name in self.locks:
            return False
        self.locks[name] = actor
        return True

    def unlock(self, actor: Actor, name: str = "") -> None:
        self.locks = {n: a for n, a in self.locks.items() if a is not actor or (name and n != name)}


class Ledger:
    """A LedgerStore."""

    def __init__(self, world: World) -> None:
        self.world, self.stored = world, []

    def last(self) -> LedgerRow | None:
        self.world.seam("ledger.last")
        return self.stored[-1] if self.stored else None

    def rows(self, after: int = -1) -> Sequence[LedgerRow]:
        self.world.seam("ledger.rows after", after)
        return self.stored[max(after + 1, 0) :]

    def append(self, row: LedgerRow) -> None:
        self.world.seam("ledger.append", row.seq, row.kind, "epoch", row.epoch, row.range, sorted(row.versions))
        if row.seq != len(self.stored):
            self.world.seen["lost race"] += 1
            raise LostRace(f"seq {row.seq} is taken")
        self.put(row)

    def put(self, row: LedgerRow) -> None:
        ledger_rules.follows(self.stored[-1] if self.stored else None, row)
        self.stored.append(row)
        self.world.seen[row.kind] += 1


class States:
    """A CommitStore and StateReader: per version what each attempt wrote, named in the ledger or not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stored: dict[VersionId, dict[CommitId, tuple[int, Ids]]] = {}

    def write_states(self, version: VersionId, commit_id: CommitId, seq: int, states: Ids) -> int:
        self.world.seam("states.write", version, "seq", seq, commit_id[:6])
        held = self.stored.setdefault(version, {})
        before = held[commit_id][1] if commit_id in held else {}
        held[commit_id] = (seq, merged([before, states]))
        return len(states)

    def write_quarantined(self, commit_id: CommitId, seq: int, records: object) -> None:
        raise NotImplementedError

    def commits(self, version: VersionId, after: int) -> Mapping[CommitId, Ids]:
        self.world.seam("states.read", version, "after", after)
        return self.above(version, after)

    def above(self, version: VersionId, after: int) -> Mapping[CommitId, Ids]:
        return {c: ids for c, (seq, ids) in self.stored.get(version, {}).items() if seq > after}

    def delete(self, version: VersionId, up_to: int) -> None:
        self.world.seam("states.delete", version, "up to", up_to)
        held = self.stored.get(version, {})
        self.stored[version] = {c: (seq, ids) for c, (seq, ids) in held.items() if seq > up_to}
        self.world.seen["states deleted"] += len(held) > len(self.stored[version])


class Runs:
    """The run tables of all views. A write takes a while."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stored: dict[RunId, tuple[VersionId, Ids]] = {}

    def write(self, version: VersionId, run: RunId, ids: Ids) -> None:
        self.world.seam("run.begin", version, run[:6])
        self.stored[run] = (version, {})
        self.world.seam("run.end", version, run[:6])
        if run in self.stored:  # a deleted folder stays away: what is written into it fails or is orphaned
            self.stored[run] = (version, ids)

    def read(self, run: RunId) -> Ids | None:
        self.world.seam("run.read", run[:6])
        return {} if run == ORIGIN else self.stored[run][1] if run in self.stored else None

    def listed(self, view: str) -> list[RunId]:
        self.world.seam("run.list", view)
        return [r for r, (version, _) in self.stored.items() if view_of(version) == view]

    def delete(self, run: RunId) -> None:
        self.world.seam("run.delete", run[:6])
        self.stored.pop(run, None)
        self.world.seen["runs deleted"] += 1


class Master:
    """The Master that a batch reads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stored: dict[int, dict[int, list[int]]] = {}
        self.claimed: Position | None = None

    def claim(self) -> Position:
        self.world.seam("master.claim")
        return self.claimed or Position()

    def fold(self, span: Range, versions: frozenset[VersionId]) -> Folded:
        self.world.seam("master.fold", span)
        return folded(self._ids(span), versions)

    def passed(self) -> Sequence[Range]:
        return ()

    def write_run(self, version: VersionId, run: RunId, rows: Sequence[LedgerRow], _imports: object = ()) -> Written:
        span = Range(rows[0].range.from_, rows[-1].to)
        self.world.seam("master.read", span)
        ids = grouped(self._ids(span))
        self.world.runs.write(version, run, ids)
        return Written(len(ids), {r.seq: len(self._ids(r.range)) for r in rows})

    def _ids(self, span: Range) -> list[int]:
        return [i for p, a, b in span.partitions() for o in range(a, b) for i in self.stored.get(p, {}).get(o, ())]


class Archive:
    """The ArchiveStore of the same master dataset."""

    def __init__(self, world: World) -> None:
        self.world, self.master = world, world.master

    def held(self) -> Position:
        self.world.seam("archive.held")
        return Position({p: max(offsets) + 1 for p, offsets in self.master.stored.items()})

    def claim(self) -> Position | None:
        self.world.seam("archive.claim")
        return self.master.claimed

    def append(self, span: Range) -> None:
        self.world.seam("archive.append", span)
        for p, o, i in self.world.records(span):
            self.master.stored.setdefault(p, {}).setdefault(o, []).append(i)

    def write_claim(self, to: Position) -> None:
        self.world.seam("archive.write claim", to)
        self.master.claimed = to


class ManifestSlot:
    """A ManifestStore."""

    def __init__(self, world: World, view: str) -> None:
        self.world, self.view = world, view
        self.stored: Manifest | None = None

    def read(self) -> Manifest | None:
        self.world.seam("manifest.read", self.view)
        return self.stored

    def swap(self, new: Manifest) -> None:
        self.world.seam("manifest.swap", self.view, "revision", new.revision, new.note, new.live, "at seq", new.seq)
        if new.revision != (self.stored.revision + 1 if self.stored else 0):
            raise LostRace(f"revision {new.revision} is taken")
        self.put(new)

    def put(self, new: Manifest) -> None:
        """The oracle of the manifest: what was promoted or rolled back to is replaced only by a later decision."""
        old = self.stored
        if old and (new.generation < old.generation or (new.generation == old.generation and new.runs != old.runs)):
            raise Red("undone", f"{new.note} put generation {new.generation} of {self.view} over {old.generation}")
        self.stored = new
        self.world.seen[f"manifest: {new.note.split(' by ')[0]}"] += 1


def grouped(ids: Iterable[int]) -> Ids:
    groups: Ids = {}
    for i in ids:
        groups.setdefault(i % GROUPS, Counter())[i] += 1
    return groups


def merged(parts: Iterable[Ids]) -> Ids:
    whole: Ids = {}
    for part in parts:
        for group, ids in part.items():
            whole.setdefault(group, Counter()).update(ids)
    return whole


def folded(ids: list[int], versions: Iterable[VersionId]) -> Folded:
    n = len(ids)
    return Folded({v: grouped(ids) for v in versions}, Books(consumed=n, decoded=n, offered=n))


def view_of(version: VersionId) -> str:
    return version.split("@")[0]
