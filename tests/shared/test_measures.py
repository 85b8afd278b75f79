"""The laws of measures, on Python values and on DuckDB; the Spark side is in test_fold.py."""

import math
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.shared.measures import avg, count, max_, measure_from_json, min_, sum_

INTS = st.lists(st.none() | st.integers(-(2**40), 2**40))
DECIMALS = st.lists(st.none() | st.decimals(-(10**12), 10**12, places=2))
DOUBLES = st.lists(st.none() | st.floats(allow_infinity=False, width=64) | st.just(math.nan))
EXACT = [count(), sum_("x"), min_("x"), max_("x")]


@pytest.mark.parametrize("measure", EXACT, ids=lambda m: m.name)
@given(values=INTS, more=INTS, rest=INTS)
def test_merging_is_associative_commutative_and_leaves_out_the_empty_state(measure, values, more, rest):
    merge = measure.states[0].kind.merge_values
    a, b, c = merge(values), merge(more), merge(rest)
    assert merge([merge([a, b]), c]) == merge([a, merge([b, c])]) == merge([c, b, a])
    assert merge([a, None]) == a


@pytest.mark.parametrize("measure", EXACT[1:], ids=lambda m: m.name)
@given(values=DECIMALS)
def test_duckdb_and_python_merge_decimals_alike_to_the_last_digit(measure, values):
    state = measure.states[0]
    states = pa.table({state.column: pa.array(values, pa.decimal128(38, 2))})  # noqa: F841  duckdb finds it by name
    merged = duckdb.sql(f"SELECT {state.kind.merge(state.column)} FROM states").fetchall()[0][0]
    assert state.kind.merge_values(values) == merged


@pytest.mark.parametrize("measure", [min_("x"), max_("x")], ids=lambda m: m.name)
@given(values=DOUBLES)
def test_duckdb_and_python_agree_where_nan_stands(measure, values):
    state = measure.states[0]
    states = pa.table({state.column: pa.array(values, pa.float64(), from_pandas=False)})  # noqa: F841
    merged = duckdb.sql(f"SELECT {state.kind.merge(state.column)} FROM states").fetchall()[0][0]
    ours = state.kind.merge_values(values)
    assert ours == merged or (math.isnan(ours) and math.isnan(merged))


def test_the_sum_of_long_decimals_keeps_every_digit():
    values = [Decimal("99999999999999999999999999999999.99"), Decimal("0.01")]
    assert sum_("x").states[0].kind.merge_values(values) == Decimal("100000000000000000000000000000000.00")


def test_a_mean_of_decimals_is_rounded_half_up_four_digits_further():
    mean = avg("x")
    presented = mean.presenter.present(
        pa.array([Decimal("2.00"), None], pa.decimal128(38, 2)), pa.array([3, 0], pa.int64())
    )
    assert presented.to_pylist() == [Decimal("0.666667"), None]
    assert presented.type == mean.presenter.result_type(pa.decimal128(38, 2), pa.int64()) == pa.decimal128(38, 6)


def test_a_mean_of_integers_is_a_double():
    assert avg("x").presenter.present(pa.array([1], pa.int64()), pa.array([4], pa.int64())).to_pylist() == [0.25]


def test_measures_that_need_the_same_state_share_its_column():
    assert sum_("x").states[0].column == avg("x").states[0].column
    assert sum_("x").states[0].column != sum_("x", where="y > 1").states[0].column


@pytest.mark.parametrize("measure", [*EXACT, avg("x", where="y > 1"), count(where="z")], ids=str)
def test_a_stored_measure_is_read_back_the_same(measure):
    assert measure_from_json(measure.as_json()) == measure
