"""Runs a verb of `dovetail` as a task of an orchestrator: its documents, or whether to try again is of any use.

DOVETAIL_PROJECT is the folder of dovetail.toml, DOVETAIL the command where it is not on the path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

RETRY = {"ServiceMissing", "Busy", "NotYet"}
"""Errors that pass by themselves; others need a person: a closed gate, books that do not balance, a pause."""


class Again(Exception):
    """The verb failed by something that may be over when it is tried again."""


class Refused(Exception):
    """The verb failed, and would fail again."""


def dovetail(*words: str) -> list[Any]:
    """Runs `dovetail WORDS --json`, and gives the documents that it wrote.

    Raises:
        Again: a service was missing, another process was in the way, or it was killed.
        Refused: anything else.
    """
    command = [os.environ.get("DOVETAIL", "dovetail"), *words, "--json"]
    ran = subprocess.run(command, cwd=os.environ["DOVETAIL_PROJECT"], capture_output=True, text=True, check=False)
    sys.stderr.write(ran.stderr)
    if ran.returncode == 0:
        return [json.loads(line) for line in ran.stdout.splitlines()]
    kind, why = _error(ran.stderr)
    failed = Again if ran.returncode < 0 or kind in RETRY else Refused
    raise failed(f"dovetail {' '.join(words)}: exit code {ran.returncode}: {why or ran.stdout.strip()[-500:]}")


def _error(stderr: str) -> tuple[str, str]:
    """The kind and the words of the error document that a failed verb ends with; empty where there is none."""
    try:
        document = json.loads(stderr.splitlines()[-1])
        return document["kind"], document["error"]["what"]
    except (IndexError, ValueError, KeyError, TypeError):
        return "", ""
