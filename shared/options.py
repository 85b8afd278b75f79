"""The options a project passes on to Kafka and Spark: which may be set, and how secrets get in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from dovetail.shared.errors import SettingsError
from dovetail.shared.secrets import know

SECRET = re.compile(r"(password|passphrase|secret|token|jaas\.config|secret[._]?(access[._]?)?key|keystore\.key)$")
REFERENCE = re.compile(r"(env|file):(?!//)(.*)", re.DOTALL)  # file:///… is a URL, as spark.eventLog.dir takes

_POSITION = "where to read from is decided by the ledger, never by an option"
_CODE = "it names code to load into the process"
_JARS = "jars come from Dovetail's lock, each with its checksum"
_DELTA = "the tables need the one that Dovetail sets"
_MEANING = "it changes answers without changing a view's version"

KAFKA_DENIED = {
    "bootstrap.servers": "set [kafka] bootstrap",
    "group.id": "records are read by position, not by consumer group",
    "groupidprefix": "records are read by position, not by consumer group",
    "isolation.level": "every reader is read_committed, or an aborted record would be counted",
    "enable.auto.commit": _POSITION,
    "auto.offset.reset": _POSITION,
    "starting*": _POSITION,
    "ending*": _POSITION,
    "assign": "the topic is the source's",
    "subscribe*": "the topic is the source's",
    "failondataloss": "a record that Kafka dropped must stop the job, not vanish",
    "maxoffsetspertrigger": "set max_records_per_commit in [speed] or [archive]",
    "includeheaders": "the master dataset keeps every header",
    "acks": "a record counts as sent when every replica has it",
    "transactional.id": "each feed has its own; other producers are not transactional",
    "*.deserializer": "the master dataset keeps the bytes as they are",
    "*.serializer": "records are sent as bytes",
    "*.class": _CODE,
    "*.classes": _CODE,
    "*.reporters": _CODE,
    "*.providers": _CODE,
    "*.url": "it makes the client fetch any address or file (CVE-2025-27817)",
}
SPARK_DENIED = {
    "spark.master": "set [spark] master",
    "spark.driver.memory": "set [spark] driver_memory",
    "spark.jars": _JARS,
    "spark.jars.packages": _JARS,
    "spark.jars.repositories": _JARS,
    "*.extraclasspath": _JARS,
    "spark.sql.extensions": _DELTA,
    "spark.sql.catalog.*": _DELTA,
    "spark.sql.streaming.checkpointlocation": "a checkpoint is scratch, fresh at every start",
    "spark.sql.session.timezone": "buckets are in UTC",
    "spark.sql.ansi.enabled": _MEANING,
    "spark.sql.casesensitive": _MEANING,
}


def refused(name: str, value: str, denied: Mapping[str, str]) -> str | None:
    """Why this option may not be set so, or None where it may.

    >>> refused("group.id", "mine", KAFKA_DENIED)
    'may not be set: records are read by position, not by consumer group'
    """
    lower = name.lower()
    for pattern, reason in denied.items():
        if fnmatchcase(lower, pattern):
            return f"may not be set: {reason}"
    reference = REFERENCE.fullmatch(value)
    if reference and not reference[2].strip():
        return f"is '{value}', which names nothing: write env:NAME or file:PATH"
    if SECRET.search(lower) and not reference:
        return "is a secret written out: write a reference, env:NAME or file:PATH, so that it stays out of the file"
    return None


def resolved(options: Mapping[str, str], *, folder: Path, where: str) -> dict[str, str]:
    """The options with each `env:NAME` and `file:PATH` replaced by what it refers to. Never log or print the result.

    A relative PATH is under `folder`; the line end that closes a file is not part of the secret.

    Raises:
        SettingsError: a variable is not set, or a file cannot be read.
    """
    return {name: _value(text, folder, f"{where} {name}") for name, text in options.items()}


def learn(options: Mapping[str, str], *, folder: Path) -> None:
    """Makes the secrets known that options refer to, as far as they can be had, so that no line shows one."""
    for text in options.values():
        with suppress(SettingsError):  # said by who needs it
            _value(text, folder, "")


def _value(text: str, folder: Path, where: str) -> str:
    reference = REFERENCE.fullmatch(text)
    return text if reference is None else know(_secret(reference[1], reference[2].strip(), folder, where))


def _secret(kind: str, name: str, folder: Path, where: str) -> str:
    if kind == "env":
        if name not in os.environ:
            raise SettingsError(f"the variable {name} is not set", where=where, next=f"export {name}=…")
        return os.environ[name]
    try:
        return (folder / name).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"the file {name} cannot be read", where=where, why=str(reason)) from None
