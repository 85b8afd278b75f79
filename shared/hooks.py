"""The commands of [hooks]: called when something has come to answer, and when a batch has failed or a gate is closed.

A command is given what happened as one JSON document on stdin. It comes after what happened and changes nothing of
it: one that fails, or takes too long, is a warning.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from dovetail.shared.errors import DovetailError
from dovetail.shared.manifest import Manifest
from dovetail.shared.secrets import redacted
from dovetail.shared.settings import Settings

By = Literal["batch", "promote", "rollback"]
MOST = 500
"""Characters of what a command, or an error that is none of ours, says."""

log = logging.getLogger(__name__)


def promoted(settings: Settings, before: Manifest | None, now: Manifest, *, by: By) -> None:
    """Calls `on_promote`: other runs answer for a view than `before`."""
    document = {
        "event": "promote", "by": by, "view": now.view, "from": before.live if before else None, "to": now.live,
        "generation": now.generation, "seq": now.seq, "cut": now.cut.as_json(), "note": now.note,
    }  # fmt: skip
    _call(settings, "on_promote", document)


@dataclass
class Watched:
    """A verb that may fail, and the view that it is at; None while it is at none, or at all of them."""

    settings: Settings
    verb: str
    view: str | None = None

    def failed(self, error: Exception) -> None:
        """Calls `on_problem`: of this verb came an error."""
        said: dict[str, str] = {"what": f"{type(error).__name__}: {error}".splitlines()[0][:MOST]}
        if isinstance(error, DovetailError):
            said = {"what": error.what, "where": error.where, "why": error.why, "next": error.next}
        parts = {name: redacted(text) for name, text in said.items() if text}
        document = {"event": "problem", "verb": self.verb, "view": self.view, "kind": type(error).__name__, **parts}
        _call(self.settings, "on_problem", document)


@contextmanager
def watched(
    settings: Settings, verb: str, view: str | None = None, *, of: type[Exception] = Exception
) -> Iterator[Watched]:
    """Calls `on_problem` where an error of this kind ends the block; it is raised all the same."""
    at = Watched(settings, verb, view)
    try:
        yield at
    except of as error:
        at.failed(error)
        raise


def _call(settings: Settings, hook: Literal["on_promote", "on_problem"], document: Mapping[str, Any]) -> None:
    command: Sequence[str] = getattr(settings.hooks, hook)
    if not command:
        return
    try:
        why = _failed(command, orjson.dumps(document), folder=settings.folder, seconds=settings.hooks.seconds)
    except OSError as error:
        why = f"it cannot be run: {error}"
    if why:
        log.warning("hooks.%s, %s: %s", hook, command[0], redacted(why))


def _failed(command: Sequence[str], document: bytes, *, folder: Path, seconds: float) -> str:
    """What a command failed by; empty where it ended well. Of one that takes too long nothing is left running."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            _, said = process.communicate(document + b"\n", timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return f"it takes longer than {seconds:g} s, and is ended"
            raise
    if not process.returncode:
        return ""
    return " ".join([f"exit code {process.returncode}", *said.decode(errors="replace")[-MOST:].split()])
