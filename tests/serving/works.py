"""What workers of the tests do: light to import, for each is a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from dovetail.shared.errors import SettingsError


def refuses(place: int, alone: bool, on_ready: Callable[[], None]) -> None:
    time.sleep(0.1 * place)
    raise SettingsError(f"no pepper for {place}", where="access.pepper", next="set it")


def comes_up_and_dies(place: int, alone: bool, on_ready: Callable[[], None]) -> None:
    on_ready()
    time.sleep(0.05)
    os._exit(9)


def only_the_first_lasts(place: int, alone: bool, on_ready: Callable[[], None]) -> None:
    if place:
        os._exit(9)
    on_ready()
    time.sleep(60)
