"""Dovetail: declare a view once; batch, speed and serving keep it exact. `import dovetail as dv`."""

from typing import TYPE_CHECKING, Any

from dovetail.shared import feed, mask, transforms
from dovetail.shared.changes import Changes, changes
from dovetail.shared.declare import Json, Source, View, json, source, view
from dovetail.shared.dimensions import Dimension, dimension
from dovetail.shared.errors import DovetailError
from dovetail.shared.formats import Avro, Csv, Protobuf, avro, csv, protobuf
from dovetail.shared.gates import Gate, gate
from dovetail.shared.measures import (
    Measure,
    any_value,
    approx_distinct,
    approx_quantiles,
    approx_top_k,
    avg,
    bool_and,
    bool_or,
    collect_set,
    count,
    first,
    geometric_mean,
    histogram,
    last,
    measure,
    ratio,
    stddev,
    top_k,
    variance,
)
from dovetail.shared.measures import max_ as max
from dovetail.shared.measures import min_ as min
from dovetail.shared.measures import sum_ as sum
from dovetail.shared.push import Push, push, topic, webhook
from dovetail.shared.rules import CommitRule, Rule, rule

if TYPE_CHECKING:
    from dovetail.client import connect, connect_async

__version__ = "0.1.0"
__all__ = [
    "Avro",
    "Changes",
    "CommitRule",
    "Csv",
    "Dimension",
    "DovetailError",
    "Gate",
    "Json",
    "Measure",
    "Protobuf",
    "Push",
    "Rule",
    "Source",
    "View",
    "any_value",
    "approx_distinct",
    "approx_quantiles",
    "approx_top_k",
    "avg",
    "avro",
    "bool_and",
    "bool_or",
    "changes",
    "collect_set",
    "connect",
    "connect_async",
    "count",
    "csv",
    "dimension",
    "feed",
    "first",
    "gate",
    "geometric_mean",
    "histogram",
    "json",
    "last",
    "mask",
    "max",
    "measure",
    "min",
    "protobuf",
    "push",
    "ratio",
    "rule",
    "source",
    "stddev",
    "sum",
    "top_k",
    "topic",
    "transforms",
    "variance",
    "view",
    "webhook",
]

_OF_CLIENT = frozenset({"connect", "connect_async"})
"""What loads the client, with HTTP and Arrow, only once it is used."""


def __getattr__(name: str) -> Any:
    if name in _OF_CLIENT:
        from dovetail import client

        return getattr(client, name)
    raise AttributeError(f"module 'dovetail' has no attribute '{name}'")
