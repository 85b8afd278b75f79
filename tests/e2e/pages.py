"""Pages whose commands are run: each must give what the page shows under it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_S = 90
"""An answer may be some seconds behind what was just sent, never wrong."""


@dataclass(frozen=True)
class Command:
    """A line to type, and the lines shown under it: … stands for anything, alone for any lines."""

    line: str
    shown: tuple[str, ...]

    @property
    def pattern(self) -> str:
        lines = [
            r"(.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n" for line in self.shown
        ]
        return r"(.*\n)*" + "".join(lines) + r"(.*\n)*"


@dataclass(frozen=True)
class File:
    """A block that is a file: its name stands after the language."""

    name: str
    text: str


def steps(page: str) -> list[Command | File]:
    """What a page has its reader do, in order."""
    text = (DOCS / page).read_text("utf-8")
    found: list[Command | File] = []
    for language, name, block in re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if name:
            found.append(File(name, block))
        for typed in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] if language == "console" else ():
            line, *shown = typed.splitlines()
            found.append(Command(line, tuple(shown)))
    return found


def follow(page: str, folder: Path) -> None:
    """Writes the files and runs the commands in the project of `folder`, its layers running beside."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    for step in steps(page):
        if isinstance(step, File):
            (folder / step.name).write_text(step.text, "utf-8")
            continue
        end = time.monotonic() + PATIENCE_S
        while True:
            ran = subprocess.run(step.line, shell=True, cwd=folder, env=env, capture_output=True, text=True)
            if ran.returncode == 0 and re.fullmatch(step.pattern, ran.stdout):
                break
            assert time.monotonic() < end, f"$ {step.line}\n{ran.stdout}{ran.stderr}"
            time.sleep(1)
