"""In which order somebody is forgotten."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.batch import forget


def test_trino_follows_each_view_before_what_it_read_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    done, no_places = list[str](), SimpleNamespace(num_rows=0)
    for name in (
        "_refuse_dimensions",
        "_refuse_bundles",
        "_refuse_imports",
        "_listed",
        "_blank",
        "_clean",
        "_searched",
    ):
        monkeypatch.setattr(forget.Forgetting, name, lambda *_, **__: None)
    for name in ("_compute", "_let_go"):
        monkeypatch.setattr(forget.Forgetting, name, lambda _, view, *__, name=name: done.append(f"{name} {view}"))
    monkeypatch.setattr(forget.Forgetting, "_views", lambda _: ["sales", "totals"])
    monkeypatch.setattr(forget.Forgetting, "_versions", lambda _: ["sales@1", "totals@1"])
    monkeypatch.setattr(forget.Forgetting, "_tables", lambda _: [])
    monkeypatch.setattr(forget, "alone", lambda *_: nullcontext((None, None)))
    monkeypatch.setattr(forget, "delete_orphans", lambda *_: None)
    monkeypatch.setattr(forget, "needle", lambda *_: None)
    monkeypatch.setattr(forget, "places_of", lambda *_: no_places)
    monkeypatch.setattr(forget.trino, "follow", lambda _, view: done.append(f"trino {view}"))
    project: Any = SimpleNamespace(layout=None, settings=None)
    source: Any = SimpleNamespace(name="orders", subject="customer")
    forget.Forgetting(project, source, ["a"], None).run(readers=0)  # type: ignore[arg-type]
    assert done == [
        "_compute sales", "trino sales", "_compute totals", "trino totals", "_let_go sales", "_let_go totals",
    ]  # fmt: skip
