"""The stand: what ends is started again, but only what was harmed may end. Real processes; no broker, so no Java."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail.shared.errors import IntegrityError
from dovetail.shared.position import Position
from dovetail.torture.stand import Stand


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """One layer, which ends by itself: it is told what it does not know."""
    monkeypatch.setattr("dovetail.torture.stand.LAYERS", {"archive": ("archive", "--nope")})
    with Stand(tmp_path / "run", views="views.py", end=Position) as stand:
        stand.stack.start("archive", "archive", "--nope").process.wait(60)
        yield stand


def test_what_ends_though_nobody_harmed_it_is_a_failure(stand: Stand) -> None:
    with pytest.raises(IntegrityError, match=r"archive ended with exit code 2: .*; nothing had been done to it"):
        stand.keep_up()


def test_what_ends_after_a_harm_is_started_again_and_said(stand: Stand) -> None:
    before = stand.stack.children["archive"].process.pid
    stand.harmed("kill broker")
    stand.keep_up()
    assert stand.stack.children["archive"].process.pid != before
    assert stand.ends[0].startswith("archive ended with exit code 2: ")
    assert stand.ends[0].endswith("(after kill broker)")
    assert stand.recoveries == []


@pytest.mark.parametrize("kind", ["Busy", "ServiceMissing", "IntegrityError"])
@pytest.mark.parametrize("harm", ["", "full disk of archive"])
def test_what_is_told_to_stop_ends_well_or_misses_what_an_earlier_harm_took(stand: Stand, kind: str, harm: str) -> None:
    child = stand.stack.children["archive"]
    with child.log.open("a") as log:
        log.write(f'{{"error": {{}}, "kind": "{kind}"}}\n')
    if harm:
        stand.harmed(harm)
    if harm and kind != "IntegrityError":
        stand.stop("archive")
        (end,) = stand.ends
        assert end.startswith("archive was told to stop and ended with exit code 2 (after full disk of archive")
    else:
        with pytest.raises(IntegrityError, match="archive was told to stop and ended with exit code 2"):
            stand.stop("archive")


@pytest.mark.long
def test_a_batch_that_fails_is_run_again_and_again_and_then_a_failure(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.torture.stand.TRIES", 2)
    stand.harmed("kill broker")
    stand.batch("ids", full=True)
    first = stand.stack.children["batch"]
    with pytest.raises(IntegrityError, match="batch ids --full failed 2 times"):
        stand.finish_batch()
    assert stand.stack.children["batch"] is not first


def test_what_does_not_come_is_a_failure_that_says_where_everything_stands(stand: Stand) -> None:
    stand.harmed("kill broker")
    began = time.monotonic()
    with pytest.raises(IntegrityError, match=r"the moon took more than 1 s(?s:.*)archive: not ready"):
        stand.wait("the moon", lambda: False, seconds=1)
    assert time.monotonic() - began < 30


@pytest.mark.long
def test_what_does_not_go_on_writes_where_its_threads_stand(stand: Stand) -> None:
    stand.stack.children["archive"].stop()
    child = stand.stack.start("archive", "serve", "--json")
    assert child.ready.wait(60)
    with pytest.raises(IntegrityError, match="the moon"):
        stand.wait("the moon", lambda: False, seconds=0)
    time.sleep(0.5)
    assert "most recent call first" in child.log.read_text()


def test_only_a_harmed_server_is_expected_to_be_away(stand: Stand) -> None:
    stand.harmed("kill speed", "speed")
    assert not stand.away.is_set()
    stand.harmed("kill serve", "serve")
    assert stand.away.is_set()


@pytest.mark.parametrize("views", ["views.py", "soak.py"])
def test_the_project_that_is_tortured_is_sound(views: str, tmp_path: Path) -> None:
    with Stand(tmp_path / "run", views=views, end=Position) as stand:
        ran = subprocess.run(
            [sys.executable, "-m", "dovetail", "check"], cwd=stand.folder, capture_output=True, text=True
        )
    assert "0 problems" in ran.stdout, ran.stdout + ran.stderr
