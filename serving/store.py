"""All views of a project in one process, followed by one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dovetail.serving.database import Database
from dovetail.serving.dimensions import Dimensions
from dovetail.serving.follow import Ledgers, ViewFollower
from dovetail.serving.past import Past
from dovetail.serving.runs import Runs
from dovetail.serving.trino_runs import InTrino, TrinoRuns
from dovetail.serving.view import View
from dovetail.shared.errors import DovetailError
from dovetail.shared.sections import TrinoSettings
from dovetail.shared.tables import Layout

ACTIVE, IDLE = 0.005, 0.02
"""Seconds between two looks at the ledgers, while something comes and after a while without."""
QUIET_AFTER = 5.0
DISCOVER_EVERY = 0.1
RETRY_AFTER = 0.5
"""Seconds until a view that cannot be answered is tried again."""

log = logging.getLogger(__name__)


class Store:
    """The views under a storage root. `start` follows them until `stop`; asked by any thread.

    No look into the database takes longer than `seconds`. With `trino` the runs stay there, and out of memory.
    """

    def __init__(
        self, root: Path, *, on_publish: Callable[[View], None] = lambda _: None,
        on_fail: Callable[[View], None] = lambda _: None, seconds: float = 60.0, workers: int = 1,
        trino: TrinoSettings | None = None,
    ) -> None:  # fmt: skip
        self._layout = Layout(root)
        self._on_publish, self._on_fail = on_publish, on_fail
        self._database = Database(seconds=seconds, workers=workers)
        self._elsewhere = InTrino(trino, self._layout, seconds=seconds) if trino else None
        held, elsewhere = (self._layout, self._database), self._elsewhere
        self._runs = Runs(*held) if elsewhere is None else TrinoRuns(*held, elsewhere)
        self._ledgers = Ledgers(self._layout)
        self._dimensions = Dimensions(self._layout, self._database)
        self.past = Past(self._layout, self._database, self._runs, self._dimensions)
        self._followers: dict[str, ViewFollower] = {}
        self._retry: dict[str, float] = {}
        self._discovered = -DISCOVER_EVERY
        self._stopping = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="dovetail-follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._runs.close()
        self._database.close()

    def spread(self, *, wide: bool) -> None:
        """Lets each look into the database take every core from now on, or one."""
        self._database.spread(wide=wide)

    @property
    def views(self) -> Mapping[str, View]:
        """The views that have a manifest, whether or not they can be answered now."""
        return {name: f.view for name, f in list(self._followers.items()) if f.answerable or f.view.problem}

    def view(self, name: str) -> View | None:
        follower = self._followers.get(name)
        return follower.view if follower and (follower.answerable or follower.view.problem) else None

    @property
    def looked(self) -> bool:
        """Whether every folder has been looked at once."""
        return self._looked.is_set()

    @property
    def loaded(self) -> bool:
        """Whether every view can be answered, or for a reason cannot."""
        return self.looked and all(view.published or view.problem for view in self.views.values())

    def look(self) -> bool:
        """One look at everything; gives whether any view published something. `start` does this over and over."""
        self._discover()
        steps = [self._step(follower) for follower in self._followers.values()]
        self._looked.set()
        return any(steps)

    def _follow(self) -> None:
        active = time.monotonic()
        while not self._stopping.is_set():
            active = time.monotonic() if self.look() else active
            self._stopping.wait(ACTIVE if time.monotonic() - active < QUIET_AFTER else IDLE)

    def _discover(self) -> None:
        now = time.monotonic()
        if now - self._discovered < DISCOVER_EVERY:
            return
        self._discovered = now
        for folder in sorted((self._layout.root / "views").glob("*/manifest")):
            name = folder.parent.name
            if name not in self._followers:
                view = View(name, self._database, self._dimensions, self._elsewhere)
                self._followers[name] = ViewFollower(
                    self._layout, view, self._database, self._runs, self._ledgers, self._dimensions
                )

    def _step(self, follower: ViewFollower) -> bool:
        name = follower.view.name
        if self._retry.get(name, 0.0) > time.monotonic():
            return False
        try:
            published = follower.step()
        except DovetailError as error:
            self._failed(follower, error.what, ": ".join(part for part in (error.where, error.why) if part))
            return False
        except Exception as error:  # the edge of the thread: whatever it was, no number may come of it
            log.exception("%s cannot be followed", name)
            self._failed(follower, "its storage cannot be read", f"{type(error).__name__}: {error}")
            return False
        if published:
            self._on_publish(follower.view)
        return published

    def _failed(self, follower: ViewFollower, problem: str, inside: str) -> None:
        problem = problem.removeprefix(f"{follower.view.name} cannot be answered: ")
        known = (follower.view.problem, follower.view.inside) == (problem, inside)
        follower.failed(problem, inside)
        self._retry[follower.view.name] = time.monotonic() + RETRY_AFTER
        if not known:
            told = f"{problem} ({inside})" if inside else problem
            log.error("%s cannot be answered: %s", follower.view.name, told)
            self._on_fail(follower.view)
