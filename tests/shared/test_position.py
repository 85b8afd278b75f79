"""Positions and ranges: exclusive ends, partitions that are not named, and nothing that runs backwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.shared.errors import IntegrityError, QueryError
from dovetail.shared.position import Position, Range, RecordId

positions = st.dictionaries(st.integers(0, 4), st.integers(0, 6)).map(Position)
places = st.tuples(st.integers(0, 4), st.integers(0, 6))


@given(positions, places)
def test_a_position_includes_what_lies_below_its_offset(position, place):
    partition, offset = place
    assert position.includes(partition, offset) == (offset < position[partition])


@given(positions, positions)
def test_to_reach_is_to_include_all_that_the_other_includes(one, other):
    everything = [(p, o) for p in range(5) for o in range(7)]
    assert one.reaches(other) == all(one.includes(*x) for x in everything if other.includes(*x))


@given(positions, positions, places)
def test_the_lower_of_two_includes_what_both_include(one, other, place):
    assert one.up_to(other).includes(*place) == (one.includes(*place) and other.includes(*place))


@given(positions)
def test_a_partition_that_is_not_named_stands_at_zero(position):
    named = position.with_partitions({7, 8})
    assert (named, hash(named)) == (position, hash(position))
    assert set(named) == {*position, 7, 8}


@given(positions)
def test_a_position_survives_json(position):
    again = Position.from_json(position.as_json())
    assert (again, list(again)) == (position, list(position))


@given(positions, positions, places)
def test_the_ranges_on_both_sides_of_a_cut_hold_each_record_once(one, other, place):
    end = Position({p: max(one[p], other[p]) for p in {*one, *other}})
    below, above, whole = Range(Position(), one), Range(one, end), Range(Position(), end)
    assert below.includes(*place) + above.includes(*place) == whole.includes(*place)


@given(positions, positions)
def test_a_range_lists_its_partitions_or_is_empty(one, other):
    end = Position({p: max(one[p], other[p]) for p in {*one, *other}})
    span = Range(one, end)
    assert sum(b - a for _, a, b in span.partitions()) == sum(end.values()) - sum(one[p] for p in end)
    assert span.empty == (not span.partitions())


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(IntegrityError, match="backwards"):
        Range(Position({0: 5, 1: 1}), Position({0: 9}))


def test_a_negative_offset_is_refused():
    with pytest.raises(IntegrityError, match="negative"):
        Position({0: -1})


@pytest.mark.parametrize("text", ["2", "2@", "@3", "2@-1", "2@3 ", "a@3", "2@3@4", "1234567890@1"])
def test_a_record_id_is_written_partition_at_offset(text):
    with pytest.raises(QueryError, match="partition@offset"):
        RecordId.parse(text)


def test_a_record_id_reads_back_what_it_writes():
    assert str(RecordId.parse("2@3141")) == "2@3141"
