"""Records that make a view's transform or a measure raise: found one by one, so that all others count (rule 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from dovetail.shared.decode import KEPT_APART, POSITION
from dovetail.shared.engine import arrow, hush
from dovetail.shared.ledger import VersionFails, VersionId, view_of
from dovetail.shared.measures.signed import NO_SIGN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

T = TypeVar("T")

MOST = 100
"""Records of one commit that are looked for one by one; a version that fails for more of them is at fault itself."""


class NotAlone(Exception):
    """What fails does so only together, or is too much to be told apart."""


def sparing(
    rows: DataFrame,
    version: VersionId,
    attempt: Callable[[DataFrame], T],
    *,
    first: DataFrame | None = None,
    whole: DataFrame | None = None,
    most: int = MOST,
) -> tuple[T, pa.Table | None]:
    """What `attempt` makes of the rows; of all but the records it raises for, which are given with it.

    Args:
        rows: the result of `decode`.
        attempt: has to look at every column of what it makes, so that nothing raises later.
        first: the same rows as they are tried first, where that is another frame.
        whole: the same rows with their bytes, where `rows` has none.
        most: as of `culprits`.

    Returns:
        and the records left out: version, partition, offset, timestamp, key, value, reason; None where there are none.

    Raises:
        VersionFails: what it raises comes of the data, and not of a few records.
    """
    try:
        return attempt(rows if first is None else first), None
    except Exception as error:
        if not said(error):
            raise
        return _isolated(rows, rows if whole is None else whole, version, attempt, error, most=most)


def culprits(n: int, raised: Callable[[int, int], str], *, most: int = MOST) -> dict[int, str]:
    """Which of `n` things, known to fail together, fail alone, and how.

    Args:
        raised: why those from the one index up to the other fail together; nothing where they do not.

    Raises:
        NotAlone: none is at fault alone, or more than `most` are.

    >>> culprits(8, lambda low, high: "three" if low <= 3 < high else "")
    {3: 'three'}
    """
    found: dict[int, str] = {}
    doubtful = [(0, n)]
    while doubtful:
        low, high = doubtful.pop()
        middle = (low + high) // 2
        halves = [(a, b, raised(a, b)) for a, b in ((low, middle), (middle, high)) if b > a]
        failing = [(a, b, why) for a, b, why in halves if why]
        if not failing or len(found) + len(failing) > most:
            raise NotAlone
        found |= {a: why for a, b, why in failing if b - a == 1}
        doubtful += [(a, b) for a, b, _ in failing if b - a > 1]
    return found


def _isolated(
    rows: DataFrame,
    whole: DataFrame,
    version: VersionId,
    attempt: Callable[[DataFrame], T],
    error: Exception,
    *,
    most: int,
) -> tuple[T, pa.Table | None]:
    hush()
    rows = rows.persist()
    try:
        places = arrow(rows.select(*POSITION)).sort_by([(c, "ascending") for c in POSITION])
        partition, offset = (places[c].to_numpy() for c in POSITION)

        def raised(low: int, high: int) -> str:
            try:
                attempt(rows.where(_at(partition[low:high], offset[low:high])))
            except Exception as again:
                if not said(again):
                    raise
                return said(again)
            return ""

        found = culprits(len(places), raised, most=most)
        chosen = [*found]
        there = " OR ".join(_at(partition[i : i + 1], offset[i : i + 1]) for i in chosen)
        result = attempt(rows.where(f"NOT ({there})"))
        reasons = {(int(partition[i]), int(offset[i])): f"{view_of(version)} raised {found[i]}" for i in chosen}
        return result, _records(whole.where(there), version, reasons)
    except Exception as again:
        if isinstance(again, NotAlone) or said(again):
            raise VersionFails(version, said(error)) from error
        raise
    finally:
        rows.unpersist()


def said(error: Exception) -> str:
    """What the data made the engine or a user's function raise, without the data; empty for any other error.

    That is a named condition. One that comes before anything is run is of the plan, one without a name of the machine.
    """
    from pyspark.errors import AnalysisException, PySparkException

    if not isinstance(error, PySparkException) or isinstance(error, AnalysisException):
        return ""
    condition = error.getCondition()
    if condition == "PYTHON_EXCEPTION":
        last = [line for line in str(error).splitlines() if line and not line.startswith((" ", "\t"))][-1]
        return last.partition(":")[0]
    if condition == "USER_RAISED_EXCEPTION" and NO_SIGN in str(error):
        return NO_SIGN
    return condition or ""


def _at(partition: np.ndarray, offset: np.ndarray) -> str:
    """SQL: the record is one of these, which are in order and next to each other."""
    spans = [(p, offset[partition == p]) for p in np.unique(partition)]
    return " OR ".join(f"(_partition = {p} AND _offset BETWEEN {o[0]} AND {o[-1]})" for p, o in spans) or "false"


def _records(rows: DataFrame, version: VersionId, reasons: dict[tuple[int, int], str]) -> pa.Table:
    found = arrow(rows.selectExpr(*KEPT_APART))
    places = zip(found["partition"].to_pylist(), found["offset"].to_pylist(), strict=True)
    told = pa.array([reasons[place] for place in places], pa.string())
    return found.append_column("reason", told).append_column("version", pa.repeat(pa.scalar(version), len(found)))
