"""Processes that look after one another: what was killed is started again, what ended by itself is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dovetail.cli.stack import Stack
from dovetail.shared.errors import DovetailError


@pytest.fixture
def stack(tmp_path: Path):
    stack = Stack(tmp_path, tmp_path / "logs")
    yield stack
    stack.close()


def test_what_was_killed_is_started_again(stack: Stack) -> None:
    first, notes = stack.start("help", "doctor"), list[str]()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(30)
    stack.revive(notes.append)
    second = stack.children["help"]
    assert second.process.pid != first.process.pid
    assert second.arguments == ["doctor"]
    assert notes == ["help was killed, and is started again"]


def test_what_ended_by_itself_is_told_with_its_log(stack: Stack) -> None:
    ended = stack.start("bad", "no-such-verb")
    ended.process.wait(60)
    with pytest.raises(DovetailError, match="bad stopped with exit code 2"):
        stack.revive(lambda _: None)
    assert stack.children["bad"] is ended
