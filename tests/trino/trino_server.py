"""A real Trino server on loopback: fetched once by its lock, unpacked once into the cache, ended by its pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dovetail.shared import jars

JAVA = 24
"""The oldest Java that Trino 476 runs on."""
PLUGINS = ("delta-lake",)
UP_WITHIN = 300.0
"""Seconds: generous, for a machine that has more to do."""
CONFIG = """coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
catalog.config-dir={etc}/catalog
plugin.dir={plugins}
node.environment=test
node.id=one
node.bind-ip=127.0.0.1
node.internal-address=127.0.0.1
query.max-memory-per-node=600MB
memory.heap-headroom-per-node=300MB
scheduler.http-client.max-requests-queued-per-destination=65536
exchange.http-client.max-requests-queued-per-destination=65536
"""
CATALOG = """connector.name=delta_lake
hive.metastore=file
hive.metastore.catalog.dir=local://{metastore}
fs.native-local.enabled=true
local.location=/
delta.register-table-procedure.enabled=true
"""
JVM = [
    "-Xmx1500M", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:ReservedCodeCacheSize=256M",
    "-Djdk.attach.allowAttachSelf=true", "-Dfile.encoding=UTF-8", "--add-modules=jdk.incubator.vector",
    "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow",
]  # fmt: skip


@dataclass
class TrinoServer:
    """One that runs, of the executable Java and the files at `home`."""

    folder: Path
    port: int
    java: Path
    home: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers; also again, after it was ended."""
        config = self.folder / "etc" / "config.properties"
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.java), *JVM, f"-Dconfig={config}", "-cp", f"{self.home / 'lib'}/*",
                 "io.trino.server.TrinoServer"],
                cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        _wait(self)

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


def unpacked() -> Path:
    """The folder of the server's files, without the plugins that are not needed; made where it is not there yet."""
    (archive,) = jars.ensure("trino", on_progress=print)
    folder = jars.cache() / "trino" / archive.name.removesuffix(".tar.gz")
    if not folder.exists():
        half = folder.with_name(f".{folder.name}-{os.getpid()}")
        with tarfile.open(archive, "r|gz") as tar:
            tar.extractall(half, filter="data")  # all of it: what a plugin has in common with another is a link
        (inner,) = half.iterdir()
        for plugin in (inner / "plugin").iterdir():
            if plugin.name not in PLUGINS:
                shutil.rmtree(plugin)
        inner.rename(folder)
        half.rmdir()
    return folder


def java() -> Path:
    """A Java that Trino runs on; skips the test where this machine has none."""
    homes = [Path(os.environ[n]) for n in ("TRINO_JAVA_HOME", "JAVA_HOME") if os.environ.get(n)]
    for found in [h / "bin" / "java" for h in (*homes, *sorted(Path("/usr/lib/jvm").glob("*")))]:
        if found.is_file() and _version(found) >= JAVA:
            return found
    pytest.skip(f"could: needs a Java {JAVA} or newer; TRINO_JAVA_HOME names one")


@contextmanager
def running(folder: Path) -> Iterator[TrinoServer]:
    """A server with one catalog, `lake`, whose metastore is a folder."""
    executable, home = java(), unpacked()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    for name in ("etc/catalog", "metastore"):
        (folder / name).mkdir(parents=True)
    etc = folder / "etc"
    (etc / "config.properties").write_text(CONFIG.format(port=port, etc=etc, plugins=home / "plugin"))
    (etc / "catalog" / "lake.properties").write_text(CATALOG.format(metastore=folder / "metastore"))
    server = TrinoServer(folder, port, executable, home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _wait(server: TrinoServer) -> None:
    end = time.monotonic() + UP_WITHIN
    while time.monotonic() < end and server.process and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/v1/info", timeout=5).json().get("starting") is False:
                return
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(0.5)
    raise AssertionError((server.folder / "server.log").read_text()[-4000:])


def _version(executable: Path) -> int:
    said = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=60).stderr
    number = said.partition('version "')[2].partition(".")[0].partition('"')[0]
    return int(number) if number.isdecimal() else 0
