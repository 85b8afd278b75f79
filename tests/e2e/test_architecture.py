"""The commands of docs/architecture.md, run in a project with its layers beside them, give what the page shows."""

from pathlib import Path

import pytest
from e2e_system import System
from pages import Command, follow, steps
from shop_truth import SHOP

from dovetail.shared.log import Log

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(600)]
PAGE = "architecture.md"


def test_the_page_shows_commands() -> None:
    assert len([step for step in steps(PAGE) if isinstance(step, Command)]) >= 7


def test_every_command_gives_what_the_page_shows(log: Log, tmp_path: Path) -> None:
    with System.create(SHOP, tmp_path / "shop", log, topic="architecture", partitions=2) as system:
        for layer in ("archive", "speed"):
            system.start(layer, wait=False)
        system.stack.start("serve", "serve")
        for layer in ("archive", "speed"):
            system.wait_ready(layer)
        follow(PAGE, system.folder)
