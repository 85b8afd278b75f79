"""A soak: minutes of steady load with kills and batches, every answer checked, memory and files measured."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from dovetail.shared.errors import DovetailError, IntegrityError
from dovetail.shared.position import Position
from dovetail.torture import processes
from dovetail.torture.actions import Target
from dovetail.torture.load import Arrived, Truth, records
from dovetail.torture.oracle import report
from dovetail.torture.run import proved
from dovetail.torture.stand import LAYERS, SOURCE, Recovery, Stand
from dovetail.torture.watch import Watch

RATE = 1_000
QUESTIONS_A_SECOND = 20
KILL_EVERY_S, BATCH_EVERY_S, LOOK_EVERY_S = 60.0, 300.0, 5.0
KILLED: tuple[Target, ...] = ("archive", "speed", "serve", "archive-jvm", "speed-jvm")
QUESTIONS = {
    "blocks": {"by": "block", "limit": "100000"},
    "days": {"bucket": "1d", "limit": "100000"},
}
MB = 1 << 20


@dataclass
class Series:
    """A figure over time."""

    first: int = 0
    last: int = 0
    largest: int = 0

    def add(self, value: int) -> None:
        self.first = self.first or value
        self.last, self.largest = value, max(self.largest, value)

    def __str__(self) -> str:
        return f"first {self.first:,}, last {self.last:,}, max {self.largest:,}"


@dataclass
class Figures:
    """What a soak measured."""

    minutes: float
    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    refused: int = 0
    faults: int = 0
    batches: int = 0
    recoveries: list[Recovery] = field(default_factory=list)
    memory: dict[str, Series] = field(default_factory=lambda: defaultdict(Series))
    files: dict[str, Series] = field(default_factory=lambda: defaultdict(Series))
    proof: str = ""
    failure: str = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each figure with its name."""
        yield "minutes", f"{self.minutes:g}"
        yield "records acknowledged", f"{self.sent:,}"
        yield "answers checked", ", ".join(f"{view} {n:,}" for view, n in self.answers.items())
        yield "wrong answers", f"{self.wrong:,}"
        yield "503 where it was due", f"{self.refused:,}"
        yield "other failures", f"{self.faults:,}"
        yield "batches", f"{self.batches:,}"
        for recovery in self.recoveries:
            yield "recovery", str(recovery)
        for name, series in self.memory.items():
            yield f"MB of {name}", str(series)
        for name, series in self.files.items():
            yield f"files of {name}", str(series)
        yield "proof", self.proof or "none"

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        told = {name: {n: vars(s) for n, s in getattr(self, name).items()} for name in ("memory", "files")}
        return vars(self) | told | {"recoveries": [vars(r) for r in self.recoveries]}


def run(folder: Path, *, minutes: float, seed: int, tell: Callable[[str], None] = lambda _: None) -> Figures:
    """Makes the project in `folder` (emptied) and soaks it; what goes wrong is the figures' failure."""
    shutil.rmtree(folder, ignore_errors=True)
    figures = Figures(minutes)
    try:
        soak = Soak(folder, figures, seed, tell)
        with soak.stand:
            soak.run(minutes * 60)
    except DovetailError as error:
        figures.failure = str(error)
    return figures


