"""The seam to runs that are too large to be held here: what one question needs of them is fetched for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from dovetail.serving.query import Plan
from dovetail.serving.shape import Shape

FETCHED = "_fetched"
"""What it is called in the transaction of the question. No key begins with an underscore."""


class Elsewhere(Protocol):
    """Where runs are asked. Tables are named as an edition names its runs."""

    def rows(self, shape: Shape, plan: Plan, tables: Sequence[str]) -> pa.Table:
        """Rows of which, with those of speed, the plan comes to what it would with the runs themselves.

        Columns are those of `shape.columns`, as held in memory; of states those of the plan.
        """

    def keys(self, shape: Shape, key: str, table: str) -> pa.Table:
        """The values of a key in a run, each once."""
