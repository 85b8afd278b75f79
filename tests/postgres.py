"""A real PostgreSQL server on loopback, from the machine's own packages."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """The folder of the newest installed server; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


class Postgres:
    """A server that can be stopped and started again at its port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._bin = binaries()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def jdbc(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-c", "fsync=off"]
        self._process = subprocess.Popen(
            self._as_user("postgres", "-D", str(self.folder / "data"), *options), **_quiet()
        )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and self._answers():
                    return
            time.sleep(0.05)
        raise RuntimeError("PostgreSQL did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def run(self, sql: str) -> None:
        command = [
            "psql",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "tester",
            "-d",
            "postgres",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        subprocess.run(
            [*command, "-qc", sql], check=True, env={**os.environ, "PGPASSWORD": "secret"}, capture_output=True
        )

    def make(self) -> None:
        """Makes the data folder, with a user `tester` whose password is `secret`."""
        password = self.folder / "password"
        password.write_text("secret\n")
        options = ["--username=tester", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        if os.geteuid() == 0:
            os.chown(self.folder, *_nobody())
        subprocess.run(self._as_user("initdb", "-D", str(self.folder / "data"), *options), check=True, **_quiet())

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def _as_user(self, name: str, *arguments: str) -> list[str]:
        return [str((self._bin or Path()) / name), *arguments]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A running server with an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Postgres(Path(folder), port)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _quiet() -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    user, group = _nobody()
    as_nobody = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **as_nobody}


def _nobody() -> tuple[int, int]:
    found = pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid
