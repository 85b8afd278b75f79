"""The embedded broker: a real single-node Kafka (KRaft) in a folder, on loopback only, that stops with its parent.

One folder holds one broker: its data, its log, and `broker.json`, which is both the lock and the note that tells others
where it listens. Nothing here is for production: `[kafka] bootstrap` names a real cluster there.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dovetail.shared import jars
from dovetail.shared.errors import Busy, ServiceMissing
from dovetail.shared.java import find_java

HOST = "127.0.0.1"
USUAL_PORT = 9092

_HEALTHY_WITHIN = 60.0  # seconds
_STOPPED_WITHIN = 30.0  # seconds; the guardian below kills at 20

# Measured on 2 cores against G1 and the full compiler: up in 2.0 s instead of 2.9, 40 % less CPU in the first minute,
# half the CPU and a quarter of the p99 per acknowledged record afterwards. A class archive (CDS) gained nothing more.
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
_HEAP = ("-Xms256m", "-Xmx512m")

# The parent holds the other end of our stdin. Whatever ends the parent, even SIGKILL, closes that end: `read` returns,
# and Kafka is told to stop. No polling, nothing of one system's own, and no pid that could have been given to another.
_GUARDIAN = """
exec 3<&0 </dev/null
"$@" 3<&- & kafka=$!
{ read -r _ <&3; kill $kafka; n=0; while [ $n -lt 20 ]; do sleep 1; n=$((n+1)); done; kill -9 $kafka; } & watch=$!
exec 3<&-
wait $kafka; code=$?
kill $watch
exit $code
"""


class Broker:
    """A running broker; leaving the `with` block, `stop()`, or the end of this process ends it. Its data stays."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes], lock: IO[str]) -> None:
        self.folder, self.port = folder, port
        self._process, self._lock = process, lock

    @classmethod
    def start(
        cls, folder: Path, *, port: int | None = None, on_progress: Callable[[str], None] | None = None
    ) -> Broker:
        """Start the broker of a folder and wait until a client gets an answer from it.

        Args:
            folder: its data, log and settings; made if missing, formatted once.
            port: the one to listen on; None takes 9092, or any free one if that is taken.
            on_progress: called with a line per step.

        Raises:
            Busy: a live process already runs the broker of this folder.
            ServiceMissing: no Java, no jars, the port is taken, the folder cannot be written, or no answer within 60 s.
        """
        report = on_progress or (lambda _line: None)
        if port is not None and not is_free(port):
            raise _taken(port)
        program = _program(report)
        folder = folder.absolute()
        lock = _own(folder)
        try:
            _format(folder, program, report)
            return _launch(folder, port, program, lock, report)
        except BaseException:
            lock.close()
            raise

    @property
    def bootstrap(self) -> str:
        """The address for clients, such as "127.0.0.1:9092"."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process that Kafka's own is a child of."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the broker's process still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Stop the broker cleanly and wait for its end; a second call does nothing."""
        if self._lock.closed:
            return
        _end(self._process)
        self._lock.truncate(0)
        # A child that is slow to end shares this open file: unlock it for all, so that a new start need not wait.
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def running(folder: Path) -> str | None:
    """The bootstrap address of the live, answering broker of this folder, or None."""
    try:
        with _note(folder).open() as note:
            try:
                fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                port = _read(note).port
                return f"{HOST}:{port}" if port is not None and not is_free(port) else None
    except FileNotFoundError:
        pass
    return None


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:  # macOS lets us bind beside a listener on all addresses
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class _Owner:
    pid: int | None = None
    port: int | None = None


def _note(folder: Path) -> Path:
    return folder / "broker.json"


def _read(note: IO[str]) -> _Owner:
    note.seek(0)
    try:
        return _Owner(**json.load(note))
    except (ValueError, TypeError):
        return _Owner()  # being written just now


def _write(note: IO[str], owner: _Owner) -> None:
    note.seek(0)
    note.truncate()
    json.dump({"pid": owner.pid, "port": owner.port}, note)
    note.flush()


