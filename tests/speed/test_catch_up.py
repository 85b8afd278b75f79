"""What speed takes from the archive comes in pieces, each held up while speed is paused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.shared.position import Position, Range
from dovetail.speed import catch_up as module


def test_each_piece_is_held_up_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    nothing: Any = None
    monkeypatch.setattr(module, "records_of", lambda _, piece, *rest: happened.append(f"read {piece}"))
    monkeypatch.setattr(module, "decode", lambda *_: None)
    source: Any = SimpleNamespace(as_json=dict)
    span = Range(Position({0: 4}), Position({0: 9}))
    module.catch_up(
        span, lambda _, piece: happened.append(f"step {piece}"), source, nothing, nothing, nothing,
        max_records=3, go_on=lambda: happened.append("held up"),
    )  # fmt: skip
    assert happened == ["held up", "read 0@4..7", "step 0@4..7", "held up", "read 0@7..9", "step 0@7..9"]
