"""What the running verbs say when something they need is not there: Java, a broker, a port, a disk, the lock."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from dovetail.cli import run as verbs
from dovetail.shared.locks import held
from dovetail.shared.log import Extent
from dovetail.shared.position import Position

from .conftest import Run

GOOD = '{"country": "FR", "at": "2026-03-01"}'


class StubLog:
    """A broker that answers: enough to come to what is asked for next."""

    def extent(self, topic: str) -> Extent:
        return Extent(topic, "id", Position({0: 0}), Position({0: 0}))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "find_log", lambda _settings: StubLog())


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "java-home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize("verb", [("speed",), ("archive",), ("batch",)])
def test_without_java_the_layers_say_how_to_get_one(
    run: Run, project: Path, log: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = run(*verb)
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("error  no Java found\nwhere  JAVA_HOME is not set, and PATH holds no java\n")
    assert " next  install Java 17 or newer: " in said.err


@pytest.mark.parametrize("verb", [("speed",), ("archive",), ("batch",)])
def test_java_11_is_too_old_for_the_layers(
    run: Run, project: Path, log: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    java = fake_java(tmp_path, "11.0.22")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{java.parent}:{os.environ['PATH']}")
    said = run(*verb)
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith(f"error  Java 11 found at {java}, but 17 or newer is needed\n")


def test_the_doctor_fails_for_want_of_java(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = run("doctor")
    assert said.code == 3
    assert "fail  Java              no Java found\n                        install Java 17 or newer" in said.out


def test_the_doctor_fails_for_java_11(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = fake_java(tmp_path, "11.0.22")
    monkeypatch.setenv("JAVA_HOME", str(java.parent.parent))
    said = run("doctor", "--json")
    assert said.code == 3
    assert [c["level"] for c in said.document if c["name"] == "Java"] == ["fail"]


def test_the_doctor_works_outside_a_project(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("doctor")
    assert said.code in (0, 3)
    assert f"folder            {tmp_path}/data can be written" in said.out
    assert f"no dovetail.toml in {tmp_path} or above: looking at this machine alone" in said.err


def test_a_second_speed_job_names_the_first(
    run: Run, project: Path, log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "start_spark", lambda *_, **__: None)
    with held(project / "data" / "locks" / "speed-lines.lock", "the speed job of lines"):
        said = run("speed")
    assert (said.code, said.out) == (1, "")
    first, where, next_ = said.err.splitlines()
    assert first.startswith(f"error  the speed job of lines runs already: pid {os.getpid()} on {socket.gethostname()} ")
    assert where == f"where  {project}/data/locks/speed-lines.lock"
    assert next_ == " next  stop that one first"


@pytest.mark.parametrize("verb", [("speed",), ("archive",), ("batch",)])
def test_a_root_that_cannot_be_written_is_said_before_an_engine_starts(
    run: Run, project: Path, log: None, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    def never(*_: object, **__: object) -> NoReturn:
        pytest.fail("the engine was started")

    monkeypatch.setattr(verbs, "start_spark", never)
    (project / "file").write_text("in the way")
    (project / "dovetail.toml").write_text('[storage]\nroot = "file/data"\n')
    said = run(*verb)
    assert (said.code, said.out) == (3, "")
    assert said.err == (
        f"error  {project}/file/data cannot be written\nwhere  storage.root in dovetail.toml\n"
        f"  why  {project}/file is no folder\n next  set [storage] root to a folder you may write\n"
    )


def test_a_port_in_use_is_named_by_serve(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DOVETAIL__SERVING__PORT", str(port))
        said = run("serve")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith(f"error  port {port} of 127.0.0.1 ")
    assert " next  stop what listens there, or set another port" in said.err


@pytest.mark.parametrize("verb", [("speed", "sale"), ("archive", "sale")])
def test_an_unknown_source_is_exit_2(run: Run, project: Path, verb: tuple[str, ...]) -> None:
    said = run(*verb)
    assert (said.code, said.err.splitlines()[0]) == (2, "error  unknown source 'sale'. Known: lines")


def test_an_unknown_view_is_exit_2(run: Run, project: Path) -> None:
    said = run("batch", "salse")
    assert said.code == 2
    assert said.err.startswith("error  unknown view 'salse': did you mean 'sales'? Known: sales\n")


def test_a_batch_of_views_without_batch_is_exit_2(run: Run, project: Path) -> None:
    views = (project / "views.py").read_text()
    (project / "views.py").write_text(views.replace("source=", "batch=False, source="))
    said = run("batch")
    assert (said.code, said.err.splitlines()[0]) == (2, "error  every view of this project has batch=False")


@pytest.mark.long
def test_a_broker_that_is_away_is_said_within_30_seconds(project: Path) -> None:
    (project / "lines.jsonl").write_text(GOOD)
    began = time.monotonic()
    with (
        started(project, "send", "lines", GOOD) as send,
        started(project, "load", "lines", "lines.jsonl") as load,
        started(project, "speed") as speed,
        started(project, "status") as status,
    ):
        told = {p: p.communicate(timeout=60) for p in (send, load, speed, status)}
    assert time.monotonic() - began < 30
    for process in (send, load, speed):
        out, err = told[process]
        assert (process.returncode, out) == (3, "")
        assert err.startswith(
            "error  no Kafka broker answers at 127.0.0.1:1\nwhere  kafka.bootstrap in dovetail.toml\n"
        )
        assert " next  start it (dovetail kafka runs one), or correct kafka.bootstrap\n" in err
    out, err = told[status]
    assert (status.returncode, err) == (1, "")
    assert out.startswith("!  Kafka: no Kafka broker answers at 127.0.0.1:1\n")


@pytest.mark.long
def test_a_check_against_a_topic_says_that_the_broker_is_away(project: Path) -> None:
    with started(project, "check", "--against-topic") as check:
        out, err = check.communicate(timeout=120)
    assert (check.returncode, out) == (3, "")
    assert err.startswith("error  no Kafka broker answers at 127.0.0.1:1\n")


@contextmanager
def started(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "dovetail", *arguments]
    with subprocess.Popen(line, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("sample", ["0%", "101%", "1", "some%"])
def test_a_share_that_is_none_is_refused(run: Run, project: Path, sample: str) -> None:
    ran = run("prove", "--sample", sample)
    assert ran.code == 2
    assert f"'{sample}' is not a percentage" in ran.err
