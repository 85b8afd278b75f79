"""Every rule's guard is needed: with it removed, some seed goes red.

A mutant takes out one guard, or two where they protect against the same fault (its name then says "and"). `kinds` are
the ways in which it must go red: `wrong` is a false number, `error` no answer where there must be one, `stuck` a layer
that never catches up, `undone` a change of the manifest lost.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from greenlet import getcurrent
from protocol_actors import Red, Simulation

from dovetail.batch import promote, recompute
from dovetail.serving import snapshot
from dovetail.shared import commit as commit_step
from dovetail.shared import ledger as ledger_rules
from dovetail.shared import manifest as manifest_rules
from dovetail.shared.ledger import CommitId, LedgerRow
from dovetail.shared.position import Position, Range

pytestmark = pytest.mark.long

SEEDS = 800


@dataclass(frozen=True)
class Mutant:
    """What a simulation is like without a guard."""

    rule: str
    name: str
    kind: str
    remove: Callable[[Simulation, pytest.MonkeyPatch], None]

    def __str__(self) -> str:
        return f"rule {self.rule}: {self.name}"


class Lenient(dict):
    """Stored states of which a missing commit counts as an empty one."""

    def __missing__(self, key):
        return {}


def no_count_check(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """A reader adds up what it finds."""
    above = sim.world.states.above
    patch.setattr(snapshot, "miscounted", lambda *_: "")
    patch.setattr(sim.world.states, "above", lambda *where: Lenient(above(*where)))


def visible_by_seq(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """Every attempt's states up to the ledger's end count, named there or not."""
    above, read = sim.world.states.above, {}

    def remembered(version, after):
        read[getcurrent()] = above(version, after)
        return read[getcurrent()]

    def visible(version, rows, *, after):
        seqs = {c: seq for c, (seq, _) in sim.world.states.stored.get(version, {}).items()}
        return {c: len(ids) for c, ids in read[getcurrent()].items() if seqs.get(c, 0) <= rows[-1].seq}

    patch.setattr(sim.world.states, "above", remembered)
    patch.setattr(snapshot, "visible", visible)


def commit_id_from_seq(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """An attempt that is made again has the id of the one that crashed."""
    patch.setattr(commit_step, "new_commit_id", lambda: CommitId(f"seq {len(sim.world.ledger.stored)}"))


def blind_append(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """As a plain Delta append: the row gets whatever seq is next."""
    ledger = sim.world.ledger

    def append(row: LedgerRow) -> None:
        sim.world.seam("ledger.append", row.kind, row.range)
        ledger.put(replace(row, seq=len(ledger.stored)))

    patch.setattr(ledger, "append", append)


def no_epoch(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commit_step, "fence", lambda *_: None)
    for module in (commit_step, recompute):
        patch.setattr(module, "open_epoch", lambda ledger, **_: ledger.last().epoch)


def trusted_checkpoint(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """Speed goes on from what it had planned before it was killed, not from the ledger's end."""
    patch.setattr(sim, "speed_starts_at", lambda: sim.planned or sim.world.ledger.last().to)


