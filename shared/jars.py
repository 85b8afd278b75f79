"""The jars of Spark and the broker, and Trino's archive: named by a lock, fetched once by Ivy, never used unverified.

Ivy ships inside pyspark and knows the public registry, so no address stands here; a settings file of the user's own
(`DOVETAIL_IVY_SETTINGS`) takes its place. The lock is an exact list, so nothing is resolved: Ivy only downloads.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import quoteattr

from dovetail.shared.errors import IntegrityError, ServiceMissing, UsageError
from dovetail.shared.java import find_java

JarSet = Literal["spark", "broker", "trino", "s3"]
Progress = Callable[[str], None]

MEGABYTES: dict[JarSet, int] = {"spark": 22, "broker": 44, "trino": 822, "s3": 14}
"""What each set weighs, for a message before it is fetched."""

_STALLED = 60.0  # seconds in which the registry neither confirmed nor sent anything


@dataclass(frozen=True)
class Jar:
    """One line of a lock: a coordinate and the SHA-256 of its jar, or of the archive that it is instead."""

    group: str
    artifact: str
    version: str
    sha256: str
    ending: str = "jar"

    @property
    def coordinate(self) -> str:
        ending = [] if self.ending == "jar" else [self.ending]
        return ":".join([self.group, self.artifact, *ending, self.version])

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.{self.ending}"


Fetch = Callable[[Sequence[Jar], Path, Progress], None]
"""The seam to the registry: puts each jar into the folder under its `file_name`, or raises ServiceMissing."""


def ensure(which: JarSet, *, on_progress: Progress | None = None, fetch: Fetch | None = None) -> list[Path]:
    """The verified jars of one set, in the lock's order, fetched first if the cache lacks them.

    A warm call only compares sizes and times with those of the last verification. Several processes may call at once:
    one fetches, the others wait.

    Args:
        which: Spark's set, what it needs for S3 beside that, the broker's or Trino's archive.
        on_progress: called with lines such as "31 of 46 jars, 38 MB".
        fetch: a double for the registry, in tests.

    Raises:
        IntegrityError: a fetched jar is not the one the lock names; nothing of that fetch is kept.
        ServiceMissing: no Java, no registry, or the cache cannot be written.
        UsageError: pyspark, which brings Ivy, is not installed.
    """
    jars, folder = locked(which), cache() / "jars" / which
    if not _unverified(jars, folder):
        return [folder / jar.file_name for jar in jars]
    report = on_progress or (lambda _line: None)
    with _only_one(folder, report):
        _complete(jars, folder, fetch or fetch_with_ivy, report)
    return [folder / jar.file_name for jar in jars]


def missing(which: JarSet) -> list[Jar]:
    """The jars of one set that the next `ensure` would have to fetch or check."""
    return _unverified(locked(which), cache() / "jars" / which)


def locked(which: JarSet) -> list[Jar]:
    """The jars that the lock of one set names."""
    name = f"{which}-jars.lock"
    return parse_lock(resources.files("dovetail").joinpath("conf", name).read_text("utf-8"), name)


def parse_lock(text: str, name: str) -> list[Jar]:
    """The jars of a lock's text: `group:artifact:version sha256` a line; `#` starts a comment line.

    An archive has its ending before the version, as in `group:artifact:tar.gz:version`.

    >>> parse_lock("# ours\\norg.a:b:1.0 " + "0" * 64, "x.lock")[0].file_name
    'b-1.0.jar'
    """
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1)]
    return [_parse_line(line, f"{name}:{n}") for n, line in lines if line and not line.startswith("#")]


def cache() -> Path:
    """The folder for what can be fetched again: DOVETAIL_CACHE, else the user's cache folder."""
    if own := os.environ.get("DOVETAIL_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dovetail"


def fetch_with_ivy(jars: Sequence[Jar], into: Path, report: Progress) -> None:
    """Download exactly these jars with the Ivy that ships inside pyspark.

    Raises:
        ServiceMissing: some could not be had; the message names them.
        UsageError: pyspark is missing, or DOVETAIL_IVY_SETTINGS names no file.
    """
    java, ivy, settings = find_java(), _ivy_jar(), _own_settings()
    work = into / "ivy"
    work.mkdir()
    module, log = work / "ivy.xml", work / "ivy.log"
    module.write_text(_module(jars), "utf-8")
    if settings is None:
        settings = work / "settings.xml"
        settings.write_text(_SETTINGS, "utf-8")
    # Measured: this Ivy run is short, so the quick compiler and the plain collector save a third of its CPU.
    command: list[str | Path] = [
        java.executable,
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx256m",
        "-jar",
        ivy,
    ]
    command += ["-settings", settings, "-novalidate", "-ivy", module, "-cache", work / "cache", "-confs", "default"]
    command += ["-retrieve", f"{into}/[artifact]-[revision].[ext]"]
    report(f"fetching {len(jars)} jars")
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL) as process:
        try:
            _watch(process, into, len(jars), report)
        finally:
            process.kill()
    if lacking := [jar.coordinate for jar in jars if not (into / jar.file_name).is_file()]:
        raise _not_fetched(lacking, len(jars), log)


