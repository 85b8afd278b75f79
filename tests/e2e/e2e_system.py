"""A project on the real stack: its layers as processes, what was sent to its topic, and questions over HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx
import psutil
from e2e_oracle import Groups, Oracle, report
from s3_store import ROOT

from dovetail.cli.stack import Child, Stack
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.errors import NotYet
from dovetail.shared.log import Log
from dovetail.shared.manifest import Manifest
from dovetail.shared.position import Position, RecordId

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

START_S = 180
"""Generous: a JVM on a busy machine."""
SETTLE_S = 300
"""For a batch, too, which gives way to whatever else runs."""
EXIT_S = 60


class Record(Protocol):
    """What a topic sends: bytes; what else it knows is the oracle's business."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True)
class Example:
    """A project to try things on: its folder, the topic its views name, and what they must answer."""

    folder: Path
    topic: str
    oracles: Mapping[str, Oracle]


class Topic:
    """A topic and every record that the broker acknowledged in it."""

    def __init__(self, log: Log, name: str, *, partitions: int) -> None:
        self.log, self.name = log, name
        self.sent: dict[RecordId, Any] = {}
        self._producer = log.producer()
        log.create(name, partitions=partitions)

    def send(self, records: Iterable[Record], *, partition: int | None = None) -> None:
        """Sends records and waits until each is acknowledged."""
        self._produce(self._producer, records, self.sent, partition)

    def add_partitions(self, *, total: int) -> None:
        """More partitions, and a producer that knows of them."""
        self.log.add_partitions(self.name, total=total)
        end = time.monotonic() + SETTLE_S
        while len(self._producer.list_topics(self.name, timeout=30).topics[self.name].partitions) < total:
            assert time.monotonic() < end, "the new partitions do not show"
            time.sleep(0.1)
            self._producer = self.log.producer()

    def send_in_transaction(self, records: Iterable[Record], *, commit: bool) -> None:
        """Sends records in a transaction of its own; aborted ones are not remembered as sent."""
        from confluent_kafka import Producer

        producer = Producer(
            {"bootstrap.servers": self.log.bootstrap, "transactional.id": f"{self.name}-sender", "log_level": 2}
        )
        producer.init_transactions(60)
        producer.begin_transaction()
        placed = dict[RecordId, Any]()
        self._produce(producer, records, placed, None)
        if commit:
            producer.commit_transaction(60)
            self.sent.update(placed)
        else:
            producer.abort_transaction(60)

    def _produce(
        self, producer: Any, records: Iterable[Record], placed: dict[RecordId, Any], partition: int | None
    ) -> None:
        errors, given, before = list[Any](), 0, len(placed)

        def remember(record: Record) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    placed[RecordId(message.partition(), message.offset())] = record

            return delivered

        where = {} if partition is None else {"partition": partition}
        for record in records:
            producer.produce(self.name, value=record.value, key=record.key, on_delivery=remember(record), **where)
            producer.poll(0)
            given += 1
        assert producer.flush(120) == 0, "the broker did not acknowledge in time"
        assert not errors, errors
        assert len(placed) == before + given

    @property
    def end(self) -> Position:
        """Just above the last acknowledged record of each partition."""
        end = dict[int, int]()
        for place in list(self.sent):  # of a topic that another thread sends to, too
            end[place.partition] = max(end.get(place.partition, 0), place.offset + 1)
        return Position(end)

    def below(self, position: Position) -> list[Any]:
        return [
            r for place, r in sorted(self.sent.items(), key=_place) if position.includes(place.partition, place.offset)
        ]


