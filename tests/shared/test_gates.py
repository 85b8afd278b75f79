"""What a view's gates may be, and how long what one held back is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dovetail as dv
from dovetail.shared import gates
from dovetail.shared import manifest as rules
from dovetail.shared.errors import DeclarationError
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout
from dovetail.shared.versions import version_of

LINES = dv.source("lines", schema="country string, n int")
HELD = gates.Held("lines 10 → 1", "dovetail batch sales")
ANSWERING = rules.first("sales", (Run(ORIGIN, VersionId("sales@1"), -1, 1, Range(Position(), Position())),), "")


def view(*promote_if: Any) -> dv.View:
    return dv.view("sales", source=LINES, keys=["country"], measures={"lines": dv.count()}, promote_if=promote_if)


def test_a_gate_judges_the_whole_or_each_group() -> None:
    whole, each = dv.gate("lines", within="30%"), dv.gate("lines", within="0%", groups="5%")
    assert view(whole, each).promote_if == (whole, each)
    assert (whole.within, whole.groups, each.within, each.groups) == (0.3, None, 0.0, 0.05)


def test_gates_are_no_part_of_a_version() -> None:
    project = Path(__file__).parent
    assert version_of(view(dv.gate("lines", within="30%")), project) == version_of(view(), project)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"within": "30"}, "within='30' is not a percentage"),
        ({"within": 0.3}, "within=0.3 is not a percentage"),
        ({"within": "-1%"}, "within='-1%' is not a percentage"),
        ({"within": "1%", "groups": "101%"}, "groups='101%' is not a percentage"),
        ({"within": "1%", "groups": "some"}, "groups='some' is not a percentage"),
    ],
)
def test_a_percentage_that_cannot_be_read_is_refused_at_its_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says) as refused:
        dv.gate("lines", **given)
    assert refused.value.where.startswith("test_gates.py:")


def test_a_gate_is_of_a_measure_of_its_view() -> None:
    with pytest.raises(DeclarationError, match="unknown measure 'line': did you mean 'lines'") as refused:
        view(dv.gate("line", within="1%"))
    assert refused.value.where.startswith("test_gates.py:")


def test_what_is_no_gate_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"promote_if holds 'lines', not a dv.gate"):
        view("lines")
    one: Any = dv.gate("lines", within="1%")
    with pytest.raises(DeclarationError, match="promote_if must be a list"):
        dv.view("sales", source=LINES, measures={"lines": dv.count()}, promote_if=one)


def test_what_is_held_back_is_told_until_something_else_answers(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert gates.held_back(layout, ANSWERING) is None
    gates.hold(layout, ANSWERING, HELD)
    assert gates.held_back(layout, rules.pruned(ANSWERING)) == HELD
    assert gates.held_back(layout, replace(ANSWERING, generation=1)) is None
