"""The page on nights: its settings are settings, its documents are those that hooks are given, its files are there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from deployed import ROOT, wrong_with

from dovetail.shared import hooks
from dovetail.shared import manifest as rules
from dovetail.shared.errors import GateClosed
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.position import Position, Range
from dovetail.shared.settings import load

PAGE = (ROOT / "docs" / "nightly.md").read_text("utf-8")
RUN = Run(RunId("1"), VersionId("sales@1"), -1, 4, Range(Position({0: 0}), Position({0: 9})))


def blocks(language: str) -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_a_hook_is_set_and_given_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dovetail.toml").write_text(blocks("toml"))
    settings, given = load(tmp_path), dict[str, set[str]]()

    def called(_: object, document: bytes, **__: object) -> str:
        event = json.loads(document)
        given[event["event"]] = {*event}
        return ""

    monkeypatch.setattr(hooks, "_failed", called)
    hooks.promoted(settings, None, rules.first("sales", (RUN,), "note"), by="batch")
    hooks.Watched(settings, "batch", "sales").failed(GateClosed("lines 10 → 1", next="dovetail prove"))
    assert {event["event"]: {*event} for event in map(json.loads, blocks("json").splitlines())} == given


def test_the_command_of_the_clock_is_one() -> None:
    [line] = [line for line in blocks("sh").splitlines() if "bin/dovetail " in line]
    assert wrong_with(shlex.split(line.partition("bin/dovetail ")[2])) == ""


def test_its_files_are_there_and_it_is_found() -> None:
    named = set(re.findall(r"^\| `(\w+\.py)`", PAGE, re.MULTILINE))
    assert named == {file.name for file in (ROOT / "examples" / "nightly").glob("*.py")}
    assert all((ROOT / name).is_file() for name in re.findall(r"`(conf/\S+)`", PAGE))
    for page in ("README.md", "docs/change-day.md", "docs/deploy.md"):
        assert "nightly.md" in (ROOT / page).read_text("utf-8"), page
    assert "(nightly)" in (ROOT / "examples" / "README.md").read_text("utf-8")
