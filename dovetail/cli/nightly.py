"""Batches by the age of what there is: `batch --if-older-than`, and those that `dev` runs by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from dovetail.cli.output import Output
from dovetail.shared.duration import ago

if TYPE_CHECKING:
    from dovetail.shared.declare import View
    from dovetail.shared.project import Project

LOOK_S = 60.0
"""The most seconds between two looks at how old the newest runs are."""


def due(project: Project, views: Sequence[View], seconds: float, output: Output) -> list[View]:
    """Those of the views whose newest run is so old, or that have none; says which are left out."""
    from dovetail.batch.schedule import ages

    found = ages(project.layout, views, time.time())
    for name, age in found.items():
        if age is not None and age < seconds:
            output.line(f"{name}: its newest run is {ago(age)} old: nothing to do yet")
            output.result({"view": name, "written": False, "age": age})
    return [view for view in views if (age := found[view.name]) is None or age >= seconds]


class Process(Protocol):
    """A batch that runs; see `stack.Child`."""

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""

    def stop(self) -> None: ...


class Nightly:
    """Runs a batch of each view whose newest run is `every` seconds old, one at a time. Called now and then.

    A view is tried once in that time, whatever comes of it: what fails is told, and the rest of the stack goes on.

    Args:
        ages: by view how old its newest run is in seconds, None where there is none.
        start: starts the batch of a view.
    """

    def __init__(
        self,
        every: float,
        ages: Callable[[], Mapping[str, float | None]],
        start: Callable[[str], Process],
        on_note: Callable[[str], None],
    ) -> None:
        self._every, self._ages, self._start, self._on_note = every, ages, start, on_note
        self._running: tuple[str, Process] | None = None
        self._tried = dict[str, float]()
        self._look_at = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if self._busy() or now < self._look_at:
            return
        for view, age in self._ages().items():
            recent = now - self._tried.get(view, -self._every) < self._every
            if not recent and (age is None or age >= self._every):
                self._tried[view] = now
                self._running = view, self._start(view)
                return
        self._look_at = now + min(LOOK_S, self._every)

    def stop(self) -> None:
        """Ends the batch that runs: what it has computed so far is not answered from."""
        if self._running:
            self._running[1].stop()

    def _busy(self) -> bool:
        if self._running is None:
            return False
        view, process = self._running
        code = process.ended()
        if code is None:
            return True
        process.stop()
        self._running = None
        failed = f" ended with exit code {code}: dovetail status" if code else ""
        self._on_note(f"batch    {view}{failed}")
        return False
