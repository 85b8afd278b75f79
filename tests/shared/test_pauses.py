"""A pause is a note: the first one stays, who waits for its end is told, and a torn one pauses all the same."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dovetail.shared import pauses
from dovetail.shared.errors import Paused, UsageError
from dovetail.shared.tables import Layout

WHY = "the disk is being moved"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


def test_the_first_pause_stays_until_it_is_resumed(layout: Layout) -> None:
    first = pauses.pause(layout, "speed", "lines", because=WHY)
    assert pauses.pause(layout, "speed", "lines", because="another") == first
    assert pauses.paused(layout, "speed", "lines") == first
    assert str(first).startswith("speed of lines was paused by ")
    assert str(first).endswith(f" 0 s ago: {WHY}")
    assert [pauses.paused(layout, *other) for other in (("archive", "lines"), ("speed", "others"))] == [None, None]
    assert pauses.resume(layout, "speed", "lines") == first
    assert pauses.resume(layout, "speed", "lines") is None
    assert pauses.paused(layout, "speed", "lines") is None


def test_a_pause_without_a_reason_is_refused(layout: Layout) -> None:
    with pytest.raises(UsageError, match="say why it is paused"):
        pauses.pause(layout, "speed", "lines", because=" ")
    assert pauses.paused(layout, "speed", "lines") is None


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"by": "ana"}'])
def test_a_note_that_cannot_be_read_pauses_all_the_same(layout: Layout, torn: str) -> None:
    pauses.pause(layout, "batch", "sales", because=WHY)
    layout.pause("batch-sales").write_text(torn)
    with pytest.raises(Paused, match="batch of sales was paused by somebody: the note cannot be read") as refused:
        pauses.refuse(layout, "batch", "sales")
    assert refused.value.next == "dovetail resume batch sales"
    assert pauses.resume(layout, "batch", "sales") is not None
    pauses.refuse(layout, "batch", "sales")


def test_who_waits_is_told_once_and_goes_on_when_it_is_resumed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "LOOK_S", 0.01)
    said = list[str]()
    pauses.wait(layout, "speed", "lines", tell=said.append)
    assert said == []
    pauses.pause(layout, "speed", "lines", because=WHY)
    threading.Timer(0.1, pauses.resume, (layout, "speed", "lines")).start()
    pauses.wait(layout, "speed", "lines", tell=said.append)
    assert pauses.paused(layout, "speed", "lines") is None
    assert [s.rpartition(". ")[2] for s in said] == ["Waits for: dovetail resume speed lines", "speed of lines goes on"]


def test_who_is_told_to_stop_waits_no_longer(layout: Layout) -> None:
    pauses.pause(layout, "speed", "lines", because=WHY)
    stop, said = threading.Event(), list[str]()
    stop.set()
    pauses.wait(layout, "speed", "lines", stop, tell=said.append)
    assert [s.rpartition(". ")[2] for s in said] == ["Waits for: dovetail resume speed lines"]