class System:
    """One project running. Leaving the `with` block ends every process of it, however it is left."""

    def __init__(self, folder: Path, topic: Topic, oracles: Mapping[str, Oracle]) -> None:
        self.folder, self.topic, self.oracles = folder, topic, dict(oracles)
        self.reload()
        self.stack = Stack(folder, folder / "logs")
        serving = self.project.settings.serving
        self._http = httpx.Client(base_url=f"http://{serving.host}:{serving.port}/v1/views/", timeout=60)
        self._truths: dict[tuple[str, Position], Groups] = {}
        self._earlier: dict[str, Oracle] = {}
        self._watcher: Watcher | None = None
        self.failures: int | None = None

    @classmethod
    def create(cls, example: Example, folder: Path, log: Log, *, topic: str, partitions: int) -> System:
        """A system of its own: a copy of the example in `folder`, a new topic, a free port. Nothing runs yet."""
        return cls(make(example, folder, log, topic), Topic(log, topic, partitions=partitions), example.oracles)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watcher is not None:
            self._watcher.stop()
        self._http.close()
        self.stack.close()

    def reload(self) -> None:
        """Reads the declarations again, as a new process would."""
        sys.modules.pop("views", None)
        self.project = projects.load(settings.load(self.folder))

    @property
    def source(self) -> Any:
        return next(iter(self.project.sources.values()))

    def start(self, *command: str, name: str = "", failpoint: str = "", wait: bool = True) -> None:
        """Starts `dovetail COMMAND`, with a failpoint armed where given, and waits until it says that it runs."""
        armed = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": failpoint} if failpoint else {}
        self.stack.start(name or command[0], *command, "--json", env=armed)
        if wait:
            self.wait_ready(name or command[0])

    def wait_ready(self, name: str) -> None:
        self.stack.wait(name, self.stack.children[name].ready.is_set, seconds=START_S)

    def serve(self) -> None:
        """Starts serving and, once every view answers, a watcher that asks on and on."""
        self.stack.start("serve", "serve")
        root = str(self._http.base_url).removesuffix("v1/views/")

        def ready() -> bool:
            try:
                return httpx.get(f"{root}ready").status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        self.stack.wait("serving", ready, seconds=START_S)
        self._watcher = Watcher(str(self._http.base_url), self.oracles)

    def died(self, *names: str) -> None:
        """Waits until these processes have killed themselves with SIGKILL, and their JVMs are gone with them."""
        children = [self.stack.children.pop(name) for name in names]
        below = set[psutil.Process]()
        end = time.monotonic() + SETTLE_S
        while any(child.process.poll() is None for child in children):
            below.update(*map(_below, children))
            for other in self.stack.children.values():
                other.check()
            assert time.monotonic() < end, f"{names} still live"
            time.sleep(0.05)
        for child in children:
            child.stop()
            assert child.process.returncode == -signal.SIGKILL, child.log.read_text()[-3000:]
        _, alive = psutil.wait_procs(below, timeout=EXIT_S)
        assert alive == []

    def stop(self, name: str) -> None:
        """Stops a process as Ctrl-C would; it must end well."""
        child = self.stack.children.pop(name)
        child.stop()
        assert child.process.returncode == 0, child.log.read_text()[-3000:]

    def ask(self, view: str, **question: Any) -> Any:
        response = self._http.get(f"{view}/query", params=question)
        assert response.status_code == httpx.codes.OK, response.text
        return response.json()

    def exact(self) -> None:
        """Waits until everything sent is in the answers; then every group of every view must equal the truth.

        And so must every answer that the watcher got since the last time, at the position that its receipt states.
        """
        end = self.topic.end
        self.stack.wait(f"answers up to {end!r}", lambda: self._all_reach(end), seconds=SETTLE_S)
        for view, oracle in self.oracles.items():
            answer = self.ask(view, **oracle.question)
            assert Position.from_json(answer["receipt"]["position"]).reaches(end)
            self._check(view, answer)
        if self._watcher:
            for view, answer in self._watcher.taken():
                self._check(view, answer)

    def batch(self, spark: SparkSession, *views: str, full: bool = False) -> None:
        """Runs the batch of these views, or of all, in this process, until serving, if it runs, answers from it.

        Again where it says that the archive is not far enough yet, as whoever runs it nightly does.
        """
        from dovetail.batch import job

        def ran(name: str) -> bool:
            try:
                manifests[name] = job.run(self.project, self.project.view(name), self.topic.log, spark, full=full)
            except NotYet:
                return False
            return True

        manifests = dict[str, Manifest | None]()
        for name in views or self.project.views:
            self.stack.wait(f"a run of {name}", partial(ran, name), seconds=SETTLE_S)
            manifest = manifests[name]
            assert manifest is not None
            runs = [run.id for run in manifest.runs]
            if self._watcher is None:
                continue
            self.stack.wait(f"the new run of {name} in serving", partial(self._serves, name, runs), seconds=SETTLE_S)

    def dimensions_here(self, spark: SparkSession) -> None:
        """Looks at every dimension, as the start of an archive or a batch does."""
        from dovetail.batch.dimensions import refresh_all

        refresh_all(self.project, self.topic.log, spark)

    def archive_here(self, spark: SparkSession) -> None:
        """Runs the archive in this process until it holds everything sent."""
        from dovetail.batch.archive_job import run

        with _stopped_at(self.topic.end) as reached:
            run(self.project, self.source, self.topic.log, spark, on_claim=reached)

    def speed_here(self, spark: SparkSession) -> None:
        """Runs the speed job in this process until it has committed everything sent."""
        from dovetail.speed.job import run

        with _stopped_at(self.topic.end) as reached:
            run(self.project, self.source, self.topic.log, spark, on_commit=lambda row: reached(row.to))

    def wait_claimed(self) -> None:
        """Waits until the archive holds everything sent."""
        from dovetail.shared.claims import Claims

        claims, end = Claims(self.project.layout.claims(self.source.name)), self.topic.end
        self.stack.wait(f"a claim up to {end!r}", lambda: (claims.last() or Position()).reaches(end), seconds=SETTLE_S)

    def _serves(self, view: str, runs: Sequence[str]) -> bool:
        return bool(self.ask(view, limit=1)["receipt"]["runs"] == runs)

    def _all_reach(self, end: Position) -> bool:
        return all(
            Position.from_json(self.ask(view, limit=1)["receipt"]["position"]).reaches(end) for view in self.oracles
        )

    def _check(self, view: str, answer: Any) -> None:
        receipt = answer["receipt"]
        assert receipt["complete"], receipt
        assert not receipt.get("more"), f"{view} has more groups than one answer holds, so this one proves nothing"
        position, version = Position.from_json(receipt["position"]), receipt["version"]
        oracle = self._earlier.get(version, self.oracles[view])
        if (version, position) not in self._truths:
            self._truths[version, position] = oracle.truth(self.topic.below(position))
        wrong = oracle.differences(answer["rows"], self._truths[version, position])
        assert not wrong, f"{report(view, wrong)}\n  receipt {receipt}"

    def change(self, view: str, oracle: Oracle, *edits: tuple[str, str]) -> None:
        """Edits the view's file; answers of any version but today's must then be as `oracle` says."""
        self._earlier[self.project.version(self.project.view(view))] = self.oracles[view]
        self.oracles[view] = oracle
        file = self.folder / "views.py"
        text = file.read_text("utf-8")
        for old, new in edits:
            assert text.count(old) == 1
            text = text.replace(old, new)
        file.write_text(text, "utf-8")
        self.reload()


