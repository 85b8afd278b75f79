"""What the views count, on a handful of positions, and the laws that their measures keep."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from dovetail.testing import answer, check_measure
from pyspark.sql import Row, SparkSession

from transforms import with_eta
from views import couriers, eta, positions

AT = datetime(2026, 3, 2, 11, tzinfo=UTC).replace(tzinfo=None)


def position(**given: Any) -> dict[str, Any]:
    """One position, of what is given and what does not matter."""
    plain = {"courier": "c1", "at": AT, "lat": Decimal("48.8"), "lon": Decimal("2.3"), "speed": 120}
    return {**plain, "order_number": 7, "zone": "N1", "metres_left": 600, **given}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 300),
        ({"speed": 0}, 600),
        ({"metres_left": 0}, 0),
        ({"metres_left": 601}, 300),
        ({"order_number": None}, None),
        ({"speed": None}, 600),
    ],
)
def test_an_order_is_there_after_its_metres_at_the_speed_of_now(
    spark: SparkSession, given: dict[str, Any], seconds: int | None
) -> None:
    rows = spark.createDataFrame([Row(**position(**given))], positions.schema)
    assert [row.eta_seconds for row in with_eta(rows).collect()] == [seconds]


def test_the_wait_of_a_zone_is_the_average_of_its_orders(spark: SparkSession) -> None:
    rows = [{"eta_seconds": seconds} for seconds in (300, 600, None, 90)]
    assert check_measure(eta.measures["average"], rows, schema="eta_seconds int", spark=spark) == pytest.approx(330)


def test_a_late_position_does_not_move_a_courier_back(spark: SparkSession) -> None:
    now, before = position(lat=Decimal("48.9")), position(at=AT.replace(hour=10))
    assert answer(couriers.measures["lat"], [now, before], schema=positions.schema, spark=spark) == Decimal("48.9")