def _own(folder: Path) -> IO[str]:
    """The folder's lock, held by this process and, once started, by the broker's: it outlives a killed parent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _note(folder).open("a+")
    except OSError as error:
        raise ServiceMissing(
            f"the broker's folder {folder} cannot be written", why=str(error), next="choose another [storage] root"
        ) from error
    start = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            owner = _read(lock).pid
            # A dead owner's broker is on its way out; a live one gets a second, since `running` takes the lock briefly.
            patience = 1.0 if owner is None or _exists(owner) else _STOPPED_WITHIN
            if time.monotonic() - start > patience:
                lock.close()
                raise Busy(
                    f"the broker of {folder} is already run by process {owner}",
                    next=f"use it, or stop process {owner} first",
                ) from None
            time.sleep(0.1)
    _write(lock, _Owner(os.getpid()))
    return lock


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # someone else's, but alive
    return True


def _program(report: Callable[[str], None]) -> list[str]:
    java = find_java()
    class_path = os.pathsep.join(map(str, jars.ensure("broker", on_progress=report)))
    return [str(java.executable), *_JVM, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", class_path]


def _format(folder: Path, program: list[str], report: Callable[[str], None]) -> None:
    if (folder / "data" / "meta.properties").exists():
        return
    report("formatting the broker's storage")
    draft = folder / "data.draft"  # renamed when whole: a kill in between leaves nothing half formatted
    shutil.rmtree(draft, ignore_errors=True)
    _write_settings(folder, USUAL_PORT, USUAL_PORT + 1, data=draft.name)
    options = ["--standalone", "-c", "server.properties", "-t", _new_cluster()]
    tool = [*program, "kafka.tools.StorageTool", "format", *options]
    done = subprocess.run(tool, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ServiceMissing(
            f"the broker's storage in {folder} could not be formatted", why=(done.stderr + done.stdout)[-2000:].strip()
        )
    draft.replace(folder / "data")


def _new_cluster() -> str:
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text.replace("-", "A")  # a leading dash would be read as an option


def _launch(
    folder: Path, asked: int | None, program: list[str], lock: IO[str], report: Callable[[str], None]
) -> Broker:
    for attempts_left in (2, 1, 0):
        port = asked or (USUAL_PORT if is_free(USUAL_PORT) else _any_free())
        _write_settings(folder, port, _any_free(), data="data")
        report(f"starting Kafka on {HOST}:{port}")
        began = _log(folder).stat().st_size if _log(folder).exists() else 0
        process = _spawn([*program[:1], *_HEAP, *program[1:], "kafka.Kafka", "server.properties"], folder, lock)
        try:
            if _healthy(process, port, _cluster(folder)):
                _write(lock, _Owner(os.getpid(), port))
                return Broker(folder, port, process, lock)
            said = _log(folder).read_bytes()[began:].decode("utf-8", "replace")
            # Someone may take a port between our look and Kafka's; the controller's is always ours to choose anew.
            if "Address already in use" not in said or not attempts_left:
                raise _unhealthy(folder, process, said)
        except BaseException:
            _end(process)
            raise
        _end(process)
        if asked is not None and not is_free(asked):
            raise _taken(asked)
    raise AssertionError("the last attempt either returns or raises")


def _spawn(command: list[str], folder: Path, lock: IO[str]) -> subprocess.Popen[bytes]:
    # The lock goes along under a high number: a shell may only name the first ten, and the guardian takes 3 for itself.
    shared = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, 64)
    try:
        with _log(folder).open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _GUARDIAN, "dovetail-kafka", *command],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[shared],
                start_new_session=True,  # Ctrl-C is for the parent, which stops us last
            )
    finally:
        os.close(shared)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _healthy(process: subprocess.Popen[bytes], port: int, cluster: str) -> bool:
    """Whether a client's question was answered in time; False as soon as the process has ended."""
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < _HEALTHY_WITHIN:
        if not is_free(port) and _answers(port, cluster):
            return True
        time.sleep(0.1)
    return False


def _answers(port: int, cluster: str) -> bool:
    client = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
    try:
        answer = client.list_topics(timeout=5)
    except KafkaException:
        return False
    # Another Kafka may have taken the port just before ours: only the cluster's id tells them apart.
    return bool(answer.brokers) and answer.cluster_id == cluster


def _cluster(folder: Path) -> str:
    """The id that this folder's storage was formatted with."""
    lines = (folder / "data" / "meta.properties").read_text("utf-8").splitlines()
    return next((line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id=")), "")


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _log(folder: Path) -> Path:
    return folder / "broker.log"


def _taken(port: int) -> ServiceMissing:
    return ServiceMissing(
        f"port {port} of {HOST} is in use",
        next="stop what listens there, choose another port, or name none to get a free one",
    )


def _unhealthy(folder: Path, process: subprocess.Popen[bytes], said: str) -> ServiceMissing:
    code = process.poll()
    how = f"gave no answer within {_HEALTHY_WITHIN:.0f} s" if code is None else f"ended at once with code {code}"
    return ServiceMissing(
        f"the embedded Kafka {how}",
        where=str(_log(folder)),
        why="its last words:\n" + "\n".join(said.splitlines()[-15:]),
        next="dovetail doctor",
    )


def _write_settings(folder: Path, port: int, controller: int, *, data: str) -> None:
    # Paths in them are relative to the working folder, so a comma or a blank in its name cannot hurt.
    conf = resources.files("dovetail").joinpath("conf")
    settings = Template(conf.joinpath("broker-server.properties").read_text("utf-8"))
    filled = settings.substitute(port=port, controller=controller, data=data)
    (folder / "server.properties").write_text(filled, "utf-8")
    (folder / "log4j2.properties").write_text(conf.joinpath("broker-log4j2.properties").read_text("utf-8"), "utf-8")