class Watcher:
    """A client that asks every view for all it holds, on and on: each answer must be true and none may fail."""

    def __init__(self, base_url: str, oracles: Mapping[str, Oracle]) -> None:
        self._base_url, self._questions = base_url, {v: o.question for v, o in oracles.items()}
        self._answers: list[tuple[str, Any]] = []
        self._errors: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def taken(self) -> list[tuple[str, Any]]:
        """The answers since the last time; those that say the same as the one before are left out."""
        assert not self._errors, self._errors
        answers, self._answers = self._answers, []
        return answers

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        known = dict[str, str]()
        with httpx.Client(base_url=self._base_url, timeout=60) as http:
            while not self._stopped.wait(0.4):
                for view, question in self._questions.items():
                    response = http.get(
                        f"{view}/query", params=question, headers={"If-None-Match": known.get(view, "")}
                    )
                    if response.status_code == httpx.codes.OK:
                        known[view] = response.headers["etag"]
                        self._answers.append((view, response.json()))
                    elif response.status_code != httpx.codes.NOT_MODIFIED:
                        self._errors.append(f"{view}: {response.status_code} {response.text}")


def make(example: Example, folder: Path, log: Log, topic: str) -> Path:
    """A copy of the example that reads `topic` of the broker at hand and serves at a free port."""
    shutil.copytree(example.folder, folder, ignore=shutil.ignore_patterns("__pycache__", "tests", "data"))
    views = folder / "views.py"
    text = views.read_text("utf-8")
    assert text.count(f'"{example.topic}"') == 1
    views.write_text(text.replace(f'"{example.topic}"', f'"{topic}"'), "utf-8")
    toml = folder / "dovetail.toml"
    theirs = ("[kafka]", "bootstrap", "partitions", "[storage]", "root")
    kept = [line for line in toml.read_text("utf-8").splitlines() if not line.startswith(theirs)]
    added = ["[kafka]", f'bootstrap = "{log.bootstrap}"', "[serving]", f"port = {free_port()}", ""]
    if ROOT in os.environ:
        added += ["[storage]", f'root = "{os.environ[ROOT]}/{uuid.uuid4().hex}"']
    toml.write_text("\n".join([*kept, *added]), "utf-8")
    return folder


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Does `work` in a thread while the block runs; it is to return once what it is given is set."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _stopped_at(end: Position) -> Iterator[Callable[[Position], None]]:
    """Gives what a job is to call with each position it reaches: at `end` it is told to stop, as Ctrl-C would."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}

    def reached(position: Position) -> None:
        if position.reaches(end):
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        yield reached
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _below(child: Child) -> set[psutil.Process]:
    try:
        return set(psutil.Process(child.process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _place(item: tuple[RecordId, Any]) -> tuple[int, int]:
    return item[0].partition, item[0].offset
