"""The shop, exact from its first record: archive, a batch with no speed job yet, then the stream."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_system import System
from shop_truth import SHOP

from dovetail.shared.log import Log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.timeout(400)]


@pytest.fixture
def shop(log: Log, tmp_path: Path) -> Iterator[System]:
    with System.create(SHOP, tmp_path / "shop", log, topic="shop.order-lines.test", partitions=2) as system:
        yield system


def test_order_lines_late_future_dated_and_broken_are_exact_in_batch_in_speed_and_together(
    shop: System, spark: SparkSession
) -> None:
    feed = order_lines()
    shop.topic.send(islice(feed, 600))
    shop.archive_here(spark)
    shop.batch(spark)  # no speed job ever ran: this commits too what it archives
    shop.serve()
    shop.exact()
    shop.topic.send(islice(feed, 400))
    shop.speed_here(spark)
    shop.exact()
    broken = sum(r.kind == "broken" for r in shop.topic.sent.values())
    assert shop.ask("sales", measures="lines")["receipt"]["quarantined"] == broken > 5


def order_lines() -> Iterator[Any]:
    """The example's own generator, with more trouble than it makes by itself."""
    generator = importlib.import_module("generator")
    trouble = generator.Trouble(late=0.15, future=0.05, out_of_order=0.1, broken=0.02, repeated=0.02)
    records: Iterator[Any] = generator.records(
        seed=11, start=datetime(2026, 3, 29, 12, tzinfo=UTC), rate=20, trouble=trouble
    )
    return records
