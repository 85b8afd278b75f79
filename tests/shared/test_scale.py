"""The benchmark of the protocol's tables runs, at a tiny size, and its ledgers are ones that readers take."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import scale
from bench.ledgers import grown
from bench.scale import Size, run
from dovetail.shared.ledger_table import DeltaLedger

TINY = Size((1, 3), ((3, 1), (3, 2)), 10, (2,), (1,), ((1, 3), (3, 3)), (1,), (1,))


def test_each_part_gives_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "TIMES", 2)
    rows = run(tmp_path, TINY)
    assert len({row["what"] for row in rows}) == 19
    assert all(row["ms"] >= 0 for row in rows)
    assert not [*tmp_path.iterdir()]


def test_a_grown_ledger_is_whole(tmp_path: Path) -> None:
    assert len(grown(tmp_path / "ledger", 102, 2).rows()) == len(DeltaLedger(tmp_path / "ledger").rows()) == 102
