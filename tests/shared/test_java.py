"""Which Java is taken, and what is said when none will do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.shared import java
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.java import find_java

SEVENTEEN = 'openjdk version "17.0.15" 2025-04-15'
TWENTY_FIVE = 'openjdk version "25" 2025-09-16 LTS'
ELEVEN = 'openjdk version "11.0.22" 2024-01-16'
EIGHT = 'java version "1.8.0_402"'


def fake_java(folder: Path, says: str, code: int = 0) -> Path:
    """A `bin/java` that prints its version on stderr, as every Java does."""
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    executable.chmod(0o755)
    return executable


@pytest.fixture
def only_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that holds the only `bin` on the PATH; JAVA_HOME is not set."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.mark.parametrize(("says", "version"), [(SEVENTEEN, 17), (TWENTY_FIVE, 25)])
def test_a_java_on_the_path_that_is_new_enough_is_taken(only_path: Path, says: str, version: int) -> None:
    executable = fake_java(only_path, says)
    assert (find_java().executable, find_java().version) == (executable, version)


def test_java_home_decides_over_the_path(only_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(only_path, SEVENTEEN)
    chosen = fake_java(tmp_path / "own", TWENTY_FIVE)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "own"))
    assert find_java().executable == chosen


@pytest.mark.parametrize(("says", "version"), [(ELEVEN, 11), (EIGHT, 8)])
def test_an_old_java_is_refused_with_its_place_and_a_way_to_a_newer_one(
    only_path: Path, says: str, version: int
) -> None:
    executable = fake_java(only_path, says)
    with pytest.raises(ServiceMissing) as refused:
        find_java()
    assert refused.value.what == f"Java {version} found at {executable}, but 17 or newer is needed"
    assert "apt-get install" in refused.value.next
    assert refused.value.exit_code == 3


def test_an_old_java_home_is_refused_even_with_a_new_java_on_the_path(
    only_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spark's launcher follows JAVA_HOME too: silently taking another Java here would only fail later there.
    fake_java(only_path, SEVENTEEN)
    fake_java(tmp_path / "old", ELEVEN)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    with pytest.raises(ServiceMissing, match="Java 11 found") as refused:
        find_java()
    assert "point JAVA_HOME at it" in refused.value.next


@pytest.mark.parametrize("system", ["Debian/Ubuntu", "macOS", "Windows"])
def test_no_java_at_all_says_how_to_get_one(only_path: Path, system: str) -> None:
    with pytest.raises(ServiceMissing, match="no Java found") as missing:
        find_java()
    assert system in missing.value.next
    assert "\n" not in missing.value.next


def test_a_java_home_without_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(ServiceMissing, match="no Java found") as missing:
        find_java()
    assert missing.value.where == f"JAVA_HOME={tmp_path / 'gone'}"


def test_a_java_that_does_not_run_counts_as_none(only_path: Path) -> None:
    fake_java(only_path, "Unable to locate a Java Runtime.", code=1)
    with pytest.raises(ServiceMissing, match="does not run"):
        find_java()


def slow_java(folder: Path, *, slow: int) -> Path:
    """One that answers only after so many times of not answering; gives where it notes how often it was asked."""
    executable, asked = fake_java(folder, SEVENTEEN), folder / "asked"
    waits = f'echo x >> {asked}\n[ "$(/usr/bin/wc -l < {asked})" -gt {slow} ] || exec /bin/sleep 9\n'
    executable.write_text(executable.read_text().replace("#!/bin/sh\n", "#!/bin/sh\n" + waits))
    return asked


def test_a_java_that_does_not_answer_is_not_told_as_none(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "PATIENCE_S", 0.2)
    slow_java(only_path, slow=9)
    with pytest.raises(ServiceMissing, match="Java did not answer in time") as told:
        find_java()
    assert (told.value.exit_code, told.value.next[:9]) == (3, "try again")


def test_a_java_that_was_slow_once_is_asked_again(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "PATIENCE_S", 1)
    asked = slow_java(only_path, slow=1)
    assert find_java().version == 17
    assert asked.read_text().count("x") == 2


def test_an_upgraded_java_is_looked_at_again(only_path: Path) -> None:
    executable = fake_java(only_path, SEVENTEEN)
    assert find_java().version == 17
    executable.write_text(executable.read_text().replace(SEVENTEEN, TWENTY_FIVE))
    assert find_java().version == 25
