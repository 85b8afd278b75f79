"""A layer that is asked to stand aside lets go of its lock, then begins anew; what asks ends with its process."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dovetail.shared import aside, pauses
from dovetail.shared.locks import held
from dovetail.shared.tables import Layout


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(aside, "LOOK_S", 0.01)
    return Layout(tmp_path / "data")


def test_a_layer_begins_anew_once_it_is_not_asked_any_more(layout: Layout) -> None:
    began, told = [threading.Event(), threading.Event()], list[str]()
    times = iter(began)

    def run() -> None:
        with held(layout.lock("speed-lines"), "a layer"):
            next(times).set()
            while not began[1].is_set():
                aside.refuse(layout, "speed", "lines")

    layer = threading.Thread(target=aside.obeying, args=(run, layout, "speed", "lines"), kwargs={"tell": told.append})
    layer.start()
    assert began[0].wait(10)
    with (
        aside.asking(layout, "speed", "lines", "forgetting"),
        held(layout.lock("speed-lines"), "forgetting", patience=10),
    ):
        assert not began[1].wait(0.1)
        assert not aside.asked(layout, "speed", "others")
    assert began[1].wait(10)
    layer.join(10)
    assert told == ["speed of lines stands aside while somebody is forgotten", "speed of lines begins anew"]


def test_a_paused_layer_stands_aside_too(layout: Layout) -> None:
    pauses.pause(layout, "archive", "lines", because="by the test")
    waits = threading.Event()
    stood = list[BaseException]()

    def wait() -> None:
        try:
            pauses.wait(layout, "archive", "lines", tell=lambda _: waits.set())
        except aside.StandAside as error:
            stood.append(error)

    layer = threading.Thread(target=wait)
    layer.start()
    assert waits.wait(10)
    with aside.asking(layout, "archive", "lines", "forgetting"):
        layer.join(10)
    assert [str(error) for error in stood] == ["archive of lines stands aside"]
