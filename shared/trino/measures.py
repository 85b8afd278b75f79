"""A measure in Trino's SQL: how its states merge, what they are presented as, and what of it SQL cannot say."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from dovetail.shared.measures import Measure, StateKind
from dovetail.shared.measures.moments import Moments
from dovetail.shared.measures.numeric import Count, Max, Min, Sum
from dovetail.shared.measures.ordered import First, Last
from dovetail.shared.trino.names import quoted

Types = Mapping[str, pa.DataType]
PLAIN = ("sum", "min", "max", "any_value", "bool_or", "bool_and", "first", "last")
SKETCHES = ("approx_distinct", "approx_quantiles", "approx_top_k")
LISTS = ("top_k", "collect_set", "histogram")


class NotInSql(Exception):
    """Why a measure is not offered."""


def merged(kind: StateKind, column: str, stored: pa.DataType) -> str:
    """The aggregate that merges a column of states; raises NotInSql."""
    name = quoted(column)
    match kind:
        case First() | Last():
            if pa.types.is_timestamp(stored.field("by").type):
                raise NotInSql("it goes by time, and Trino reads times to the millisecond: ties would be decided anew")
            which = "min_by" if isinstance(kind, First) else "max_by"
            place = ", ".join(f'{name}."{field}"' for field in ("by", "partition", "offset"))
            return f'{which}({name}."value", ROW({place})) FILTER (WHERE {name} IS NOT NULL)'
        case Count() | Sum():
            return f"sum({name})"
        case Min() | Max():
            return f"{kind.name}({name})"
        case Moments():
            return _moments(name)
    raise NotInSql("SQL cannot merge its states")


def offered(name: str, measure: Measure, stored: Types) -> tuple[dict[str, str], dict[str, str]]:
    """The columns of a measure, each an expression over merged states, and by name why what is missing is.

    Beside the measure stand the parts that a coarser answer of it is made of, as in `price__sum` and `price__count`.
    """
    columns, left = dict[str, str](), dict[str, str]()
    try:
        columns[name] = presented(measure, stored)
        parts = _parts(measure, stored)
    except NotInSql as reason:
        left[name] = str(reason)
        inner = dict(measure.inner) if measure.name == "measure" and not measure.sign else {}
        for part, one in inner.items():
            found, missing = offered(f"{name}__{part}", one, stored)
            columns, left = columns | found, left | missing
        return columns, left
    return columns | {f"{name}__{part}": sql for part, sql in parts.items()}, left


def presented(measure: Measure, stored: Types) -> str:
    """What the merged states of a measure come to; raises NotInSql."""
    if measure.sign:
        raise NotInSql("some of its rows take others back")
    if measure.name in SKETCHES:
        raise NotInSql("its states are sketches, which SQL cannot merge")
    if measure.name in LISTS:
        raise NotInSql("it is a list")
    if measure.name == "measure":
        raise NotInSql("a function of yours presents it: what it is made of is offered")
    for state in measure.states:
        merged(state.kind, state.column, stored[state.column])
    columns = [state.column for state in measure.states]
    states = [_neutral(state.kind, f"m.{quoted(state.column)}") for state in measure.states]
    match measure.name:
        case "count":
            return states[0]
        case name if name in PLAIN:
            return states[0]
        case "avg":
            return _mean(states[0], states[1], stored[columns[0]])
        case "geometric_mean":
            return f"exp({states[0]} / nullif(CAST({states[1]} AS double), 0))"
        case "variance" | "stddev" as name:
            variance = _variance(states[0], bool(measure.options.get("population")))
            return f"sqrt({variance})" if name == "stddev" else variance
        case "ratio":
            over, under = (f"CAST({presented(m, stored)} AS double)" for _, m in measure.inner)
            return f"{over} / nullif({under}, 0)"
    raise NotInSql(f"{measure.name} has no form in SQL")


def _parts(measure: Measure, stored: Types) -> dict[str, str]:
    states = [_neutral(state.kind, f"m.{quoted(state.column)}") for state in measure.states]
    match measure.name:
        case "avg":
            return dict(zip(("sum", "count"), states, strict=True))
        case "variance" | "stddev":
            return {part: f"{states[0]}.{field}" for part, field in (("count", "n"), ("mean", "mean"), ("m2", "m2"))}
        case "ratio":
            return {part: presented(m, stored) for part, m in measure.inner}
    return {}


def _neutral(kind: StateKind, column: str) -> str:
    return f"coalesce({column}, 0)" if isinstance(kind, Count) else column


def _mean(total: str, n: str, stored: pa.DataType) -> str:
    if pa.types.is_decimal(stored):  # as Spark's avg: four places more, rounded half up
        return f"CAST({total} AS decimal(38,{min(stored.scale + 4, 38)})) / nullif({n}, 0)"
    return f"CAST({total} AS double) / nullif({n}, 0)"


def _variance(state: str, population: bool) -> str:
    free = f"{state}.n" if population else f"({state}.n - 1)"
    return f"{state}.m2 / IF({free} > 0, CAST({free} AS double))"


def _moments(name: str) -> str:
    n, delta = "(l.n + r.n)", "(r.mean - l.mean)"
    mean, m2 = f"l.mean + {delta} * r.n / {n}", f"l.m2 + r.m2 + {delta} * {delta} * l.n * r.n / {n}"
    row = "ROW(n bigint, mean double, m2 double)"
    step = f"(l, r) -> IF(l IS NULL, CAST(r AS {row}), CAST(ROW({n}, {mean}, {m2}) AS {row}))"
    states = f"array_agg({name} ORDER BY {name}) FILTER (WHERE {name} IS NOT NULL)"
    return f"reduce({states}, CAST(NULL AS {row}), {step}, s -> s)"
