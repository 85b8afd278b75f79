"""What a mutant is: one guard taken out of the code, and the test that must go red for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class Vacuous(Exception):
    """A mutant that changes nothing, or more than it says: the code has moved on without it."""


@dataclass(frozen=True)
class Mutant:
    """A guard, and the code without it.

    `rule` is a key of RULES, `name` says what the code does without the guard. `old`, found once in `file`, becomes
    `new`; `test` is the node id of the one test that must fail then.
    """

    rule: str
    name: str
    file: str
    old: str
    new: str
    test: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.name}"

    def mutated(self, root: Path) -> str:
        """The file under `root` without the guard; raises Vacuous where `old` is not in it exactly once."""
        text = (root / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise Vacuous(f"{self}: {self.file} holds this {text.count(self.old)} times, not once:\n{self.old}")
        return text.replace(self.old, self.new)


@contextmanager
def applied(mutant: Mutant, root: Path) -> Iterator[None]:
    """The tree under `root` without the guard, and then as it was."""
    file = root / mutant.file
    before, without = file.read_bytes(), mutant.mutated(root)
    file.write_text(without, encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)


RULES = {
    "1": "A state row is visible if and only if the ledger names its commit id, which every attempt has of its own.",
    "2": "The ledger's append is compare-and-set on seq.",
    "3": "Every start of the speed job opens a new epoch, which fences every writer before.",
    "4": "Each ledger row names the versions in force; who loses the append to another row folds again.",
    "5": "A version answers only where every row since its run names it, and the last one.",
    "6": "Batch commits for a stopped speed job as speed would; what was lost is told by every receipt.",
    "7": "Manifest first, then destroy; the manifest is replaced by compare-and-set.",
    "8": "Manifest, ledger, states are read in this order, and parts that do not fit are an error, never a number.",
    "9": "Each range begins where the one before ended, and comes from the log, never from the data.",
    "10": "Repeats are decided once, in the commit, back to the last counted occurrence, and recorded.",
    "11": "The books balance: consumed = decoded + quarantined, decoded = repeats + failed + dropped + offered.",
    "12": "One failing view never stops the source.",
    "13": "Equal inputs give equal states, and equal rows equal digits.",
    "14": "The same receipt gives the same answer, or none.",
    "15": "Nothing depends on the wall clock.",
    "16": "A table has one writing process at a time.",
    "17": "What must survive is in table rows, whose format is known and whose files may be joined.",
    "live answers": "A stream has each change once, the newest, and costs no more than it is allowed to.",
    "a question": "Rows are those that are asked for, in one answer, as fresh and whole as it says.",
    "the contract": "The interface answers as it is described, and says of what is wrong which it is and what to do.",
    "access": "Who asks is known, and sees what a grant of theirs lets them see, whichever way they ask.",
    "connections": "Nobody holds a connection, memory or a look into the database for ever, or for nobody.",
    "workers": "Several workers are one server: they count together, outlive each other and leave none behind.",
    "SQL": "A statement is answered as SQL means it, or refused; nothing of its text is run.",
    "reprocess": "What is computed beside survives a kill, and a batch leaves it its time and its version.",
    "a change": "The same command again, by who does not know that it was done, neither undoes it nor goes further.",
    "gates": "What moves an answer too far waits for a person; a batch by age runs once, and undoes nothing.",
    "hooks": "Every promotion and every failed batch is told, and what is told of it changes nothing of it.",
    "imports": "Old history lies below every cut, counts once, and is there as a whole or not.",
    "archive": "The master holds each record once, and claims no more than it holds.",
    "decoding": "What is no record of its source, or not of its types, goes to quarantine.",
    "changes": "What a change takes back is taken back exactly, or the change is set apart or refused.",
    "a source's rules": "They judge what can be read, and say what becomes of it.",
    "quarantine": "Too much in quarantine stops the source; a record put right is counted by no version.",
    "versions": "Both layers run a version from its stored bundle, whose code is what its name says.",
    "operations": "A paused layer reads and commits nothing; what a reader may ask for stays; nothing waits for ever.",
    "heavy work": "It leaves the cores of a machine to those that somebody waits for.",
    "a check": "Held against its topic a declaration is told what both layers would make of the records that come.",
    "class archive": "Spark's classes are archived by one process at a time, used whole, and never needed.",
    "a client": "The client gives a whole answer with its types, or an error; it waits within bounds and shows no key.",
    "watching": "Metrics, logs, traces and lineage hold no secret and nothing that was asked, and stop no job.",
    "a push": "Each change is delivered, signed; what a crash repeats is the same delivery under the same key.",
    "a feed": "Each row is in the log once, wherever a feeder is killed; what has changed is never half fed.",
    "Kafka": "Every client is let in by the same options, or says why not; none of them is left out, or shown.",
    "forgetting": "Of who is forgotten nothing counts, is stored or is left; a killed round ends as a whole one.",
    "proof": "The proof sees what is lost, doubled or altered, and books that do not tell the truth.",
    "deploy": "What deploys Dovetail names what is there, is pinned, and gives nobody a right too many.",
}
"""What each guard holds: the rules of the design by their numbers, and what the layers add."""
