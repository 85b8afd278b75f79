"""A project with everything that runs for it, kept running: what ends is started again, as any supervisor would."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from dovetail.cli.stack import Child, Stack
from dovetail.shared import jars, settings
from dovetail.shared import project as projects
from dovetail.shared.broker import Broker
from dovetail.shared.claims import Claims
from dovetail.shared.errors import Busy, IntegrityError, ServiceMissing
from dovetail.shared.log import Log
from dovetail.shared.position import Position
from dovetail.torture import processes
from dovetail.torture.actions import Paused, Target, Writer

SOURCE = "events"
LAYERS = {"archive": ("archive", SOURCE), "speed": ("speed", SOURCE), "serve": ("serve",)}
START_S = 180
SETTLE_S = 180
"""Within this everything acknowledged must be answered, whatever was done before."""
BATCH_S = 300
TRIES = 6
ENDED_WELL = (0, -15)
RETRIED = (ServiceMissing.__name__, Busy.__name__)
"""What a layer may say that is told to stop while a harm is got over: also that batch commits in its place just now."""
LOOK_S = 0.2
SETTINGS = """views = ["{views}"]

[kafka]
partitions = 3

[spark]
master = "local[2]"
driver_memory = "700m"

[archive]
trigger = "1 second"

[serving]
port = {port}
"""


@dataclass(frozen=True)
class Recovery:
    """How long it took from the last of some harms until everything acknowledged by then was answered.

    `seconds` is the same until all ran again and the archive held it too.
    """

    harm: str
    answered: float
    seconds: float

    def __str__(self) -> str:
        return f"answered after {self.answered:.1f} s, all runs after {self.seconds:.1f} s: {self.harm}"


@dataclass
class _Harm:
    what: str
    since: float
    end: Position
    answered: float | None = None


class Stand:
    """The processes of one project. Leaving the `with` block ends them all, however it is left.

    Args:
        folder: the project's; made here.
        views: the file of it that declares the views.
        end: just above the last record acknowledged.
        tell: called with a line about what happens.
    """

    def __init__(
        self, folder: Path, *, views: str, end: Callable[[], Position], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder, self._end, self._tell = folder, end, tell
        _make(folder, views, _free_port())
        self.reload()
        self.stack = Stack(folder, self.project.settings.storage.here / "logs")
        self.away = threading.Event()
        """Set while the server may be gone."""
        self.recoveries: list[Recovery] = []
        self.ends: list[str] = []
        """How layers ended that were harmed, or whose broker was."""
        self._broker: Broker | None = None
        self._harm: _Harm | None = None
        self._owed: tuple[str, ...] = ()
        self._tries = 0
        self._claims = Claims(self.project.layout.claims(SOURCE))
        serving = self.project.settings.serving
        self.server = f"http://{serving.host}:{serving.port}"
        self._http = httpx.Client(timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self.stack.close()
        if self._broker is not None:
            self._broker.stop()

    def reload(self) -> None:
        """Reads the declarations again, as a new process would."""
        for file in self.folder.glob("*.py"):
            sys.modules.pop(file.stem, None)
        self.project = projects.load(settings.load(self.folder))

    def start(self) -> Log:
        """Starts everything; returns once every view answers."""
        jars.ensure("spark", on_progress=self._tell)
        self._broker = Broker.start(self._kafka, on_progress=self._tell)
        log = Log(self._broker.bootstrap, {})
        log.create(self.project.source(SOURCE).topic, partitions=self.project.settings.kafka.partitions)
        for layer in LAYERS:
            self._start(layer)
        self.wait("the first start", lambda: self._runs() and self.answered(Position()), seconds=START_S)
        return log

    def kill(self, what: Target, *, hours: float = 0) -> None:
        """kill -9, then a start at once; of a layer with a clock that is so many hours off."""
        layer, _, jvm = what.partition("-")
        self.harmed(f"kill {what}", layer)
        if what == "broker":
            processes.kill_jvms(self.broker.pid)
            self._new_broker()
        elif jvm:
            processes.kill_jvms(self.stack.children[layer].process.pid)
        else:
            self.stack.children[layer].kill()
            self._start(layer, hours=hours)

    def stop(self, what: Paused) -> None:
        """SIGTERM, which must end well unless an earlier harm is still being got over, then a start at once."""
        before = self._harm
        self.harmed(f"stop {what}", what)
        if what == "broker":
            self._new_broker()
            return
        self._end_well(self.stack.children[what], after=before)
        self._start(what)

    @contextmanager
    def paused(self, what: Paused) -> Iterator[None]:
        """All processes of a layer, or of the broker, stand still while the block runs."""
        self.harmed(f"pause {what}", what)
        with processes.frozen(self._pid(what)):
            yield
        self.harmed(f"resume {what}", what)

    @contextmanager
    def full(self, what: Writer) -> Iterator[None]:
        """The disk takes nothing more of a layer, or of the broker, while the block runs."""
        self.harmed(f"full disk of {what}", what)
        with processes.full(self._pid(what)):
            yield
        self.harmed(f"space for {what}", what)
        self._keep_broker()  # before anyone waits for what it has not acknowledged

    def batch(self, view: str, *, full: bool) -> None:
        """Starts a batch of a view, once the one before has ended; what keeps it from ending well makes it run again.

        Raises:
            IntegrityError: after a few tries it still has not ended well.
        """
        self.finish_batch()
        self._owed, self._tries = ("batch", view, *(["--full"] if full else [])), 0
        self._start_batch()

    def kill_batch(self) -> None:
        """kill -9 of the batch, if it runs still; it will be run again."""
        child = self.stack.children.get("batch")
        if child is not None and child.process.poll() is None:
            self.harmed("kill batch")
            child.kill()

    def finish_batch(self) -> None:
        self.wait("the batch", lambda: not self._owed, seconds=BATCH_S)

    def harmed(self, what: str, layer: str = "") -> None:
        """Says that something is done to the stack: from now on its layers may end, and recovery is timed."""
        if layer == "serve":
            self.away.set()
        before = f"{self._harm.what}, " if self._harm else ""
        self._harm = _Harm(before + what, time.monotonic(), self._end())

    def keep_up(self) -> None:
        """Starts again what has ended.

        Raises:
            IntegrityError: something ended that nobody harmed.
        """
        self._keep_broker()
        for layer in LAYERS:
            child = self.stack.children[layer]
            if child.process.poll() is not None:
                self._ended(child)
                self._start(layer)
        self._keep_batch()
        if self.away.is_set() and self._ready():
            self.away.clear()
        if self._harm:
            self._look_for_recovery(self._harm)

    def settle(self) -> None:
        """Returns once all runs, and everything acknowledged is answered and archived.

        Raises:
            IntegrityError: that takes too long.
        """
        self.wait("everything acknowledged to be answered", self._settled, seconds=SETTLE_S)

    def wait(self, what: str, reached: Callable[[], bool], *, seconds: float) -> None:
        """Keeps up until `reached()`; raises IntegrityError after so many seconds."""
        until = time.monotonic() + seconds
        self.keep_up()
        while not reached():
            if time.monotonic() > until:
                raise IntegrityError(
                    f"{what} took more than {seconds:.0f} s", where=str(self.stack.logs), why=self._standing()
                )
            time.sleep(LOOK_S)
            self.keep_up()

    def answered(self, end: Position) -> bool:
        """Whether every view answers everything below `end`."""
        return all((at := self._position(view)) is not None and at.reaches(end) for view in self.project.views)

    def archived(self, end: Position) -> bool:
        """Whether the archive claims everything below `end`."""
        return (self._claims.last() or Position()).reaches(end)

    def end_layers(self) -> None:
        """Stops the layers as Ctrl-C would; each must end well."""
        self.away.set()
        for layer in LAYERS:
            self._end_well(self.stack.children.pop(layer))

    @property
    def broker(self) -> Broker:
        if self._broker is None:
            raise RuntimeError("nothing was started yet")
        return self._broker

    @property
    def _kafka(self) -> Path:
        return self.project.settings.storage.here / "kafka"

    def _pid(self, what: Paused) -> int:
        return self.broker.pid if what == "broker" else self.stack.children[what].process.pid

    def _start(self, layer: str, *, hours: float = 0) -> None:
        self.stack.start(layer, *LAYERS[layer], "--json", env=processes.skewed(hours) if hours else {})

    def _start_batch(self) -> None:
        self.stack.start("batch", *self._owed, "--json")

    def _keep_broker(self) -> None:
        if self._broker is None or self._broker.alive():
            return
        if self._harm is None:
            raise IntegrityError("the broker ended; nothing had been done to it", where=str(self._kafka))
        self._new_broker()

    def _new_broker(self) -> None:
        port = self.broker.port
        self.broker.stop()
        self._broker = Broker.start(self._kafka, port=port)

    def _settled(self) -> bool:
        end = self._end()
        return self._harm is None and self.answered(end) and self.archived(end)

    def _look_for_recovery(self, harm: _Harm) -> None:
        if harm.answered is None and self._ready() and self.answered(harm.end):
            harm.answered = time.monotonic() - harm.since
        if harm.answered is not None and self._runs() and self.archived(harm.end):
            seconds = time.monotonic() - harm.since
            self.recoveries.append(Recovery(harm.what, round(harm.answered, 1), round(seconds, 1)))
            self._harm = None

    def _ended(self, child: Child) -> None:
        child.stop()
        end = f"{child.name} ended with exit code {child.process.returncode}: {_last_line(child)}"
        if self._harm is None:
            raise IntegrityError(f"{end}; nothing had been done to it", where=str(child.log))
        self.ends.append(f"{end} (after {self._harm.what})")

    def _end_well(self, child: Child, *, after: _Harm | None = None) -> None:
        child.stop()
        code = child.process.returncode
        if code in ENDED_WELL:
            return
        end = f"{child.name} was told to stop and ended with exit code {code}"
        if after is None or not _may_be_retried(child):
            raise IntegrityError(end, where=str(child.log))
        self.ends.append(f"{end} (after {after.what})")

    def _keep_batch(self) -> None:
        child = self.stack.children.get("batch")
        if not self._owed or child is None or child.process.poll() is None:
            return
        child.stop()
        if child.process.returncode == 0:
            self._owed = ()
            return
        self._tries += 1
        if self._tries == TRIES:
            said = child.log.read_text(errors="replace").strip().splitlines()[-8:]
            raise IntegrityError(
                f"{' '.join(self._owed)} failed {TRIES} times", where=str(child.log), why="\n".join(said)
            )
        self._start_batch()

    def _runs(self) -> bool:
        return self._ready() and all(self.stack.children[layer].ready.is_set() for layer in LAYERS)

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.server}/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _position(self, view: str) -> Position | None:
        try:
            response = self._http.get(f"{self.server}/v1/views/{view}/query", params={"limit": 1})
        except httpx.TransportError:
            return None
        if response.status_code != httpx.codes.OK:
            return None
        return Position.from_json(response.json()["receipt"]["position"])

    def _standing(self) -> str:
        """Where everything stands, for one who has to find out why it does not go on; the logs then hold all stacks."""
        lines = [f"acknowledged {self._end()!r}, archived {self._claims.last()!r}"]
        lines += [f"{view} at {self._position(view)!r}" for view in self.project.views]
        for layer in LAYERS:
            child = self.stack.children[layer]
            lines.append(f"{layer}: {'ready' if child.ready.is_set() else 'not ready'}, exit {child.process.poll()}")
            processes.say_where_they_stand(child.process.pid)
        lines += [f"batch owed: {' '.join(self._owed)}"] if self._owed else []
        return "\n".join([*lines, *self.ends[-3:]])


def _make(folder: Path, views: str, port: int) -> None:
    folder.mkdir(parents=True)
    with resources.as_file(resources.files("dovetail").joinpath("torture", "project")) as files:
        for file in files.glob("*.py"):
            shutil.copy(file, folder)
    (folder / "dovetail.toml").write_text(SETTINGS.format(views=views, port=port), "utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(child: Child) -> str:
    return (child.log.read_text(errors="replace").strip().splitlines() or [""])[-1]


def _may_be_retried(child: Child) -> bool:
    """Whether what it said last is an error that trying again may help."""
    try:
        return json.loads(_last_line(child))["kind"] in RETRIED
    except (ValueError, TypeError, KeyError):
        return False
