"""What this machine has and lacks for Dovetail, and how to mend each lack. Starts nothing but `java -version`,
and asks Kafka where it is another than the embedded one."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from dovetail.shared import jars
from dovetail.shared.broker import is_free
from dovetail.shared.errors import DovetailError, ServiceMissing
from dovetail.shared.java import find_java
from dovetail.shared.settings import Settings

Level = Literal["ok", "warn", "fail"]

_GIB = 1024**3
_MEMORY_ADVISED = 4 * _GIB
_DISK_NEEDED, _DISK_ADVISED = 1 * _GIB, 5 * _GIB
_PYTHON = (3, 11)


@dataclass(frozen=True)
class Check:
    """One thing looked at. `warn` lets Dovetail run, if less well; `fail` does not. `mend` is empty when it is ok."""

    name: str
    level: Level
    found: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing needs doing."""
        return self.level == "ok"


@dataclass(frozen=True)
class Fit:
    """The releases of a package that fit together with the others: from `oldest`, included, to `below`, excluded."""

    package: str
    oldest: str
    below: str = ""
    extra: str = ""

    def holds(self, version: str) -> bool:
        """Whether this release fits.

        >>> Fit("pyspark", "4.2", "4.3").holds("4.2.1"), Fit("pyspark", "4.2", "4.3").holds("4.3.0")
        (True, False)
        """
        number = _number(version)
        return _number(self.oldest) <= number and (not self.below or number < _number(self.below))

    def __str__(self) -> str:
        return f"{self.package}>={self.oldest}" + (f",<{self.below}" if self.below else "")


FITS = (
    Fit("pyspark", "4.2", "4.3", extra="spark"),
    Fit("delta-spark", "4.4", "4.5", extra="spark"),
    Fit("deltalake", "1.6", "2"),
    Fit("duckdb", "1.4"),
    Fit("pyarrow", "21"),
    Fit("kafka-python", "3.0", "4"),
)
"""What pyproject.toml asks for, said again because pip may be told to ignore it."""


def checks(*, folder: Path, kafka_port: int = 9092, serving_port: int = 8000) -> list[Check]:
    """Every check, in the order in which a newcomer would mend them; none raises.

    Args:
        folder: where the data is to be kept; it need not exist yet.
        kafka_port: the port for the embedded broker.
        serving_port: the port for the HTTP API.
    """
    return [
        _python(),
        *_versions(),
        _java(),
        _memory(),
        _writable(folder),
        _disk(folder),
        _port("port of Kafka", kafka_port, "the embedded broker takes a free port instead; others find it in status"),
        _port("port of serving", serving_port, "stop what listens there, or set [serving] port in dovetail.toml"),
        _jars("spark"),
        _jars("broker"),
    ]


def of_hooks(settings: Settings) -> list[Check]:
    """Whether the commands of [hooks] can be run: else that shows in the night that needs them."""
    found = list[Check]()
    for hook in ("on_promote", "on_problem"):
        if command := getattr(settings.hooks, hook):
            name = str(settings.folder / command[0]) if os.sep in command[0] else command[0]
            mend = "" if shutil.which(name) else f"make it executable, or set hooks.{hook} to a command that is there"
            found.append(Check(hook, "warn" if mend else "ok", command[0], mend))
    return found


def of_kafka(settings: Settings) -> list[Check]:
    """Whether Kafka lets us in, where it is not the embedded one."""
    from dovetail.shared.log import Log
    from dovetail.shared.reach import answering

    bootstrap = settings.kafka.bootstrap
    if bootstrap == "embedded":
        return []
    if not answering(bootstrap):  # a client would wait for it
        return [Check("Kafka", "warn", f"nothing answers at {bootstrap}", "start it, or correct kafka.bootstrap")]
    try:
        Log(bootstrap, settings.kafka.resolved_options()).admin().close()
    except DovetailError as error:
        return [Check("Kafka", "fail", "; ".join(p for p in (error.what, error.why) if p), error.next)]
    return [Check("Kafka", "ok", bootstrap)]


def _python() -> Check:
    found, least = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, _PYTHON))
    if sys.version_info[:2] < _PYTHON:
        return Check("Python", "fail", found, f"install Python {least} or newer and make a new environment with it")
    return Check("Python", "ok", found)


def _versions() -> Iterator[Check]:
    for fit in FITS:
        wanted = f"dovetail[{fit.extra}]" if fit.extra else "dovetail"
        try:
            found = metadata.version(fit.package)
        except metadata.PackageNotFoundError:
            mend = f"pip install '{wanted}'"
            # Without Spark this is a machine that serves, which is a thing people do on purpose.
            yield Check(fit.package, "warn" if fit.extra else "fail", "not installed", mend)
            continue
        mend = "" if fit.holds(found) else f"pip install '{fit}'"
        yield Check(fit.package, "fail" if mend else "ok", found, mend)


def _java() -> Check:
    try:
        java = find_java()
    except ServiceMissing as missing:
        return Check("Java", "fail", missing.what, missing.next)
    return Check("Java", "ok", f"{java.version} at {java.executable}")


def _memory() -> Check:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = f"{total / _GIB:.1f} GiB"
    if total < _MEMORY_ADVISED:
        return Check("memory", "warn", found, f"Spark and Kafka together want {_MEMORY_ADVISED // _GIB} GiB or more")
    return Check("memory", "ok", found)


def _writable(folder: Path) -> Check:
    there = _nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("folder", "fail", f"{there} cannot be written", "set [storage] root to a folder you may write")
    return Check("folder", "ok", f"{folder} can be written")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_nearest(folder)).free
    found = f"{free / _GIB:.1f} GiB free"
    if free < _DISK_ADVISED:
        mend = f"free some space or set [storage] root to a larger disk: {_DISK_ADVISED // _GIB} GiB is comfortable"
        return Check("disk", "fail" if free < _DISK_NEEDED else "warn", found, mend)
    return Check("disk", "ok", found)


def _port(name: str, port: int, mend: str) -> Check:
    # A warning only: what listens there may well be this project's own Dovetail.
    if is_free(port):
        return Check(name, "ok", f"{port} is free")
    return Check(name, "warn", f"{port} is in use", f"unless that is Dovetail itself: {mend}")


def _jars(which: jars.JarSet) -> Check:
    absent, all_of_them = len(jars.missing(which)), len(jars.locked(which))
    if absent:
        mend = f"nothing to do: they will be fetched when first needed, about {jars.MEGABYTES[which]} MB in all"
        return Check(f"jars of {which}", "warn", f"{all_of_them - absent} of {all_of_them}", mend)
    return Check(f"jars of {which}", "ok", f"{all_of_them} of {all_of_them}")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the closest one above it that exists."""
    return next(there for there in (folder.absolute(), *folder.absolute().parents) if there.exists())


def _number(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without trailing zeros so that 4.2 and 4.2.0 are one.

    >>> _number("4.2.0rc1") == _number("4.2")
    True
    """
    leading = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in leading[0].split(".")] if leading else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
