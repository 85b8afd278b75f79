"""Dovetail: declare a view once; batch, speed and serving keep it exact. `import dovetail as dv`."""

from typing import Any

from dovetail.shared.declare import Json, Source, View, json, source, view
from dovetail.shared.errors import DeclarationError, DovetailError
from dovetail.shared.measures import Measure, avg, count
from dovetail.shared.measures import max_ as max
from dovetail.shared.measures import min_ as min
from dovetail.shared.measures import sum_ as sum

__version__ = "0.1.0"
__all__ = [
    "DovetailError",
    "Json",
    "Measure",
    "Source",
    "View",
    "avg",
    "count",
    "json",
    "max",
    "min",
    "source",
    "sum",
    "view",
]

_LATER = frozenset(
    "variance stddev first last top_k histogram set collect_set ratio approx_distinct approx_quantiles approx_top_k "
    "any_value bool_or bool_and measure dimension rule mask avro protobuf csv transforms gate push".split()
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        raise DeclarationError(f"dv.{name} is not there yet: it comes with a later release")
    raise AttributeError(f"module 'dovetail' has no attribute '{name}'")
