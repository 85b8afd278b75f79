"""Seeds of torture on the real stack: nothing lost, nothing doubled, no answer wrong. For make test-long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail.torture import soak
from dovetail.torture.actions import planned
from dovetail.torture.run import play

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1800)]

SEEDS = 12
ACTIONS = 50


@pytest.mark.parametrize("seed", range(SEEDS))
def test_fifty_actions_of_a_seed_lose_nothing_and_double_nothing(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    outcome = play(planned(seed, ACTIONS), tmp_path / "run")
    for name in ("acknowledged", "answers", "refused", "seconds", "recoveries", "proof"):  # for pytest --junit-xml
        record_property(name, str(getattr(outcome, name)))  # plain, or no worker can hand it on
    assert not outcome.failure, f"dovetail torture --seed {seed} --actions {len(outcome.done)}\n{outcome.failure}"
    assert outcome.proof.startswith("0 lost, 0 doubled")
    assert outcome.answers > 0
    assert outcome.recoveries


def test_two_minutes_of_load_with_a_kill_give_no_wrong_answer(tmp_path: Path) -> None:
    figures = soak.run(tmp_path / "run", minutes=2, seed=1)
    assert not figures.failure
    assert figures.proof.startswith("0 lost, 0 doubled")
    assert min(figures.answers[view] for view in soak.QUESTIONS) > 100
    assert figures.recoveries