class Soak:
    """One soak: a sender and a reader in threads; kills, batches, checks and measurements in turns."""

    def __init__(self, folder: Path, figures: Figures, seed: int, tell: Callable[[str], None]) -> None:
        self.stand = Stand(folder, views="soak.py", end=lambda: self._sender.end, tell=tell)
        self._figures, self._seed, self._tell = figures, seed, tell
        self._watch = Watch(self.stand.server, QUESTIONS, self.stand.away, unchanged=False)
        self._unchecked = {view: deque[Any]() for view in QUESTIONS}
        self._measured = -LOOK_EVERY_S

    def run(self, seconds: float) -> None:
        log = self.stand.start()
        source, chance = self.stand.project.source(SOURCE), random.Random(self._seed)  # noqa: S311  to be repeated
        self._sender = Arrived(log, source.topic, records(seed=self._seed), RATE)
        self._truths = {view: Truth(view, self._sender.by_partition) for view in QUESTIONS}
        stop = threading.Event()
        reader = threading.Thread(target=self._read, args=(stop,), daemon=True)
        began = time.monotonic()
        self._sender.start()
        reader.start()
        try:
            self._through(began, began + seconds, chance)
            self._sender.stop()
            self.stand.finish_batch()
            self.stand.settle()
            time.sleep(1)  # for the reader to ask once more
        finally:
            self.stand.away.set()
            stop.set()
            reader.join()
            self._sender.stop()
        self._look()
        self.stand.end_layers()
        proof = proved(self.stand.folder)
        self._figures.proof = f"{proof['lost']} lost, {proof['doubled']} doubled of {proof['books']['consumed']:,}"

    def _through(self, began: float, end: float, chance: random.Random) -> None:
        kill, batch, views = began + KILL_EVERY_S, began + BATCH_EVERY_S, list(QUESTIONS)
        while (now := time.monotonic()) < end:
            self.stand.keep_up()
            self._look()
            if now >= kill:
                kill += KILL_EVERY_S
                what = chance.choice(KILLED)
                self._tell(f"kill {what}")
                self.stand.kill(what)
            if now >= batch:
                batch += BATCH_EVERY_S
                self._tell(f"batch of {views[0]}")
                self.stand.batch(views[0], full=False)
                self._figures.batches += 1
                views.reverse()
            time.sleep(0.2)

    def _read(self, stop: threading.Event) -> None:
        due, views = time.monotonic(), list(QUESTIONS)
        with httpx.Client(timeout=60, trust_env=False) as http:
            while not stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + 1 / QUESTIONS_A_SECOND, time.monotonic() - 1)  # after a pause it does not catch up
                self._watch.look(http, views[0])
                views.reverse()

    def _look(self) -> None:
        """Checks what was answered, and measures now and then."""
        self._check()
        if time.monotonic() - self._measured < LOOK_EVERY_S:
            return
        self._measured = time.monotonic()
        figures = self._figures
        figures.sent, figures.refused, figures.faults = self._sender.sent, self._watch.refused, len(self._watch.faults)
        figures.recoveries = self.stand.recoveries
        pids = {layer: self.stand.stack.children[layer].process.pid for layer in LAYERS}
        for name, pid in {**pids, "broker": self.stand.broker.pid}.items():
            python, java = processes.resident(pid)
            for kind, size in (("python", python), ("JVM", java)):
                if size > MB * 10:
                    figures.memory[f"{name} {kind}"].add(size // MB)
        for name, count in _files(self.stand.project.settings.storage.path).items():
            figures.files[name].add(count)

    def _check(self) -> None:
        for view, answer in self._watch.taken():
            self._unchecked[view].append(answer)
        end = self._sender.end
        for view, answers in self._unchecked.items():
            while answers and end.reaches(Position.from_json(answers[0]["receipt"]["position"])):
                self._check_one(view, answers.popleft())
        if self._sender.problem:
            raise IntegrityError("the sender lost count", why=self._sender.problem)
        if self._watch.faults:
            self._figures.faults = len(self._watch.faults)
            raise IntegrityError("an answer that should not be", why=report(self._watch.faults))

    def _check_one(self, view: str, answer: Any) -> None:
        receipt, truth = answer["receipt"], self._truths[view]
        truth.advance(Position.from_json(receipt["position"]))
        self._figures.answers[view] += 1
        wrong = truth.wrong(answer["rows"])
        if receipt["quarantined"] != truth.poison:
            wrong.append(f"{receipt['quarantined']} in quarantine, {truth.poison} belong there")
        if wrong or not receipt["complete"] or receipt.get("more"):
            self._figures.wrong += 1
            raise IntegrityError(f"{view} is wrong", where=str(receipt), why=report(wrong))


def _files(root: Path) -> dict[str, int]:
    """How many files lie in each kind of table."""
    source = root / "sources" / SOURCE
    folders = {name: [source / name] for name in ("master", "claims", "ledger", "quarantine", "repeats", "seen")}
    folders["states"] = [*root.glob("views/*/versions/*/states")]
    folders["runs"] = [*root.glob("views/*/versions/*/runs")]
    folders["scratch"] = [root / "scratch"]
    return {name: sum(1 for f in some for p in f.rglob("*") if p.is_file()) for name, some in folders.items()}
