"""What the last recount found is kept for whoever asks next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dovetail.shared import proofs
from dovetail.shared.proofs import Proved
from dovetail.shared.tables import Layout

FOUND = Proved(seq=812, at=1_790_000_000.0, sample=0.01, lost=0, doubled=0, holds=True)


def test_the_last_recount_is_the_one_that_is_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert proofs.last(layout, "orders") is None
    for found in (FOUND, replace(FOUND, seq=900, lost=2, holds=False)):
        proofs.keep(layout, "orders", found)
        assert proofs.last(layout, "orders") == found
    assert proofs.last(layout, "others") is None
    assert [file.name for file in layout.proof("orders").parent.iterdir()] == ["proof.json"]


def test_what_is_torn_or_of_another_dovetail_is_as_if_there_were_none(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    proofs.keep(layout, "orders", FOUND)
    whole = layout.proof("orders").read_text()
    for text in ("", whole[:-1], "[1]", '{"seq": 1}'):
        layout.proof("orders").write_text(text)
        assert proofs.last(layout, "orders") is None
    layout.proof("orders").write_text(whole.replace("}", ', "engine": "another"}'))
    assert proofs.last(layout, "orders") == FOUND