def _parse_line(line: str, where: str) -> Jar:
    coordinate, _, digest = line.partition(" ")
    match coordinate.split(":"):
        case [group, artifact, *ending, version] if len(ending) < 2 and re.fullmatch("[0-9a-f]{64}", digest):
            return Jar(group, artifact, version, digest, *ending)
        case _:
            raise IntegrityError(f"a lock line that is not `group:artifact:version sha256`: {line!r}", where=where)


def _complete(jars: Sequence[Jar], folder: Path, fetch: Fetch, report: Progress) -> None:
    # What is in the folder but not in its stamp was put there by someone else, or cut short: believe its bytes only.
    good = {jar for jar in jars if _sha256(folder / jar.file_name) == jar.sha256}
    wanted = [jar for jar in jars if jar not in good]
    if wanted:
        into = folder.with_name(f".fetching-{folder.name}")
        shutil.rmtree(into, ignore_errors=True)  # left by a killed process: the lock is ours now
        try:
            into.mkdir()
            fetch(wanted, into, report)
            for jar in wanted:
                _refuse_another(jar, into / jar.file_name)
            for jar in wanted:
                (into / jar.file_name).replace(folder / jar.file_name)
        finally:
            shutil.rmtree(into, ignore_errors=True)
    _write_stamp(jars, folder)


def _refuse_another(jar: Jar, path: Path) -> None:
    if (found := _sha256(path)) != jar.sha256:
        raise IntegrityError(
            f"{jar.coordinate} is not the jar that the lock names: expected SHA-256 {jar.sha256}, found {found}",
            why="a mirror or a proxy gave other bytes; nothing of it was kept",
            next="ask the owner of the mirror, or name another one with DOVETAIL_IVY_SETTINGS=FILE",
        )


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _stamp(folder: Path) -> Path:
    return folder / "verified.json"


def _write_stamp(jars: Sequence[Jar], folder: Path) -> None:
    seen = {jar.file_name: [jar.sha256, *_shape(folder / jar.file_name)] for jar in jars}
    draft = folder / "verified.json.draft"
    draft.write_text(json.dumps(_read_stamp(folder) | seen, indent=1), "utf-8")
    draft.replace(_stamp(folder))


