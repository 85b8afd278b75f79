"""What the doctor finds, and the cure it names."""

from __future__ import annotations

import re
import shutil
import socket
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from dovetail.shared import doctor, jars
from dovetail.shared.doctor import FITS, Check, Fit
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.java import Java


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every check is ok; each test breaks one thing."""
    monkeypatch.setattr(doctor, "find_java", lambda: Java(Path("/opt/java"), 17))
    monkeypatch.setattr(doctor, "is_free", lambda _port: True)
    monkeypatch.setattr(jars, "missing", lambda _which: [])
    monkeypatch.setattr(metadata, "version", lambda package: next(f.oldest for f in FITS if f.package == package))
    monkeypatch.setattr(doctor.os, "sysconf", {"SC_PHYS_PAGES": 2 * 1024**2, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(shutil, "disk_usage", free_disk(100 * 1024**3))


def free_disk(free: int) -> Callable[[Path], object]:
    return lambda _path: type("Usage", (), {"free": free})


def the(name: str, folder: Path) -> Check:
    return next(check for check in doctor.checks(folder=folder) if check.name == name)


def test_a_healthy_machine_needs_nothing(tmp_path: Path) -> None:
    found = doctor.checks(folder=tmp_path)
    assert [check for check in found if not check.ok or check.mend] == []
    assert {"Python", "Java", "memory", "disk", "folder", "jars of spark", "jars of broker", "pyspark"} <= {
        check.name for check in found
    }


def test_no_java_fails_with_the_way_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Java:
        raise ServiceMissing("no Java found", next="apt-get install it")

    monkeypatch.setattr(doctor, "find_java", none)
    assert the("Java", tmp_path) == Check("Java", "fail", "no Java found", "apt-get install it")


def test_little_memory_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "sysconf", {"SC_PHYS_PAGES": 512 * 1024, "SC_PAGE_SIZE": 4096}.__getitem__)
    check = the("memory", tmp_path)
    assert (check.level, check.found) == ("warn", "2.0 GiB")


@pytest.mark.parametrize(("free", "level"), [(0.5, "fail"), (2, "warn"), (50, "ok")])
def test_a_full_disk_fails_and_a_filling_one_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, level: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", free_disk(int(free * 1024**3)))
    assert the("disk", tmp_path).level == level


def test_a_folder_not_made_yet_is_judged_by_the_one_it_will_be_in(tmp_path: Path) -> None:
    assert the("folder", tmp_path / "not" / "yet").ok


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    check = the("folder", tmp_path / "file" / "data")
    assert (check.level, check.found) == ("fail", f"{tmp_path / 'file'} cannot be written")
    assert "[storage] root" in check.mend


def test_a_port_in_use_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = doctor.checks(folder=tmp_path, kafka_port=port, serving_port=port)
    kafka, serving = (next(c for c in found if c.name == name) for name in ("port of Kafka", "port of serving"))
    assert (kafka.level, kafka.found) == (serving.level, serving.found) == ("warn", f"{port} is in use")
    assert "[serving] port" in serving.mend


def test_jars_not_fetched_yet_are_a_warning_with_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "missing", lambda which: jars.locked(which)[:3])
    check = the("jars of broker", tmp_path)
    assert (check.level, check.found) == ("warn", "43 of 46")
    assert "about 44 MB" in check.mend


def test_a_package_that_does_not_fit_fails_with_the_one_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _package: "4.3.0")
    assert the("pyspark", tmp_path) == Check("pyspark", "fail", "4.3.0", "pip install 'pyspark>=4.2,<4.3'")


def test_without_spark_the_machine_can_still_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", none)
    assert the("pyspark", tmp_path) == Check("pyspark", "warn", "not installed", "pip install 'dovetail[spark]'")
    assert the("duckdb", tmp_path) == Check("duckdb", "fail", "not installed", "pip install 'dovetail'")


@pytest.mark.parametrize("version", ["4.2", "4.2.0", "4.2.17", "4.2.0rc1"])
def test_a_release_within_its_bounds_fits(version: str) -> None:
    assert Fit("pyspark", "4.2", "4.3").holds(version)


@pytest.mark.parametrize("version", ["4.1.9", "4.3", "4.10.0", "5", ""])
def test_a_release_outside_its_bounds_does_not(version: str) -> None:
    assert not Fit("pyspark", "4.2", "4.3").holds(version)


def test_the_doctor_asks_for_what_the_package_asks_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["spark"]]
    for fit in FITS:
        spec = next(line for line in asked if re.match(rf"{fit.package}[<>=]", line)).removeprefix(fit.package)
        exact = re.fullmatch(r"==(\d+)\.(\d+)\.\*", spec)
        said = f">={exact[1]}.{exact[2]},<{exact[1]}.{int(exact[2]) + 1}" if exact else spec
        assert str(fit) == fit.package + said
