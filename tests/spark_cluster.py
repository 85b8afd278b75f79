"""A real Spark cluster on loopback: one standalone master and its workers, each a process, ended with the block."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pyspark

from dovetail.shared.java import find_java

DEPLOY = "org.apache.spark.deploy"
UP_WITHIN_S = 120.0
EXECUTOR = "CoarseGrainedExecutorBackend"
CONF = {
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.executor.memory": "600m",
    "spark.pyspark.python": sys.executable,
}
"""`[spark] conf` for one of several programs on such a cluster: an executor on each of two workers."""


@dataclass(frozen=True)
class Cluster:
    """One that runs.

    Attributes:
        master: its address, as `[spark] master` wants it.
        workers: the pids of the workers; executors run below them.
    """

    master: str
    workers: tuple[int, ...]

    def executors(self) -> list[psutil.Process]:
        """The executors that run now, of all applications."""
        below = [p for pid in self.workers for p in psutil.Process(pid).children(recursive=True)]
        return [p for p in below if any(EXECUTOR in word for word in _words(p))]


@contextmanager
def cluster(folder: Path, *, workers: int = 2, cores: int = 4, memory: str = "4g") -> Iterator[Cluster]:
    """A master and so many workers, each of which gives out so many cores and so much memory."""
    with ExitStack() as stack:
        master = stack.enter_context(_daemon(folder / "master", f"{DEPLOY}.master.Master", "--port", "0"))
        address = _said(master, folder / "master", r"Starting Spark master at (spark://\S+)")
        pids = []
        for n in range(workers):
            home = folder / f"worker-{n}"
            line = ["--cores", str(cores), "--memory", memory, "--work-dir", str(home / "work"), address]
            worker = stack.enter_context(_daemon(home, f"{DEPLOY}.worker.Worker", *line))
            _said(worker, home, r"(Successfully registered) with master")
            pids.append(worker.pid)
        yield Cluster(address, tuple(pids))


@contextmanager
def _daemon(home: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    home.mkdir(parents=True)
    spark = Path(pyspark.__file__).parent
    env = {**os.environ, "SPARK_HOME": str(spark), "SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": "127.0.0.1"}
    env["JAVA_HOME"] = str(Path(find_java().executable).resolve().parent.parent)
    line = [str(spark / "bin" / "spark-class"), name, "--host", "127.0.0.1", "--webui-port", "0", *arguments]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(line, cwd=home, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        ended = [process, *psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        for each in ended:
            each.kill()
        process.wait(30)


def _said(process: subprocess.Popen[bytes], home: Path, pattern: str) -> str:
    """What a daemon's log says, once it does."""
    end = time.monotonic() + UP_WITHIN_S
    while not (found := re.search(pattern, (home / "log").read_text())):
        assert process.poll() is None, (home / "log").read_text()[-3000:]
        assert time.monotonic() < end, f"{home.name} does not come up"
        time.sleep(0.1)
    return found[1]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def main(command: list[str]) -> int:
    """Runs a command whose `[spark] master` is a cluster of two workers; its exit code."""
    with TemporaryDirectory(prefix="dovetail-cluster-") as folder, cluster(Path(folder)) as found:
        on_it = {"DOVETAIL__SPARK__MASTER": found.master, "DOVETAIL__SPARK__CONF": json.dumps(CONF)}
        return subprocess.run(command, env={**os.environ, **on_it}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