def always_covered(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    for module in (recompute, promote, snapshot):
        patch.setattr(module, "covered", lambda *_: True)


def attached_aside(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """Attaching is told to speed by another channel than a ledger row."""

    def attach(ledger, version, **_):
        last = ledger.last()
        ledger.stored[-1] = replace(last, versions={**last.versions, version: 0})
        return ledger.stored[-1]

    patch.setattr(commit_step, "attach", attach)


def no_catch_up(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recompute, "catch_up", lambda *_, **__: 0)


def records_passed_without_a_commit(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    """Batch moves the ledger past what it holds, for its own view, and commits nothing for the versions in force."""

    def catch_up(ledger, _store, master, **_):
        last, claim = ledger.last(), master.claim()
        if last.to.reaches(claim):
            return 0
        epoch = commit_step.open_epoch(ledger)
        last = ledger.last()
        ahead = Position({p: max(claim[p], last.to[p]) for p in {*claim, *last.to}})
        versions = dict.fromkeys(last.versions, 0)
        row = LedgerRow(last.seq + 1, epoch, "lost", Range(last.to, ahead), versions, last.topic_id)
        commit_step._appended(ledger, row)
        return 0

    patch.setattr(recompute, "catch_up", catch_up)


def any_generation(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(promote, "same_generation", lambda *_: None)


def blind_swap(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    for slot in sim.world.manifests.values():

        def swap(new, slot=slot):
            sim.world.seam("manifest.swap", slot.view, new.note)
            slot.put(new)

        patch.setattr(slot, "swap", swap)


def no_pin(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def pin(*_, **__):
        yield

    patch.setattr(promote, "pin", pin)
    patch.setattr(promote, "still_pinned", lambda *_: None)  # else no batch would ever promote


def destroy_first(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """States go before the manifest says so; by the count check a reader would still notice."""
    world = sim.world

    def raise_floors(store):
        manifest = manifest_rules.pruned(store.read())
        for version, floor in sorted(manifest.floors.items()):
            world.states.delete(version, floor)
        for _ in range(8):
            world.seam("deleting files takes its time")
        return promote._swapped(store, lambda now: manifest_rules.pruned(now))

    patch.setattr(promote, "raise_floors", raise_floors)


class StatesFirst:
    """A reader's seams in the wrong order: the states as they were just before the ledger was read."""

    def __init__(self, manifests, ledger, states) -> None:
        self.manifests, self.ledger, self.states = manifests, ledger, states

    def read(self):
        self.manifest = self.manifests.read()
        return self.manifest

    def rows(self, after=-1):
        self.early = self.states.commits(self.manifest.live, self.manifest.seq)
        return self.ledger.rows(after)

    def commits(self, *_):
        return self.early


def states_before_ledger(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    read = snapshot.read

    def reordered(*seams):
        all_three = StatesFirst(*seams)
        return read(all_three, all_three, all_three)

    patch.setattr(snapshot, "read", reordered)


def no_floor_check(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshot, "below_floor", lambda *_: False)


def ranges_from_data(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
    """A commit's range is taken from the records themselves: what holds none is not in it."""

    def range_of(from_: Position, to: Position) -> Range:
        if from_ == to:
            return Range(from_, to)
        offsets: dict[int, list[int]] = {}
        for p, a, b in Range(from_, to).partitions():
            held = [o for o in range(a, b) if sim.world.log[p][o] is not None]
            if held:
                offsets[p] = held
        return Range(
            Position({p: held[0] for p, held in offsets.items()}),
            Position({p: held[-1] + 1 for p, held in offsets.items()}),
        )

    patch.setattr(commit_step, "Range", range_of)


def no_contiguity(_: Simulation, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger_rules, "follows", lambda *_: None)


def together(*removals: Callable[[Simulation, pytest.MonkeyPatch], None]):
    def remove(sim: Simulation, patch: pytest.MonkeyPatch) -> None:
        for removal in removals:
            removal(sim, patch)

    return remove


MUTANTS = [
    Mutant("1", "states are visible by seq", "wrong", visible_by_seq),
    Mutant("1", "an attempt made again has the same commit id", "wrong", commit_id_from_seq),
    Mutant("2", "the append is blind", "error", blind_append),
    Mutant("2", "the append is blind and contiguity unchecked", "wrong", together(blind_append, no_contiguity)),
    Mutant("3", "no epoch row and no fence", "wrong", no_epoch),
    Mutant("3", "Spark's checkpoint is trusted over a restart", "wrong", trusted_checkpoint),
    Mutant("4", "attach is not a ledger row", "stuck", attached_aside),
    Mutant("5", "coverage is taken for granted", "wrong", always_covered),
    Mutant("6", "nobody commits for a stopped speed job", "stuck", no_catch_up),
    Mutant("6", "batch moves the ledger without a commit", "wrong", records_passed_without_a_commit),
    Mutant("7", "promote on any generation", "undone", any_generation),
    Mutant("7", "the manifest is replaced blindly", "undone", blind_swap),
    Mutant("7", "a batch does not pin and promote does not ask", "error", no_pin),
    Mutant("7", "destroy first and no count check", "wrong", together(destroy_first, no_count_check)),
    Mutant("8", "states are read before the ledger", "error", states_before_ledger),
    Mutant("8", "states before the ledger and no count check", "wrong", together(states_before_ledger, no_count_check)),
    Mutant("8", "no floor check and no count check", "wrong", together(no_floor_check, no_count_check)),
    Mutant("9", "ranges are taken from the data", "error", ranges_from_data),
    Mutant("9", "ranges from the data and contiguity unchecked", "wrong", together(ranges_from_data, no_contiguity)),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_without_its_guard_some_seed_goes_red(mutant):
    kinds = []
    for seed in range(SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            simulation = Simulation(seed)
            mutant.remove(simulation, patch)
            try:
                simulation.run()
            except Red as red:
                kinds.append(red.kind)
        if mutant.kind in kinds:
            return
    pytest.fail(f"{SEEDS} seeds without a red of kind {mutant.kind}; others: {kinds}")


def test_every_rule_of_the_protocol_has_a_mutant():
    assert {m.rule for m in MUTANTS} == set("123456789")
