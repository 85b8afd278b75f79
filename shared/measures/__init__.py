"""Measures: aggregates that are prepared into mergeable states, merged, and presented as answers."""

from dovetail.shared.measures.base import GatheredKind, Measure, Presenter, State, StateKind, measure_from_json
from dovetail.shared.measures.composed import histogram, measure, ratio
from dovetail.shared.measures.distinct import approx_distinct
from dovetail.shared.measures.frequent import approx_top_k
from dovetail.shared.measures.geometric_mean import geometric_mean
from dovetail.shared.measures.moments import stddev, variance
from dovetail.shared.measures.numeric import avg, count, max_, min_, sum_
from dovetail.shared.measures.ordered import any_value, first, last, top_k
from dovetail.shared.measures.quantiles import approx_quantiles
from dovetail.shared.measures.sets import bool_and, bool_or, collect_set

__all__ = [
    "GatheredKind",
    "Measure",
    "Presenter",
    "State",
    "StateKind",
    "any_value",
    "approx_distinct",
    "approx_quantiles",
    "approx_top_k",
    "avg",
    "bool_and",
    "bool_or",
    "collect_set",
    "count",
    "first",
    "geometric_mean",
    "histogram",
    "last",
    "max_",
    "measure",
    "measure_from_json",
    "min_",
    "ratio",
    "stddev",
    "sum_",
    "top_k",
    "variance",
]
