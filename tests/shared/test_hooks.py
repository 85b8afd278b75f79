"""The commands of [hooks]: what they are given, and that nothing they do changes anything."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dovetail.shared import doctor, hooks, secrets
from dovetail.shared import manifest as rules
from dovetail.shared.errors import Busy, GateClosed, SettingsError
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.position import Position, Range
from dovetail.shared.settings import Settings, load

RUN = Run(RunId("1"), VersionId("sales@1"), -1, 4, Range(Position({0: 0}), Position({0: 9})))
FIRST = rules.first("sales", (RUN,), "by ann")
TAKEN = 'printf "%s" "$1" > words; cat > told'


def project(folder: Path, script: str, *, timeout: str = "30s") -> Settings:
    """A project both of whose hooks are this shell script."""
    file = folder / "hook.sh"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    command = '["./hook.sh", "$(touch there) *"]'
    text = f'[hooks]\non_promote = {command}\non_problem = {command}\ntimeout = "{timeout}"\n'
    (folder / "dovetail.toml").write_text(text)
    return load(folder)


def told(folder: Path) -> Any:
    return json.loads((folder / "told").read_text())


def test_a_promotion_is_told_on_stdin_to_a_command_that_no_shell_has_read(tmp_path: Path) -> None:
    hooks.promoted(project(tmp_path, TAKEN), None, FIRST, by="batch")
    assert told(tmp_path) == {
        "event": "promote", "by": "batch", "view": "sales", "from": None, "to": "sales@1",
        "generation": FIRST.generation, "seq": 4, "cut": {"0": 9}, "note": "by ann",
    }  # fmt: skip
    assert (tmp_path / "words").read_text() == "$(touch there) *"
    assert not (tmp_path / "there").exists()


def test_what_fails_is_told_and_raised_with_the_view_it_was_at_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch(at: hooks.Watched) -> None:
        at.view = "sales"
        raise Busy("the pass is hunter-2", where="here", next="again")

    monkeypatch.setattr(secrets, "_known", {"hunter-2"})
    with pytest.raises(Busy, match="hunter-2"), hooks.watched(project(tmp_path, TAKEN), "batch") as at:
        batch(at)
    assert told(tmp_path) == {
        "event": "problem", "verb": "batch", "view": "sales", "kind": "Busy",
        "what": "the pass is [redacted]", "where": "here", "next": "again",
    }  # fmt: skip


def test_a_crash_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hooks.watched(project(tmp_path, TAKEN), "batch"):
        raise ZeroDivisionError("by zero\nand more")
    found = told(tmp_path)
    assert (found["kind"], found["what"], found["view"]) == ("ZeroDivisionError", "ZeroDivisionError: by zero", None)


def test_what_is_not_watched_for_is_not_told(tmp_path: Path) -> None:
    settings = project(tmp_path, TAKEN)
    with pytest.raises(Busy), hooks.watched(settings, "promote", "sales", of=GateClosed):
        raise Busy("another was first")
    with pytest.raises(KeyboardInterrupt), hooks.watched(settings, "batch"):
        raise KeyboardInterrupt
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no room >&2; exit 4", "hooks.on_promote, ./hook.sh: exit code 4 no room"),
        ("kill -9 $$", "hooks.on_promote, ./hook.sh: exit code -9"),
        ("exec <&-; exit 0", ""),
    ],
)
def test_one_that_fails_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str, said: str) -> None:
    hooks.promoted(project(tmp_path, script), FIRST, FIRST, by="promote")
    assert caplog.messages == ([said] if said else [])


def test_so_is_one_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = project(tmp_path, "")
    (tmp_path / "hook.sh").unlink()
    with pytest.raises(GateClosed), hooks.watched(settings, "batch"):
        raise GateClosed("lines 10 → 1")
    [said] = caplog.messages
    assert said.startswith("hooks.on_problem, ./hook.sh: it cannot be run: ")


def test_one_that_takes_too_long_is_ended_with_all_that_it_has_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = project(tmp_path, "sleep 20 & echo $! > pid; wait", timeout="300ms")
    hooks.promoted(settings, FIRST, FIRST, by="rollback")
    assert caplog.messages == ["hooks.on_promote, ./hook.sh: it takes longer than 0.3 s, and is ended"]
    pid, until = int((tmp_path / "pid").read_text()), time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "it runs on"
        time.sleep(0.01)


def test_without_hooks_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dovetail.toml").write_text("")
    monkeypatch.setattr(hooks, "_failed", None)
    hooks.promoted(load(tmp_path), FIRST, FIRST, by="batch")


@pytest.mark.parametrize("value", ['"told.sh --now"', '[""]', "[1]", '["a\\u0000b"]'])
def test_what_is_no_command_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "dovetail.toml").write_text(f"[hooks]\non_problem = {value}\n")
    with pytest.raises(SettingsError, match=r"hooks\.on_problem"):
        load(tmp_path)


def test_the_doctor_looks_for_them(tmp_path: Path) -> None:
    settings = project(tmp_path, "")
    assert [check.level for check in doctor.of_hooks(settings)] == ["ok", "ok"]
    (tmp_path / "hook.sh").chmod(0o644)
    [found, _] = doctor.of_hooks(settings)
    assert (found.name, found.level, found.found) == ("on_promote", "warn", "./hook.sh")
    assert "make it executable" in found.mend