def _read_stamp(folder: Path) -> dict[str, list[object]]:
    try:
        stamp = json.loads(_stamp(folder).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _shape(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _unverified(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    stamp = _read_stamp(folder)

    def known(jar: Jar) -> bool:
        try:
            return stamp.get(jar.file_name) == [jar.sha256, *_shape(folder / jar.file_name)]
        except OSError:
            return False

    return [jar for jar in jars if not known(jar)]


@contextmanager
def _only_one(folder: Path, report: Progress) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock").open("w")
    except OSError as error:
        raise ServiceMissing(
            f"the jar cache {folder} cannot be written", why=str(error), next="set DOVETAIL_CACHE to a folder of yours"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is fetching these jars; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ivy_jar() -> Path:
    # find_spec, not import: this must stay reachable from processes that never load pyspark.
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("pyspark is not installed, and its Ivy fetches the jars", next="pip install 'dovetail[spark]'")
    found = sorted(Path(spec.submodule_search_locations[0], "jars").glob("ivy-*.jar"))
    if not found:
        raise UsageError("this pyspark has no Ivy in its jars", next="pip install --force-reinstall 'dovetail[spark]'")
    return found[-1]


def _own_settings() -> Path | None:
    named = os.environ.get("DOVETAIL_IVY_SETTINGS")
    if not named:
        return None
    path = Path(named).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"DOVETAIL_IVY_SETTINGS names no file: {named}", next="point it at an Ivy settings file")
    return path


# Without poms and without the registry's own checksum files a jar costs two requests instead of eight or more.
# The lock's SHA-256 is stronger than what is left out.
_SETTINGS = """<ivysettings>
  <property name="ivy.checksums" value=""/>
  <settings defaultResolver="public"/>
  <timeout-constraints>
    <timeout-constraint name="brisk" connectionTimeout="10000" readTimeout="30000"/>
  </timeout-constraints>
  <resolvers><ibiblio name="public" m2compatible="true" usepoms="false" timeoutConstraint="brisk"/></resolvers>
</ivysettings>
"""


def _module(jars: Sequence[Jar]) -> str:
    # master(*): the jar alone where a user's resolver reads poms, whatever there is where it reads none.
    # The artifact is spelled out because some poms call their jar a "bundle".
    rows = "\n".join(
        f"<dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} rev={quoteattr(jar.version)} "
        f'transitive="false" conf="default->master(*)"><artifact name={quoteattr(jar.artifact)} '
        f"type={quoteattr(jar.ending)} ext={quoteattr(jar.ending)}/></dependency>"
        for jar in jars
    )
    return (
        '<ivy-module version="2.0"><info organisation="dovetail" module="jars"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>\n{rows}\n</dependencies></ivy-module>\n'
    )


def _watch(process: subprocess.Popen[bytes], into: Path, total: int, report: Progress) -> None:
    # Ivy downloads into its cache and copies at the end, so the cache shows how far it is.
    seen, since = (0, 0, 0), time.monotonic()
    while process.poll() is None and time.monotonic() - since < _STALLED:
        time.sleep(0.25)
        now = _progress(into / "ivy")
        if now != seen:
            if now[:2] != seen[:2]:
                report(f"{now[0]} of {total} jars, {now[1]} MB")
            seen, since = now, time.monotonic()


def _progress(work: Path) -> tuple[int, int, int]:
    """Whole jars, megabytes, and what the registry has confirmed so far: failures must not look like progress."""
    whole = size = 0
    for path in (work / "cache").glob("*/*/*s/*"):  # jars/, or tar.gzs/
        with suppress(FileNotFoundError):  # Ivy renames x.jar.part to x.jar under our eyes
            size += path.stat().st_size
            whole += path.suffix != ".part"
    return whole, size // 1_000_000, (work / "ivy.log").read_text("utf-8", "replace").count("found ")


def _not_fetched(lacking: Sequence[str], total: int, log: Path) -> ServiceMissing:
    said = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    blame = next((line for line in said if "xception" in line or "not found" in line or "timed out" in line), "")
    named = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
    return ServiceMissing(
        f"could not fetch {len(lacking)} of {total} jars: {named}",
        why=blame or "the registry did not answer",
        next="go online and try again, or name your own mirror's Ivy settings file with DOVETAIL_IVY_SETTINGS=FILE",
    )
