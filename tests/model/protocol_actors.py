"""The processes of the model, the seeded scheduler that runs and kills them, and the oracle.

Replay a seed with its whole trace: `DOVETAIL_SEED=17 pytest tests/model/test_protocol.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial

from protocol_world import Actor, OffsetOutOfRange, Red, World, folded, merged, view_of

from dovetail.batch import archive as archive_step
from dovetail.batch import promote, recompute
from dovetail.serving import snapshot
from dovetail.shared import commit as commit_step
from dovetail.shared import manifest as manifest_rules
from dovetail.shared.errors import Busy, IntegrityError, NotYet, UsageError
from dovetail.shared.ledger import Fenced, LostRace, VersionId
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.position import Position, Range

REPLAYED = os.environ.get("DOVETAIL_SEED")
STEPS = 500
ACTORS = 5
VERSIONS = 3


class Simulation:
    """One seed: `STEPS` decisions of the scheduler, then a finish in which nothing crashes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # A batch that lost its lock may meet the detach of its version: safe, but no answer until the next batch. So
        # detach is left to the other seeds.
        self.batches_may_lose_lock = seed % 4 == 0
        self.world = World(seed, views=("a",) if self.batches_may_lose_lock else ("a", "b"))
        self.actors: list[Actor] = []
        self.started = 0
        self.planned: Position | None = None
        self.running: Actor | None = None
        self.burst = (0.0, 0.6, 0.9)[seed // 3 % 3]

    def run(self, steps: int = STEPS) -> Counter[str]:
        """Raises Red, with the seed and the last steps of its trace, when a promise is broken; else what happened."""
        keep, promote.KEEP = promote.KEEP, self.seed % 3
        try:
            for _ in range(steps):
                self.step()
            self.finish()
        except (Red, IntegrityError) as broken:
            red = broken if isinstance(broken, Red) else Red("error", str(broken))
            trace = self.world.lines(last=0 if REPLAYED else 20)
            red.add_note(f"seed {self.seed}, step {self.world.step}; the end of its trace:\n{trace}")
            raise red from broken.__cause__
        finally:
            promote.KEEP = keep
            for actor in self.actors:
                actor.crash()
        return self.world.seen

    def step(self) -> None:
        world, rng = self.world, self.world.rng
        world.step += 1
        awake = [a for a in self.actors if a.asleep_until <= world.step]
        x = rng.random()
        if x < 0.10:
            world.produce(rng.randint(1, 4))
        elif x < 0.105 and len(world.log) < 4:
            world.add_partition()
        elif x < 0.115:
            world.expire()
        elif x < 0.13 and self.actors:
            self.crash(rng.choice(self.actors))
        elif x < 0.145:
            self.lose_lock()
        elif x < 0.155 and self.actors:
            self.pause(rng.choice(self.actors))
        elif x < 0.27 and len(awake) < ACTORS:
            self.start(*rng.choice(self.choices()))
        elif awake:
            if self.running not in awake or rng.random() > self.burst:
                self.running = rng.choice(awake)
            self.resume(self.running)

    def choices(self) -> list[tuple[str, str, Callable[[Actor], None]]]:
        """(kind, lock, body) of what may start now, the frequent ones several times."""
        world, view = self.world, self.world.rng.choice(self.world.views)
        bodies = [
            *[("speed", "speed", self.speed)] * 4,
            *[("archive", "archive", self.archive)] * 3,
            *[("batch", f"batch {view}", partial(self.batch, view))] * 4,
            *[("read", "", partial(self.read, view))] * 4,
            *[("prune", "", partial(self.prune, view))] * 2,
            *[("rollback", "", partial(self.rollback, view))] * 2,
            ("attach", "", partial(self.attach, view)),
        ]
        if not self.batches_may_lose_lock:
            bodies.append(("detach", f"batch {view}", partial(self.detach, view)))
        return [b for b in bodies if b[1] not in world.locks]

    def start(self, kind: str, lock: str, body: Callable[[Actor], None]) -> None:
        self.started += 1
        actor = Actor(f"{kind}{self.started}", body, kind)
        self.actors.append(actor)
        if lock:
            self.world.locks[lock] = actor
        self.world.note(actor.name, "starts")
        self.resume(actor)
        if kind == "read" and self.world.rng.random() < 0.4:
            self.slow_down(actor)

    def slow_down(self, reader: Actor) -> None:
        """A slow reader holds on to what it has read so far while others promote and prune."""
        for _ in range(self.world.rng.randint(1, 2)):
            if not reader.greenlet.dead:
                self.resume(reader)
        self.pause(reader, self.world.rng.randint(50, 300))

    def resume(self, actor: Actor) -> None:
        actor.greenlet.switch()
        if actor.greenlet.dead:
            self.gone(actor)

    def crash(self, actor: Actor) -> None:
        self.world.note(actor.name, "CRASH")
        actor.crash()
        self.gone(actor)

    def gone(self, actor: Actor) -> None:
        self.actors.remove(actor)
        self.world.unlock(actor)

    def lose_lock(self) -> None:
        """A process is paused, its lock is taken for stale, and later it goes on."""
        kinds = ("speed", "batch", "batch") if self.batches_may_lose_lock else ("speed",)
        kind = self.world.rng.choice(kinds)
        held = [a for a in self.actors if a.kind == kind and not a.zombie]
        if held:
            actor = self.world.rng.choice(held)
            actor.zombie = True
            self.pause(actor)
            self.world.unlock(actor)

    def pause(self, actor: Actor, steps: int | None = None) -> None:
        actor.asleep_until = self.world.step + (steps or self.world.rng.randint(10, 120))
        self.world.note(actor.name, "paused", "and lost its lock" if actor.zombie else "")

    def finish(self) -> None:
        """All is well from here on: archive, speed, batch and a read must give the exact answer at the log's end."""
        world = self.world
        for zombie in [a for a in self.actors if a.zombie]:
            for _ in range(60):
                if not zombie.greenlet.dead:
                    zombie.greenlet.switch()
        for actor in list(self.actors):
            self.crash(actor)
        me = Actor("finish", lambda _: None, "finish")
        last = world.ledger.last()
        if not world.attached <= set(last.versions):
            raise Red("stuck", f"attached {sorted(world.attached)}, in force are {sorted(last.versions)}")
        for view in world.views:
            if not any(view_of(v) == view for v in last.versions):
                self.attach(view, me)
        self.archive(me, whole=True)
        for view in world.views:
            self.batch(view, me, whole=True)
            if world.manifests[view].stored.cut != world.log_end():
                raise Red(
                    "stuck",
                    f"speed is stopped, and the cut of {view} stays behind the archive: "
                    f"{world.manifests[view].stored.cut} is not {world.log_end()}",
                )
            self.read(view, me, at=world.log_end())
        world.produce(6)
        self.speed(me, whole=True)
        for view in world.views:
            self.read(view, me, at=world.log_end())
        self.archive(me, whole=True)
        for version in sorted(world.ledger.last().versions):
            view = view_of(version)
            self.batch(view, me, version=version, whole=True)
            self.prune(view, me)
            self.read(view, me, at=world.log_end())

    # ------ the processes; `whole`: once, to the end of the log

    def archive(self, actor: Actor, *, whole: bool = False) -> None:
        world = self.world
        at = archive_step.resume_at(world.archive, world.origin)
        while True:
            to, _ = world.poll(at, whole=whole)
            if to != at:
                archive_step.archive(world.archive, Range(at, to))
                at = to
            elif not whole:
                self.pause(actor, 8)
            if whole:
                return

    def speed(self, actor: Actor, *, whole: bool = False) -> None:
        world = self.world
        try:
            if whole or world.rng.random() < 0.5:
                recompute.catch_up(world.ledger, world.states, world.master, slices=world.slices)
            epoch = commit_step.open_epoch(world.ledger)
            at = self.speed_starts_at()
            while True:
                to, ids = world.poll(at, whole=whole)
                self.planned = to
                if to != at:
                    # What a micro-batch holds is fixed when Spark plans it, whatever the ledger says by then.
                    commit_step.commit(
                        world.ledger, world.states, epoch=epoch, to=to, fold=lambda _, vs, ids=ids: folded(ids, vs)
                    )
                    at = to
                elif not whole:
                    self.pause(actor, 8)
                if whole:
                    return
                if world.rng.random() < 0.3:
                    self.delete_pruned()
                if world.rng.random() < 0.03:
                    return
        except OffsetOutOfRange:
            self.allow(not whole, "speed fell behind the log's retention")
        except Fenced:
            self.allow(not whole, "fenced")

    def speed_starts_at(self) -> Position:
        return self.world.ledger.last().to

    def batch(self, view: str, actor: Actor, *, version: VersionId | None = None, whole: bool = False) -> None:
        world, store = self.world, self.world.manifests[view]
        began, generation = generation_of(world, view), None

        def on_plan(_: recompute.Plan) -> None:
            nonlocal generation
            generation = generation_of(world, view)

        version = version or self.choose(view, live=whole or world.rng.random() < 0.7)
        try:
            if world.try_lock("speed", actor):
                recompute.catch_up(world.ledger, world.states, world.master, slices=world.slices)
                if world.rng.random() < 0.5:
                    self.delete_pruned()
                world.unlock(actor, "speed")
            made = recompute.run(
                view,
                version,
                full=world.rng.random() < 0.4,
                owner=actor.name,
                manifests=store,
                ledger=world.ledger,
                master=world.master,
                on_plan=on_plan,
            )
        except NotYet:
            self.allow(not whole, "not yet")
        except LostRace as race:
            raise Red("error", f"batch: {race}") from race
        except Fenced:
            self.allow(not whole, "fenced")
        except Busy as busy:
            if whole or not (self.batches_may_lose_lock or began != generation_of(world, view)):
                raise Red("error", f"batch: {busy}") from busy
            self.allow(True, "batch came too late")
        else:
            if made and generation is not None and made.generation != generation + 1:
                raise Red("undone", f"{actor.name} undid what happened to {view} since it read the manifest")

    def attach(self, view: str, actor: Actor) -> None:
        world = self.world
        version = VersionId(f"{view}@{world.rng.randint(1, VERSIONS)}")
        row = commit_step.attach(world.ledger, version)
        world.attached.add(version)
        if row.to == world.origin and world.manifests[view].read() is None:
            nothing = Run(ORIGIN, version, -1, row.seq, Range(row.to, row.to))
            try:
                promote.promote(
                    world.manifests[view], world.ledger, view=view, started=None, runs=(nothing,), note="origin"
                )
            except Busy:
                self.allow(generation_of(world, view) is not None, "promoted meanwhile")

    def detach(self, view: str, actor: Actor) -> None:
        """Takes a version out of force that nothing needs; the batch lock keeps a batch from needing it meanwhile."""
        world = self.world
        manifest = world.manifests[view].read()
        if manifest is None:
            return
        needed = manifest_rules.needed(manifest)
        idle = [v for v in sorted(world.ledger.last().versions) if view_of(v) == view and v not in needed]
        if idle:
            version = world.rng.choice(idle)
            commit_step.detach(world.ledger, version)
            world.attached.discard(version)

    def rollback(self, view: str, actor: Actor) -> None:
        world, store = self.world, self.world.manifests[view]
        manifest = store.read()
        if manifest is None or not manifest.rollback:
            return
        try:
            promote.switch(
                store,
                world.ledger,
                view=view,
                started=manifest,
                to=world.rng.choice(manifest.rollback),
                note="rollback",
            )
        except (UsageError, Busy):
            self.allow(generation_of(world, view) != manifest.generation, "rolled back too late")

    def prune(self, view: str, actor: Actor) -> None:
        """Floors first; then the run tables that nothing names. States are deleted by their owner: speed, or batch."""
        world, store = self.world, self.world.manifests[view]
        tables = world.runs.listed(view)
        if store.read() is None:
            return
        manifest = promote.raise_floors(store)
        unnamed = manifest_rules.unnamed(tables, manifest)
        for run in [t for t in tables if t in unnamed]:
            world.runs.delete(run)
        if world.try_lock("speed", actor):
            self.delete_pruned()
            world.unlock(actor, "speed")

    def delete_pruned(self) -> None:
        world = self.world
        for store in world.manifests.values():
            manifest = store.read()
            for version, floor in sorted(manifest.floors.items() if manifest else ()):
                world.states.delete(version, floor)

    def read(self, view: str, actor: Actor, *, at: Position | None = None) -> None:
        """The oracle: an answer is the records below its position, each once."""
        world, store = self.world, self.world.manifests[view]
        for _ in range(snapshot.ATTEMPTS):
            try:
                parts = snapshot.read(store, world.ledger, world.states)
            except IntegrityError as error:
                raise Red("error", str(error)) from error
            if parts is None:
                return
            runs = [world.runs.read(run.id) for run in parts.manifest.runs]
            if None not in runs:
                break
            if store.read().generation == parts.manifest.generation:
                raise Red("error", f"a run that answers for {view} was deleted")
        else:
            raise Red("stuck", f"{view} changes faster than it is read")
        answer = sum(merged([*runs, *parts.commits.values()]).values(), Counter())
        truth = world.truth(parts.last.to)
        world.seen["answers"] += 1
        if answer != truth:
            lost, extra = sorted((truth - answer).elements()), sorted((answer - truth).elements())
            raise Red("wrong", f"{view} at {parts.last.to} ({parts.manifest.live}): lost {lost}, doubled {extra}")
        if at is not None and parts.last.to != at:
            raise Red("stuck", f"{view} answers at {parts.last.to}, the log ends at {at}")

    def choose(self, view: str, *, live: bool) -> VersionId:
        world = self.world
        manifest = world.manifests[view].read()
        if live and manifest is not None:
            return manifest.live
        in_force = [v for v in sorted(world.ledger.last().versions) if view_of(v) == view]
        return world.rng.choice(in_force) if in_force else VersionId(f"{view}@1")

    def allow(self, allowed: bool, what: str) -> None:
        if not allowed:
            raise Red("error", what)
        self.world.seen[what] += 1


def generation_of(world: World, view: str) -> int:
    """-1 while the view has never answered."""
    manifest = world.manifests[view].stored
    return manifest.generation if manifest else -1
