"""The lock of jars, its check, and the cache. The registry is a double, and so is Ivy."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dovetail.shared import jars
from dovetail.shared.errors import IntegrityError, ServiceMissing, UsageError
from dovetail.shared.jars import Jar, Progress

LOCK = [Jar("org.one", name, "1.0", hashlib.sha256(name.encode()).hexdigest()) for name in ("alpha", "beta")]


class Registry:
    """Hands out each jar's right bytes, or the wrong ones for a name; remembers what it was asked for."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        self.asked: list[list[str]] = []

    def __call__(self, wanted: Sequence[Jar], into: Path, report: Progress) -> None:
        self.asked.append([jar.artifact for jar in wanted])
        for jar in wanted:
            (into / jar.file_name).write_text("other bytes" if jar.artifact == self.wrong else jar.artifact)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a lock of two jars in place of the real ones; gives the set's folder."""
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "locked", lambda _which: LOCK)
    return tmp_path / "cache" / "jars" / "spark"


def test_the_jars_come_back_in_the_order_of_the_lock(cache: Path) -> None:
    registry = Registry()
    assert jars.ensure("spark", fetch=registry) == [cache / "alpha-1.0.jar", cache / "beta-1.0.jar"]
    assert registry.asked == [["alpha", "beta"]]


def test_a_second_call_neither_asks_the_registry_nor_reads_the_jars(monkeypatch: pytest.MonkeyPatch) -> None:
    jars.ensure("spark", fetch=Registry())

    def read(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(jars, "_sha256", read)
    again = Registry()
    start = time.perf_counter()
    jars.ensure("spark", fetch=again)
    assert time.perf_counter() - start < 0.02
    assert again.asked == []


def test_wrong_bytes_are_refused_and_nothing_stays(cache: Path) -> None:
    with pytest.raises(IntegrityError) as refused:
        jars.ensure("spark", fetch=Registry(wrong="beta"))
    assert "org.one:beta:1.0" in refused.value.what
    assert LOCK[1].sha256 in refused.value.what
    assert hashlib.sha256(b"other bytes").hexdigest() in refused.value.what
    assert [path.name for path in cache.parent.rglob("*.jar")] == []
    assert jars.missing("spark") == LOCK


def test_a_jar_changed_in_the_cache_is_fetched_again_and_the_others_are_not(cache: Path) -> None:
    jars.ensure("spark", fetch=Registry())
    (cache / "beta-1.0.jar").write_text("cut short")
    assert jars.missing("spark") == [LOCK[1]]
    registry = Registry()
    jars.ensure("spark", fetch=registry)
    assert registry.asked == [["beta"]]
    assert (cache / "beta-1.0.jar").read_text() == "beta"


def test_jars_put_into_the_cache_by_hand_are_checked_not_fetched(cache: Path) -> None:
    cache.mkdir(parents=True)
    for jar in LOCK:
        (cache / jar.file_name).write_text(jar.artifact)
    registry = Registry()
    jars.ensure("spark", fetch=registry)
    assert registry.asked == []
    assert jars.missing("spark") == []


def test_what_a_killed_fetch_left_behind_is_cleared(cache: Path) -> None:
    left = cache.parent / ".fetching-spark"
    left.mkdir(parents=True)
    (left / "alpha-1.0.jar").write_text("half")
    jars.ensure("spark", fetch=Registry())
    assert not left.exists()


def test_of_two_at_once_one_fetches_and_the_other_waits() -> None:
    # flock belongs to an opened file, so two threads exclude each other just as two processes do.
    registry, lines = Registry(), list[str]()

    def slowly(wanted: Sequence[Jar], into: Path, report: Progress) -> None:
        time.sleep(0.3)
        registry(wanted, into, report)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(jars.ensure, "spark", on_progress=lines.append, fetch=slowly) for _ in range(2)]
    assert both[0].result() == both[1].result()
    assert registry.asked == [["alpha", "beta"]]
    assert lines == ["another process is fetching these jars; waiting for it"]


def test_a_cache_that_cannot_be_written_says_which_variable_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ServiceMissing, match="cannot be written") as refused:
        jars.ensure("spark", fetch=Registry())
    assert "DOVETAIL_CACHE" in refused.value.next


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(jars.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError) as refused:
        jars.ensure("spark")
    assert refused.value.next == "pip install 'dovetail[spark]'"


IVY_THAT_GETS_ALL_BUT_BETA = """#!/bin/sh
[ "$1" = -version ] && { echo 'openjdk version "17.0.1"' >&2; exit 0; }
while [ "$1" != -retrieve ]; do shift; done
folder=${2%/*}
printf alpha > "$folder/alpha-1.0.jar"
echo 'Host registry.invalid not found. url=beta'
exit 1
"""


def test_what_ivy_could_not_fetch_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(IVY_THAT_GETS_ALL_BUT_BETA)
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(jars, "_ivy_jar", lambda: tmp_path / "ivy.jar")
    with pytest.raises(ServiceMissing) as missing:
        jars.ensure("spark")
    assert missing.value.what == "could not fetch 1 of 2 jars: org.one:beta:1.0"
    assert "registry.invalid" in missing.value.why
    assert "DOVETAIL_IVY_SETTINGS=FILE" in missing.value.next


def test_settings_of_ones_own_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_IVY_SETTINGS", "/nowhere/ivysettings.xml")
    monkeypatch.setattr(jars, "find_java", lambda: None)
    monkeypatch.setattr(jars, "_ivy_jar", lambda: Path("ivy.jar"))
    with pytest.raises(UsageError, match="names no file: /nowhere/ivysettings"):
        jars.ensure("spark")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_CACHE", "/own")
    assert jars.cache() == Path("/own")
    monkeypatch.delenv("DOVETAIL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert jars.cache() == Path("/xdg/dovetail")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert jars.cache() == Path.home() / ".cache" / "dovetail"


def test_a_lock_is_read_without_its_comments_and_blank_lines() -> None:
    assert jars.parse_lock(f"# ours\n\norg.one:alpha:1.0 {LOCK[0].sha256}\n", "a.lock") == LOCK[:1]


@pytest.mark.parametrize(
    "line", ["org.one:alpha 00", "org.one:alpha:1.0", "org.one:alpha:1.0 beef", "org.one:a:1:2 00"]
)
def test_a_lock_line_that_is_cut_short_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        jars.parse_lock(f"# ours\n{line}\n", "a.lock")
    assert refused.value.where == "a.lock:2"


def test_an_archive_has_its_ending_in_the_lock_and_in_the_cache() -> None:
    (archive,) = jars.parse_lock(f"org.one:server:tar.gz:4 {'0' * 64}", "x.lock")
    assert (archive.coordinate, archive.file_name) == ("org.one:server:tar.gz:4", "server-4.tar.gz")
    assert 'type="tar.gz" ext="tar.gz"' in jars._module([archive])
