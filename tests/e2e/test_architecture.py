"""The commands of docs/architecture.md, run in a project with its layers beside them, give what the page shows."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e_system import System
from shop_truth import SHOP

from dovetail.shared.log import Log

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


def commands() -> list[tuple[str, list[str]]]:
    """Each command of the page with the lines shown under it; … stands for anything, alone for any lines."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(shown: list[str]) -> str:
    lines = [r"(.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n" for line in shown]
    return r"(.*\n)*" + "".join(lines) + r"(.*\n)*"


def test_the_page_shows_commands() -> None:
    assert len(commands()) >= 7


def test_every_command_gives_what_the_page_shows(log: Log, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    with System.create(SHOP, tmp_path / "shop", log, topic="architecture", partitions=2) as system:
        for layer in ("archive", "speed"):
            system.start(layer, wait=False)
        system.stack.start("serve", "serve")
        for layer in ("archive", "speed"):
            system.wait_ready(layer)
        for command, shown in commands():
            end = time.monotonic() + 90
            while True:  # an answer may be some seconds behind what was just sent, never wrong
                ran = subprocess.run(command, shell=True, cwd=system.folder, env=env, capture_output=True, text=True)
                if ran.returncode == 0 and re.fullmatch(pattern(shown), ran.stdout):
                    break
                assert time.monotonic() < end, f"$ {command}\n{ran.stdout}{ran.stderr}"
                time.sleep(1)
