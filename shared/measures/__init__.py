"""Measures: aggregates that are prepared into mergeable states, merged, and presented as answers."""

from dovetail.shared.measures.base import Measure, State
from dovetail.shared.measures.numeric import avg, count, max_, min_, sum_

__all__ = ["Measure", "State", "avg", "count", "max_", "min_", "sum_"]
