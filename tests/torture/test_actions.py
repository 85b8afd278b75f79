"""The plan of a torture: pure, the same for a seed, and written so that it can be played again."""

from __future__ import annotations

from collections import Counter

import pytest

from dovetail.shared.errors import UsageError
from dovetail.torture.actions import (
    Action,
    Batch,
    Clock,
    Full,
    Kill,
    Partition,
    Pause,
    Produce,
    Tear,
    parsed,
    planned,
    read,
    written,
)


def test_a_seed_gives_the_same_actions_and_another_one_others() -> None:
    assert planned(7, 200) == planned(7, 200)
    assert planned(7, 200) != planned(8, 200)


def test_fewer_actions_of_a_seed_are_the_first_of_more() -> None:
    assert planned(7, 20) == planned(7, 200)[:20]


def test_every_kind_of_action_comes_and_most_do_harm_while_records_flow() -> None:
    kinds = Counter(type(action) for action in planned(1, 2_000))
    assert set(kinds) == set(Action.__subclasses__())
    assert kinds[Produce] > kinds[Kill] > kinds[Pause] > kinds[Partition] > 0


def test_every_target_and_every_kind_of_record_comes() -> None:
    actions = planned(1, 2_000)
    assert {a.what for a in actions if isinstance(a, Kill)} == {
        "archive", "speed", "serve", "broker", "archive-jvm", "speed-jvm",
    }  # fmt: skip
    assert {a.kind for a in actions if isinstance(a, Produce)} == {
        "ordered", "late", "repeated", "poison", "large", "committed", "aborted", "skewed",
    }  # fmt: skip
    assert {a.what for a in actions if isinstance(a, Full)} == {"archive", "speed", "broker"}
    assert {a.hours > 0 for a in actions if isinstance(a, Clock)} == {True, False}
    assert {a.what for a in actions if isinstance(a, Tear)} == {"seen", "checkpoint", "manifest"}
    assert {(a.full, a.killed > 0) for a in actions if isinstance(a, Batch)} == {
        (True, True), (True, False), (False, True), (False, False),
    }  # fmt: skip


def test_a_list_that_is_written_reads_as_the_same_actions() -> None:
    actions = planned(3, 300)
    assert read("# seed 3\n\n" + written(actions)) == actions


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kil what=speed", "unknown action 'kil': did you mean 'kill'?"),
        ("kill what=speed", "'kill what=speed' must give what=… after=… seed=… after kill"),
        ("settle now=1", "'settle now=1' must give nothing after settle"),
        ("kill what=spede after=1 seed=2", "spede is none of archive, speed, serve"),
        ("pause what=speed seconds=long seed=2", "cannot be read: could not convert string to float: 'long'"),
        ("batch view=ids full=yes killed=0", "yes is neither True nor False"),
    ],
)
def test_a_line_that_tells_no_action_is_refused_with_what_it_should_be(line: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(line)
    assert says in str(refused.value)
