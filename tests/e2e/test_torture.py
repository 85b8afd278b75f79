"""One seed of torture on the real stack, ten kills of everything that can be killed; more in test_torture_long.py."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from dovetail.torture.actions import Kill, Target, planned
from dovetail.torture.run import play

pytestmark = [pytest.mark.java, pytest.mark.timeout(600)]

SEED, ACTIONS = 3393, 21
"""The shortest of some thousand seeds in which everything is killed."""


def test_ten_kills_of_all_that_can_be_killed_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    actions = planned(SEED, ACTIONS)
    killed = [action.what for action in actions if isinstance(action, Kill)]
    assert len(killed) == 10
    assert {*killed} == {*get_args(Target)}
    outcome = play(actions, tmp_path / "run")
    assert not outcome.failure, f"dovetail torture --seed {SEED} --actions {ACTIONS}\n{outcome.failure}"
    assert outcome.proof.startswith("0 lost, 0 doubled")
    assert outcome.answers > 0
    assert outcome.recoveries
