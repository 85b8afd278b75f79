"""One process alone with a source: what else reads or writes its tables has ended, or stands aside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from dovetail.batch.master import DeltaMaster
from dovetail.shared import aside, pauses
from dovetail.shared.declare import Source
from dovetail.shared.errors import Busy, NotYet
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held, is_held, owner
from dovetail.shared.position import Position
from dovetail.shared.project import Project

Tell = Callable[[str], None]


@contextmanager
def alone(
    project: Project, source: Source, views: Sequence[str], spark: SparkSession, patience: float, tell: Tell
) -> Iterator[tuple[DeltaLedger, DeltaMaster]]:
    """Holds the locks of all layers of a source while the block runs, and gives its ledger and its master.

    What ends by itself is waited for, the layers that run for long stand aside; the archive last, once it has come as
    far as speed. Readers go on.

    Raises:
        Busy: something has not ended within `patience` seconds.
        NotYet: the archive has not come as far as speed.
        Paused: nor does it come there, for it is paused.
    """
    ledger, name = DeltaLedger(project.layout.ledger(source.name)), source.name
    master = DeltaMaster(project.layout, source, spark)
    _archived(project, source, ledger, master)  # before anything stands still for what does not come
    with ExitStack() as stack:
        locks = _Locks(project, source, stack, patience, tell)
        locks.hold("forget", f"import-{name}", f"supersede-{name}")
        locks.hold(*(f"{job}-{view}" for view in views for job in ("reprocess", "batch")))
        locks.hold(*(f"dimension-{dimension}" for dimension in project.dimensions))
        for push in pushes_of(project, source):
            locks.ask("push", push)
        locks.ask("speed", name)
        _await_archived(project, source, ledger, master, patience)
        locks.ask("archive", name)
        yield ledger, master


def pushes_of(project: Project, source: Source) -> list[str]:
    """The pushes that deliver answers made of this source."""
    return [name for name, push in project.pushes.items() if push.view.source.name == source.name]


@dataclass(frozen=True)
class _Locks:
    """Those that are held already end with `stack`."""

    project: Project
    source: Source
    stack: ExitStack
    patience: float
    tell: Tell

    def ask(self, layer: aside.Layer, name: str) -> None:
        """Asks a layer to stand aside, and takes its place."""
        self.stack.enter_context(aside.asking(self.project.layout, layer, name, self._what))
        self.hold(f"{layer}-{name}")

    def hold(self, *names: str) -> None:
        for name in names:
            path = self.project.layout.lock(name)
            if self.patience and is_held(path):
                self.tell(f"waits for {name}: {owner(path)}")
            try:
                self.stack.enter_context(held(path, self._what, patience=self.patience))
            except Busy as busy:
                raise Busy(
                    f"{name} runs, and does not stand aside", why=busy.what,
                    next=f"stop it, then dovetail forget {self.source.name} again; dovetail serve may go on",
                ) from None  # fmt: skip

    @property
    def _what(self) -> str:
        return f"forgetting subjects of {self.source.name}"


def _await_archived(
    project: Project, source: Source, ledger: DeltaLedger, master: DeltaMaster, patience: float
) -> None:
    """Returns once the master holds all that speed has read."""
    until, archive = time.monotonic() + patience, project.layout.lock(f"archive-{source.name}")
    while not _archived(project, source, ledger, master):
        if time.monotonic() >= until or not is_held(archive):
            raise NotYet(
                f"speed has read {source.name} up to {_read(source, ledger)}, the archive up to {master.claim()}",
                why="views are computed anew from the archive",
                next=f"dovetail archive {source.name} until it has come as far, then forget again",
            )
        time.sleep(aside.LOOK_S)


def _archived(project: Project, source: Source, ledger: DeltaLedger, master: DeltaMaster) -> bool:
    """Whether the master holds all that speed has read; raises Paused where it does not, and will not."""
    if master.claim().reaches(_read(source, ledger)):
        return True
    pauses.refuse(project.layout, "archive", source.name)
    return False


def _read(source: Source, ledger: DeltaLedger) -> Position:
    """Up to where speed has read a source."""
    last = ledger.last()
    if last is None:
        raise NotYet(f"nothing of {source.name} was ever read", next="dovetail dev")
    return last.to
