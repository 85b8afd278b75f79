"""What the tests of transforms share: small tables, and the refusal of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dovetail.shared.errors import UserCodeError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Table = Callable[..., "DataFrame"]


@pytest.fixture
def table(spark: SparkSession) -> Table:
    """`table("id int, name string", (1, "a"), …)`."""
    return lambda schema, *rows: spark.createDataFrame(list(rows), schema)


def refusal(step: Callable[[DataFrame], DataFrame], rows: DataFrame) -> str:
    """What a step says to rows that it does not fit, having said whose line it is."""
    with pytest.raises(UserCodeError) as caught:
        _ = step(rows).schema
    assert caught.value.where.startswith("test_"), caught.value.where
    return caught.value.what
