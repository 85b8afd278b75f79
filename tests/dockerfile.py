"""A Dockerfile as its instructions, stage by stage."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from deployed import ROOT

FILE = ROOT / "docker" / "Dockerfile"
NOBODYS = re.compile(r"[1-9]\d*:[1-9]\d*")
"""A user and a group by number, neither of them root's: Kubernetes believes no name."""


@dataclass
class Stage:
    """One FROM and what follows it."""

    base: str
    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for word, rest in self.lines if word == instruction]


def stages(file: Path) -> dict[str, Stage]:
    text = re.sub(r"^\s*#.*\n", "", file.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = Stage(base, name)
        elif found:
            [*found.values()][-1].lines.append((word, " ".join(rest.split())))
    return found


def chain(file: Path, target: str) -> list[Stage]:
    """The stages that an image is made of, the last one first."""
    known, found = stages(file), []
    while target in known:
        found.append(known[target])
        target = known[target].base
    return found


def last(file: Path, target: str, instruction: str) -> str:
    """What holds of an instruction whose last one counts."""
    return next(lines[-1] for stage in chain(file, target) if (lines := stage.all(instruction)))


def exec_form(text: str) -> list[str]:
    words: list[str] = json.loads(text)
    return words


def environment(file: Path, target: str) -> dict[str, str]:
    pairs = [re.findall(r"(\w+)=(\S+)", line) for stage in reversed(chain(file, target)) for line in stage.all("ENV")]
    return {name: value for line in pairs for name, value in line}
