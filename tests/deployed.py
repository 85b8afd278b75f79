"""What files that deploy Dovetail may hold: commands and settings that are there, asked of the command line itself."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import typer

from dovetail.cli import ClickException, app
from dovetail.shared.settings import PREFIX, Settings, load

ROOT = Path(__file__).parents[1]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
SHOP = ROOT / "examples" / "shop"
COMMANDS = typer.main.get_command(app)


def wrong_with(words: Sequence[str]) -> str:
    """Why `dovetail WORDS` would be refused before it begins; empty where it would not."""
    command, rest = COMMANDS, list(words)
    while rest and rest[0] in (known := getattr(command, "commands", {})):
        command = known[rest.pop(0)]
    if command is COMMANDS or hasattr(command, "commands"):
        return f"no verb: {' '.join(words)}"
    try:
        command.make_context(command.name, rest)
    except ClickException as error:
        return str(error)
    return ""


def settings_with(variables: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The shop's settings under these variables; raises SettingsError for one that is no setting, or no value of it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, str(value))
    return load(SHOP)
