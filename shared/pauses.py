"""Layers that a person has paused: a note under the storage root, obeyed between two micro-batches.

The note is what counts, not what is in it: one that cannot be read pauses all the same.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from dovetail.shared import aside, notes
from dovetail.shared.duration import ago
from dovetail.shared.errors import Paused, UsageError, unknown
from dovetail.shared.project import Project
from dovetail.shared.tables import Layout

Layer = Literal["speed", "archive", "batch"]
"""Those that can be paused: speed and the archive by source, batch by view."""
LOOK_S = 0.5
"""Seconds between two looks whether a pause has ended."""


@dataclass(frozen=True)
class Pause:
    """One layer of one source or view is paused: by whom, since when and why."""

    layer: Layer
    name: str
    who: str = "somebody"
    since: float = 0.0
    because: str = "the note cannot be read"

    @property
    def command(self) -> str:
        """The command that ends it."""
        return f"dovetail resume {self.layer} {self.name}"

    def __str__(self) -> str:
        when = f" {ago(time.time() - self.since)} ago" if self.since else ""
        return f"{self.layer} of {self.name} was paused by {self.who}{when}: {self.because}"


def targets(project: Project, layer: str, name: str | None) -> list[tuple[Layer, str]]:
    """The layer of the source or view named, or of all of them; raises UsageError for what is not there."""
    named = next((known for known in get_args(Layer) if known == layer), None)
    if named is None:
        raise UsageError(unknown("layer", layer, get_args(Layer)))
    find, every = (project.view, project.views) if named == "batch" else (project.source, project.sources)
    return [(named, find(name).name)] if name else [(named, each) for each in every]


def paused(layout: Layout, layer: Layer, name: str) -> Pause | None:
    """The pause that is on; None where none is."""
    try:
        return Pause(layer, name, **json.loads(layout.pause(f"{layer}-{name}").read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Pause(layer, name)


def pause(layout: Layout, layer: Layer, name: str, *, because: str) -> Pause:
    """Pauses; one that is on already stays as it is. A micro-batch or batch under way ends first.

    Raises:
        UsageError: no reason is given.
    """
    if not because.strip():
        raise UsageError("say why it is paused", next='--because "the database behind it is being moved"')
    if before := paused(layout, layer, name):
        return before
    new = Pause(layer, name, _who(), time.time(), because)
    said = {name: value for name, value in asdict(new).items() if name not in ("layer", "name")}
    notes.keep(layout.pause(f"{layer}-{name}"), said)
    return new


def resume(layout: Layout, layer: Layer, name: str) -> Pause | None:
    """Ends a pause, and gives it; None where none was on."""
    before = paused(layout, layer, name)
    layout.pause(f"{layer}-{name}").unlink(missing_ok=True)
    return before


def refuse(layout: Layout, layer: Layer, name: str) -> None:
    """Raises Paused where the layer is."""
    if found := paused(layout, layer, name):
        raise Paused(str(found), next=found.command)


def wait(
    layout: Layout,
    layer: Layer,
    name: str,
    stop: threading.Event | None = None,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Returns when the layer is not paused, or `stop` is set. Tells when it begins to wait, and when it goes on.

    Raises:
        StandAside: the layer is asked to.
    """
    stop, told = stop or threading.Event(), False
    aside.refuse(layout, layer, name)
    while found := paused(layout, layer, name):
        if not told:
            tell(f"{found}. Waits for: {found.command}")
        told = True
        if stop.wait(LOOK_S):
            return
        aside.refuse(layout, layer, name)
    if told:
        tell(f"{layer} of {name} goes on")


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
