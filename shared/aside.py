"""Layers that stand aside while subjects of their source are forgotten: they let go of their lock, then begin anew.

What asks them is a lock, too: so it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dovetail.shared.errors import DovetailError
from dovetail.shared.locks import held, is_held, owner

if TYPE_CHECKING:
    from dovetail.shared.tables import Layout

Layer = Literal["speed", "archive", "push"]
"""Those that run for long, and obey: speed and the archive of a source, and a push."""
IN_PLACE = "batch in the place of speed"
"""What a batch holds the lock of a speed job as, that does not run, while it commits."""
LOOK_S = 0.5
"""Seconds between two looks whether they may begin anew."""


class StandAside(DovetailError):
    """A layer is asked to let go of its lock; raised where nothing of it is half done."""


def asked(layout: Layout, layer: str, name: str) -> bool:
    """Whether somebody asks the layer to stand aside now."""
    return is_held(layout.lock(f"aside-{layer}-{name}"))


def refuse(layout: Layout, layer: str, name: str) -> None:
    """Raises StandAside where the layer is asked to."""
    if asked(layout, layer, name):
        raise StandAside(f"{layer} of {name} stands aside")


def stood_in_for(lock: Path) -> bool:
    """Whether a batch holds a speed job's lock to commit in its place: that ends by itself, and can be waited for."""
    found = owner(lock)
    return found is not None and found.held and found.what == IN_PLACE


@contextmanager
def asking(layout: Layout, layer: Layer, name: str, what: str) -> Iterator[None]:
    """Asks the layer to stand aside, for as long as the block runs."""
    with held(layout.lock(f"aside-{layer}-{name}"), what):
        yield


def obeying(
    run: Callable[[], None], layout: Layout, layer: Layer, *names: str, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Runs a layer, and again from its beginning each time it stood aside for one of the names."""
    while True:
        for name in names:
            if asked(layout, layer, name):
                tell(f"{layer} of {name} stands aside while somebody is forgotten")
                while asked(layout, layer, name):
                    time.sleep(LOOK_S)
                tell(f"{layer} of {name} begins anew")
        try:
            return run()
        except StandAside:
            pass
