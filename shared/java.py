"""Java, found once: JAVA_HOME decides when it is set, else the PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dovetail.shared.errors import ServiceMissing

OLDEST = 17
"""The oldest Java that Spark 4.2 and Kafka 4.2 run on."""

PATIENCE_S = 30
TRIES = 2
"""A machine that was crowded once gets a second chance."""

_HOW_TO_GET = (
    "install Java 17 or newer: Debian/Ubuntu `sudo apt-get install openjdk-17-jre-headless`, "
    "macOS `brew install openjdk@17`, Windows `winget install EclipseAdoptium.Temurin.17.JRE`"
)


@dataclass(frozen=True)
class Java:
    """A Java that can run Spark and the broker; `version` is the feature release, such as 17 or 25.

    `build` is all that it says of itself: what is made for one build is not for another.
    """

    executable: Path
    version: int
    build: str = ""


def find_java() -> Java:
    """The Java that Spark's own launcher would take: that of JAVA_HOME when it is set, else the first on the PATH.

    Raises:
        ServiceMissing: there is none, it does not run or not answer in time, or it is older than 17.
    """
    executable = _executable()
    build = _build(executable, executable.stat().st_mtime_ns)
    version = _version(build)
    if version is None:
        raise ServiceMissing(f"no Java found: {executable} does not run as one", next=_how_to_get())
    if version < OLDEST:
        raise ServiceMissing(
            f"Java {version} found at {executable}, but {OLDEST} or newer is needed", next=_how_to_get()
        )
    return Java(executable, version, build)


def _executable() -> Path:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME={home}" if home else "JAVA_HOME is not set, and PATH holds no java"
        raise ServiceMissing("no Java found", where=where, next=_how_to_get())
    return Path(found)


def _how_to_get() -> str:
    return _HOW_TO_GET + (", then point JAVA_HOME at it" if os.environ.get("JAVA_HOME") else "")


@lru_cache(maxsize=8)
def _build(executable: Path, _changed: int) -> str:
    # `java -version` costs 0.1 s or more; the time of the last change keeps the answer true when Java is upgraded.
    try:
        return _asked(executable)
    except (OSError, subprocess.SubprocessError):
        return ""  # macOS ships a /usr/bin/java that only says it is not there


def _version(build: str) -> int | None:
    match = re.search(r'version "(?:1\.)?(\d+)', build)
    return int(match[1]) if match else None


def _asked(executable: Path) -> str:
    for _ in range(TRIES):
        try:
            ran = subprocess.run(
                [executable, "-version"], capture_output=True, text=True, timeout=PATIENCE_S, check=True
            )
        except subprocess.TimeoutExpired:
            continue
        return ran.stderr + ran.stdout
    raise ServiceMissing(
        f"Java did not answer in time: {executable} -version took over {PATIENCE_S} s, {TRIES} times",
        why="this machine has too much to do, or is short of memory",
        next="try again when it has less to do; dovetail doctor looks at Java and the memory",
    )
