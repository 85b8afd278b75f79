"""Pages whose commands are run: each must give what the page shows under it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
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


@dataclass(frozen=True)
class Edit:
    """A block of a file's lines as `diff` shows them: what begins with - becomes what begins with +."""

    name: str
    before: str
    after: str

    @classmethod
    def of(cls, name: str, block: str) -> Edit:
        before, after = (
            "".join(line[1:] for line in block.splitlines(keepends=True) if line[0] in f" {sign}") for sign in "-+"
        )
        return cls(name, before, after)

    def apply(self, folder: Path) -> None:
        file = folder / self.name
        text = file.read_text("utf-8")
        assert text.count(self.before) == 1, f"{self.name} does not hold this once:\n{self.before}"
        file.write_text(text.replace(self.before, self.after), "utf-8")


def steps(page: str, section: str = "") -> list[Command | File | Edit]:
    """What a page, or one section of it, has its reader do, in order."""
    text = (DOCS / page).read_text("utf-8")
    if section:
        [text] = re.findall(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found: list[Command | File | Edit] = []
    for language, name, block in re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if name and language == "diff":
            found.append(Edit.of(name, block))
        elif name:
            found.append(File(name, block))
        for typed in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] if language == "console" else ():
            line, *shown = typed.splitlines()
            found.append(Command(line, tuple(shown)))
    return found


def follow(page: str, folder: Path, section: str = "", **variables: str) -> None:
    """Writes the files, makes the edits, runs the commands in the project of `folder`, its layers running beside."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, **variables, "PATH": path, "COLUMNS": "200"}
    for step in steps(page, section):
        if isinstance(step, File):
            (folder / step.name).write_text(step.text, "utf-8")
            continue
        if isinstance(step, Edit):
            step.apply(folder)
            continue
        end = time.monotonic() + PATIENCE_S
        while True:
            ran = subprocess.run(step.line, shell=True, cwd=folder, env=env, capture_output=True, text=True)
            if ran.returncode == 0 and re.fullmatch(step.pattern, ran.stdout):
                break
            assert time.monotonic() < end, f"$ {step.line}\n{ran.stdout}{ran.stderr}"
            time.sleep(1)
