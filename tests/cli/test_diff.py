"""What `dovetail diff` prints of groups that differ."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.batch.diff import Diff, Groups, Measured
from dovetail.shared.ledger import VersionId
from dovetail.shared.position import Position

from .conftest import VIEWS, Run

WORST = ({"country": "FR", "before": 1, "after": 2},)
FOUND = Diff(
    VersionId("sales@1"), VersionId("sales@2"), 0, Position({0: 1}), ("country",),
    Groups(1, 0, 0, (Measured("lines", 1, 1, 2, WORST),)), (), (),
)  # fmt: skip


def test_a_group_is_named_without_what_is_sensitive(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "views.py").write_text(VIEWS.replace("topic=", 'sensitive={"country": dv.mask.hash()}, topic='))
    monkeypatch.setattr("dovetail.batch.diff.diff", lambda *_, **__: FOUND)
    monkeypatch.setattr("dovetail.batch.change.to_promote", lambda *_: ())
    monkeypatch.setattr("dovetail.cli.change.start_spark", lambda *_, **__: None)
    monkeypatch.setattr("dovetail.cli.change._manifest", lambda *_: SimpleNamespace(runs=()))
    said = run("diff", "sales", "--samples", "0")
    assert (said.code, "FR" in said.out) == (1, False)
    assert "  lines  country=***: 1 before, 2 after\n" in said.out
    document: Any = run("diff", "sales", "--samples", "0", "--json").document
    assert document["measures"][0]["worst"] == [{"country": "***", "before": 1, "after": 2}]
