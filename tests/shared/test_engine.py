"""The engine's seam: which errors say that its JVM has ended, and how one starts. The launch is mostly a double."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from py4j import protocol
from pyspark.errors import PySparkRuntimeError

from dovetail.shared import engine
from dovetail.shared.class_archive import ClassArchive
from dovetail.shared.engine import CLASS_PATH, JAVA_OPTIONS, is_gone
from dovetail.shared.settings import load


def raised(answer: str, *, client: Any = None) -> Exception:
    """What py4j raises for an answer from the JVM's side."""
    with pytest.raises(protocol.Py4JError) as error:
        protocol.get_return_value(answer, client, "o189", "isActive")
    return error.value


def test_a_call_that_is_cut_off_says_that_the_jvm_has_ended() -> None:
    assert is_gone(raised(protocol.ERROR))  # what py4j puts in the place of an answer once the connection is lost
    assert is_gone(protocol.Py4JNetworkError("Answer from Java side is empty"))
    assert is_gone(ConnectionRefusedError())
    assert is_gone(PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={}))


def test_what_java_itself_raises_does_not() -> None:
    assert not is_gone(raised(f"{protocol.ERROR}{protocol.STRING_TYPE}java.lang.NoSuchMethodException"))
    assert not is_gone(protocol.Py4JError("o189 is not callable"))
    assert not is_gone(PySparkRuntimeError(errorClass="SESSION_NOT_SAME", messageParameters={}))
    assert not is_gone(ValueError("An error occurred while calling"))


@pytest.fixture
def archive(tmp_path: Path) -> ClassArchive:
    """One that is made, as far as can be seen."""
    (tmp_path / "key-5.jsa").write_text("whole")
    return ClassArchive(tmp_path, "key")


def test_a_jvm_that_does_not_start_with_the_archive_starts_without_it_and_it_goes(
    archive: ClassArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = list[str]()

    def launched(conf: dict[str, str], _log: Path) -> str:
        tried.append(conf[JAVA_OPTIONS])
        if "SharedArchiveFile" in conf[JAVA_OPTIONS]:
            raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})
        return "a JVM"

    monkeypatch.setattr(engine, "_launched", launched)
    for _ in range(2):
        assert archive.file() is not None
        assert str(engine._jvm({JAVA_OPTIONS: "-Dx=y"}, Path("log"), archive)) == "a JVM"
    assert [options.endswith("-Dx=y") for options in tried] == [True] * 4
    assert archive.file() is None


def test_jvms_that_are_killed_now_and_then_as_they_start_leave_the_archive_alone(
    archive: ClassArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = iter([False, True, True] * 4)  # killed; then without the archive, then with it

    def launched(_conf: dict[str, str], _log: Path) -> str:
        if not next(starts):
            raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})
        return "a JVM"

    monkeypatch.setattr(engine, "_launched", launched)
    for _ in range(8):
        engine._jvm({JAVA_OPTIONS: ""}, Path("log"), archive)
    assert archive.file() is not None


def test_one_that_does_not_start_either_way_says_so(archive: ClassArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    def launched(_conf: dict[str, str], _log: Path) -> None:
        raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})

    monkeypatch.setattr(engine, "_launched", launched)
    for without in (archive, None):
        with pytest.raises(PySparkRuntimeError):
            engine._jvm({JAVA_OPTIONS: ""}, Path("log"), without)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyspark leaves the JVM's pipe open
def test_a_jvm_that_never_says_where_it_listens_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 20\nexit 1\n")
    submit.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "LAUNCHED_S", 0.5)
    other = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    below_other, began = psutil.Process(int(other.stdout.readline())), time.monotonic()
    with pytest.raises(PySparkRuntimeError) as error:
        engine._launched({}, tmp_path / "logs" / "spark.log")
    assert is_gone(error.value)
    assert time.monotonic() - began < 10
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    below_other.kill()  # raises where it was ended, too
    other.communicate()
    del error
    gc.collect()


FULL = """
import resource, sys
from pathlib import Path
from dovetail.shared import engine
log = Path(sys.argv[1])
engine.LAUNCHED_S = 10.0
engine._launched({}, log)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
try:
    engine._launched({}, log)
except Exception as error:
    print(engine.is_gone(error), flush=True)
"""


@pytest.mark.java
@pytest.mark.long
def test_so_is_one_whose_disk_is_full(tmp_path: Path) -> None:
    environment = os.environ | {"JAVA_HOME": str(engine.find_java().executable.resolve().parent.parent)}
    found = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "spark.log")],
        capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert found.stdout == "True\n", found.stderr


@pytest.mark.parametrize(
    ("master", "sent"), [("local", False), ("local[*]", False), ("local-cluster[2,1,1024]", True), ("yarn", True)]
)
def test_the_jars_are_on_the_class_path_and_sent_to_executors_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, master: str, sent: bool
) -> None:
    started = list[dict[str, str]]()
    monkeypatch.setattr(engine, "ensure", lambda *_, **__: [Path("/ours/a.jar"), Path("/ours/b.jar")])
    monkeypatch.setattr(engine, "_session", lambda conf, *_: started.append(conf))
    (tmp_path / "dovetail.toml").write_text(f'[spark]\nmaster = "{master}"\n')
    monkeypatch.setenv("JAVA_HOME", str(engine.find_java().executable.resolve().parent.parent))
    engine.start(load(tmp_path), "test")
    [conf] = started
    path = conf[CLASS_PATH].split(":")
    ours, theirs = path[:2], path[2:]
    assert ours == ["/ours/a.jar", "/ours/b.jar"]
    assert all(Path(jar).is_file() for jar in theirs)
    for name in engine.FOUND_FIRST:
        assert any(Path(jar).name.startswith(name) for jar in theirs), f"Spark ships no {name} any more"
    assert conf.get("spark.jars") == ("/ours/a.jar,/ours/b.jar" if sent else None)
