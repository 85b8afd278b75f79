"""Plays a list of actions against a stack of its own, and holds every answer against what was acknowledged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.shared.errors import DovetailError, IntegrityError
from dovetail.torture.actions import (
    Action,
    Batch,
    Change,
    Clock,
    Full,
    Kill,
    Partition,
    Pause,
    Produce,
    Schema,
    Settle,
    Stop,
    Tear,
)
from dovetail.torture.oracle import QUESTIONS, Acknowledged, report
from dovetail.torture.sender import Sender
from dovetail.torture.stand import SOURCE, Recovery, Stand
from dovetail.torture.tear import tear
from dovetail.torture.watch import Watch

MOST_PARTITIONS = 6
PROVE_S = 600


@dataclass
class Outcome:
    """What came of a list of actions; `failure` says what went wrong, and is empty where nothing did."""

    done: list[Action] = field(default_factory=list)
    seconds: float = 0
    acknowledged: int = 0
    answers: int = 0
    refused: int = 0
    recoveries: list[Recovery] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    proof: str = ""
    failure: str = ""


def play(actions: Sequence[Action], folder: Path, *, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Makes the project in `folder` (emptied), starts it, does the actions and proves.

    Whatever goes wrong in the stack is the outcome's failure, not an error of this function.
    """
    shutil.rmtree(folder, ignore_errors=True)
    outcome, began = Outcome(), time.monotonic()
    try:
        with Torture(folder, outcome, tell) as torture:
            for n, action in enumerate(actions, 1):
                tell(f"{n:>3}  {action}")
                outcome.done.append(action)
                torture.do(action)
            torture.finish()
    except DovetailError as error:
        outcome.failure = str(error)
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


class Torture:
    """A stack, what is sent to it, and who watches it."""

    def __init__(self, folder: Path, outcome: Outcome, tell: Callable[[str], None]) -> None:
        self._known, self._outcome, self._tell = Acknowledged(), outcome, tell
        self._stand = Stand(folder, views="views.py", end=lambda: self._known.end, tell=tell)
        self._watch = Watch(self._stand.server, QUESTIONS, self._stand.away)
        self._partitions = self._stand.project.settings.kafka.partitions

    def __enter__(self) -> Torture:
        self._stand.__enter__()
        try:
            self._log = self._stand.start()
        except BaseException:
            self._stand.__exit__(None, None, None)
            raise
        self._sender = Sender(self._log, self._topic, self._known)
        self._learn_version()
        self._watch.start()
        self._tell(f"all runs at {self._stand.server}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stand.away.set()
        self._watch.stop()
        self._stand.__exit__(None, None, None)
        done = self._outcome
        done.acknowledged, done.refused = len(self._known.records), self._watch.refused
        done.recoveries, done.ends = self._stand.recoveries, self._stand.ends

    def do(self, action: Action) -> None:
        """Does one action; then whatever was answered meanwhile must be true.

        Raises:
            DovetailError: it is not, or something ended, or took too long.
        """
        stand = self._stand
        match action:
            case Produce(kind, count, seed):
                self._sender.send(kind, count, seed)
            case Kill("broker", after, seed):
                self._sending(after, seed)
                stand.kill("broker")
            case Kill(what, after, seed):
                with self._sender.trickle(seed):
                    time.sleep(after)
                    stand.kill(what)
            case Stop(what, after, seed):
                self._sending(after, seed)
                stand.stop(what)
            case Pause("broker", seconds, _):
                with stand.paused("broker"):
                    time.sleep(seconds)
            case Pause(what, seconds, seed):
                with stand.paused(what):
                    self._sending(seconds, seed)
            case Full(what, seconds, seed):
                with self._sender.trickle(seed), stand.full(what):
                    time.sleep(seconds)
            case Clock(what, hours):
                stand.kill(what, hours=hours)
            case Partition():
                self._add_partition()
            case Batch(view, full, killed):
                stand.batch(view, full=full)
                if killed:
                    time.sleep(killed)
                    stand.kill_batch()
            case Change(heavy):
                self._edit("views.py", "HEAVY", heavy)
                self._learn_version(heavy)
                stand.batch("totals", full=True)
            case Schema(more):
                self._edit("events.py", "MORE", more)
                self._learn_version(self._heavy)
                stand.batch("lanes", full=True)
            case Tear(what):
                tear(what, stand, self._watch)
            case Settle():
                stand.settle()
        stand.keep_up()
        self.check()

    def check(self) -> None:
        """Raises IntegrityError for the first answer since the last time that is not the truth."""
        for view, answer in self._watch.taken():
            self._outcome.answers += 1
            if wrong := self._known.wrong(view, answer):
                raise IntegrityError(f"{view} is wrong", where=str(answer["receipt"]), why=report(wrong))
        if self._watch.faults:
            raise IntegrityError("an answer that should not be", why=report(self._watch.faults))

    def finish(self) -> None:
        """Everything is answered, everything is true, and a recount from the log finds the same."""
        self._tell("all done: everything acknowledged must be answered")
        self._stand.finish_batch()
        self._stand.settle()
        time.sleep(1)  # for the watch to ask once more
        self.check()
        self._tell("all answered: the recount from the log")
        self._stand.end_layers()
        self._prove()

    def _sending(self, seconds: float, seed: int) -> None:
        with self._sender.trickle(seed):
            time.sleep(seconds)

    @property
    def _topic(self) -> str:
        return str(self._stand.project.source(SOURCE).topic)

    def _add_partition(self) -> None:
        if self._partitions < MOST_PARTITIONS:
            self._partitions += 1
            self._log.add_partitions(self._topic, total=self._partitions)
            self._sender.know_partitions(self._partitions)

    def _edit(self, name: str, constant: str, value: object) -> None:
        """Edits a declaration, which no view goes by before a full batch of it."""
        self._stand.finish_batch()
        file = self._stand.folder / name
        file.write_text(
            re.sub(rf"^{constant} = .*$", f"{constant} = {value}", file.read_text("utf-8"), flags=re.M), "utf-8"
        )
        self._stand.reload()

    def _learn_version(self, heavy: int = 50) -> None:
        project, self._heavy = self._stand.project, heavy
        self._known.heavy[project.version(project.view("totals"))] = heavy

    def _prove(self) -> None:
        """Raises IntegrityError where `dovetail prove` does not say that each record counts once."""
        proof = proved(self._stand.folder)
        consumed = proof["books"]["consumed"]
        if consumed != len(self._known.records):
            raise IntegrityError(f"{consumed} records were consumed, {len(self._known.records)} acknowledged")
        self._outcome.proof = f"{proof['lost']} lost, {proof['doubled']} doubled, {proof['equal']} groups equal"


def proved(folder: Path) -> dict[str, Any]:
    """What `dovetail prove` says of the project in `folder`; raises IntegrityError where it does not hold."""
    command = [sys.executable, "-m", "dovetail", "prove", "--json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PROVE_S)
    proof: dict[str, Any] = {}
    with suppress(ValueError, IndexError):
        proof = json.loads(ran.stdout.splitlines()[-1])
    if ran.returncode or not proof.get("holds"):
        raise IntegrityError(
            f"{proof.get('lost', '?')} lost, {proof.get('doubled', '?')} doubled: the proof does not hold",
            where=str(folder),
            why="\n".join(proof.get("problems") or ran.stderr.strip().splitlines()[-8:]),
        )
    return proof
