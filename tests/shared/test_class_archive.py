"""The archive of Spark's classes: what it hangs on, who makes it, and that nothing needs it. Some Javas are doubles."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dovetail.shared import class_archive as archives
from dovetail.shared.class_archive import ClassArchive, Program, class_archive
from dovetail.shared.java import Java, find_java

IVY = next(Path(sys.prefix).glob("lib/*/site-packages/pyspark/jars/ivy-*.jar"))
MAKES = 'for a; do case $a in -XX:SharedArchiveFile=*) printf whole >"${a#*=}";; esac; done'
"""A double of Java that makes an archive."""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DOVETAIL_CLASS_ARCHIVE", raising=False)
    (tmp_path / "classes.txt").write_text("org/apache/ivy/Main\n")
    monkeypatch.setattr(archives, "CLASSES", tmp_path / "classes.txt")


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    file = tmp_path / "a.jar"
    file.write_text("one")
    return file


@pytest.fixture
def archive(jar: Path) -> ClassArchive:
    made = class_archive(Java(Path("java"), 17, "17.0.1"), [jar])
    assert made is not None
    return made


def double(folder: Path, does: str) -> Program:
    """A Java that does what a line of shell says, and notes that it ran."""
    java = folder / "java"
    java.write_text(f'#!/bin/sh\necho "$@" >>"{folder}/ran"\n{does}\n')
    java.chmod(0o755)
    return Program(java, ("-Xmx1g", "-Xlog:gc", "-XX:SharedArchiveFile=other.jsa"), f"a.jar{os.pathsep}/etc/hadoop")


def runs(folder: Path) -> list[str]:
    return (folder / "ran").read_text().splitlines() if (folder / "ran").exists() else []


def test_the_name_hangs_on_java_the_jars_their_order_and_the_list_of_classes(jar: Path, tmp_path: Path) -> None:
    java, other = Java(Path("java"), 17, "17.0.1"), tmp_path / "b.jar"
    other.write_text("two")

    def name(build: str = "17.0.1", jars: tuple[Path, ...] = (jar, other)) -> str:
        found = class_archive(Java(java.executable, 17, build), jars)
        assert found is not None
        return found.key

    names = [name(), name("17.0.2"), name(jars=(other, jar)), name(jars=(jar,))]
    assert name() == names[0]
    jar.write_text("longer")
    names.append(name())
    os.utime(jar, ns=(1, 1))
    names.append(name())
    archives.CLASSES.write_text("org/apache/ivy/Other\n")
    names.append(name())
    assert len({*names}) == 7


@pytest.mark.parametrize("off", ["off", "0", "false"])
def test_it_can_be_turned_off(jar: Path, monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    monkeypatch.setenv("DOVETAIL_CLASS_ARCHIVE", off)
    assert class_archive(Java(Path("java"), 17), [jar]) is None


def test_a_jvm_is_given_it_only_once_it_is_made(archive: ClassArchive, tmp_path: Path) -> None:
    assert archive.options() == []
    assert archive.wanted()
    assert archive.make(double(tmp_path, MAKES))
    assert archive.options()[0] == f"-XX:SharedArchiveFile={archive.folder}/{archive.key}-5.jsa"
    assert not archive.wanted()
    assert {file.name for file in archive.folder.iterdir()} == {"lock", f"{archive.key}-5.jsa"}


def test_it_is_made_as_the_jvm_runs_for_its_jars_alone(archive: ClassArchive, tmp_path: Path) -> None:
    archive.make(double(tmp_path, MAKES))
    [ran] = runs(tmp_path)
    assert ran.startswith("-Xmx1g -Xshare:dump")
    assert ran.endswith("-cp a.jar")
    assert "other.jsa" not in ran


def test_what_java_refuses_leaves_nothing_and_is_not_tried_again_for_a_day(
    archive: ClassArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = double(tmp_path, MAKES + "; exit 1")
    assert not archive.make(refuses)
    assert archive.options() == []
    assert not archive.make(refuses)
    assert len(runs(tmp_path)) == 1
    monkeypatch.setattr(archives, "REFUSED_S", 0)
    assert archive.make(double(tmp_path, MAKES))


def test_a_maker_that_is_killed_says_nothing_about_the_next(archive: ClassArchive, tmp_path: Path) -> None:
    assert not archive.make(double(tmp_path, MAKES + "; kill -9 $$"))
    assert archive.options() == []
    assert archive.wanted()


def test_of_two_at_once_one_makes_it_and_the_other_does_not_wait(archive: ClassArchive, tmp_path: Path) -> None:
    slow = double(tmp_path, "sleep 1; " + MAKES)
    with ThreadPoolExecutor(2) as pool:  # flock belongs to an opened file: threads exclude each other as processes do
        made = [pool.submit(archive.make, slow) for _ in range(2)]
    assert sorted(m.result() for m in made) == [False, True]
    assert len(runs(tmp_path)) == 1


def test_of_a_process_that_is_killed_meanwhile_no_java_and_no_half_archive_is_left(
    archive: ClassArchive, tmp_path: Path
) -> None:
    slow = double(tmp_path, MAKES + f'; echo $$ >"{tmp_path}/pid"; sleep 60')
    code = (
        "import sys; from dovetail.shared.class_archive import *\n"
        "ClassArchive(Path(sys.argv[1]), sys.argv[2]).make(Program(Path(sys.argv[3]), (), 'a.jar'))"
    )
    with subprocess.Popen([sys.executable, "-c", code, archive.folder, archive.key, slow.java]) as parent:
        eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        maker = psutil.Process(int((tmp_path / "pid").read_text()))
        parent.kill()
    _, alive = psutil.wait_procs([maker], timeout=20)
    assert alive == []
    assert archive.options() == []
    assert [*archive.folder.glob("*.draft")] != []
    assert archive.make(double(tmp_path, MAKES))
    assert [*archive.folder.glob("*.draft")] == []


def test_those_used_last_are_kept(archive: ClassArchive, tmp_path: Path) -> None:
    archive.folder.mkdir(parents=True)
    for age in range(1, 6):
        (archive.folder / f"{age}-0.jsa").touch()
        os.utime(archive.folder / f"{age}-0.jsa", (1000 - age, 1000 - age))
    ClassArchive(archive.folder, "5").options()
    archive.make(double(tmp_path, MAKES))
    assert {file.name for file in archive.folder.glob("*.jsa")} == {f"{archive.key}-5.jsa", "5-0.jsa", "1-0.jsa"}


def test_one_that_was_cut_short_is_made_again(archive: ClassArchive, tmp_path: Path) -> None:
    archive.make(double(tmp_path, MAKES))
    (archive.folder / f"{archive.key}-5.jsa").write_text("who")
    assert archive.options() == []
    assert archive.make(double(tmp_path, MAKES))
    assert archive.options() != []


def test_a_cache_that_cannot_be_written_is_no_error(archive: ClassArchive, tmp_path: Path) -> None:
    archive.folder.parent.mkdir()
    archive.folder.write_text("in the way")
    assert not archive.make(double(tmp_path, MAKES))
    assert runs(tmp_path) == []


@pytest.mark.java
def test_java_maps_the_classes_of_one_it_made_and_goes_without_a_broken_one() -> None:
    java = find_java()
    archive = class_archive(java, [IVY])
    assert archive is not None
    assert archive.make(Program(java.executable, ("-XX:+UseSerialGC",), str(IVY)))
    assert b"org.apache.ivy.Main source: shared objects file" in said(archive, "-Xlog:class+load:stdout")
    file = archive.file()
    assert file is not None
    whole, plain = file.read_bytes(), said(None)
    for broken in (b"", b"no archive", whole[: len(whole) // 2], bytes(4096) + whole[4096:]):
        file.unlink()
        file.write_bytes(broken)
        assert said(archive) == plain


@pytest.mark.java
def test_java_goes_without_one_of_other_jars(tmp_path: Path) -> None:
    java = find_java()
    archive = class_archive(java, [IVY])
    assert archive is not None
    assert archive.make(Program(java.executable, ("-XX:+UseSerialGC",), str(IVY)))
    (tmp_path / "ivy.jar").write_bytes(IVY.read_bytes())
    assert said(archive, jar=tmp_path / "ivy.jar") == said(None)


def said(archive: ClassArchive | None, *options: str, jar: Path = IVY) -> bytes:
    """All that a real program of Java says, with the archive."""
    given = [*(archive.options() if archive else []), *options, "-XX:+UseSerialGC"]
    ran = subprocess.run(
        [find_java().executable, *given, "-cp", jar, "org.apache.ivy.Main", "-version"], capture_output=True, check=True
    )
    return ran.stdout + ran.stderr


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come true within 20 s"
        time.sleep(0.05)
