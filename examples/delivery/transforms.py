"""What becomes of a position before it counts: pure functions, row by row."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

SLOWEST = 60
"""Metres a minute: who stands at a light will go on."""


def with_eta(positions: DataFrame) -> DataFrame:
    """`eta_seconds`: whole seconds until the order is there, at the speed of now; null without an order."""
    eta = F.expr(f"metres_left * 60 div greatest(speed, {SLOWEST})")
    return positions.withColumn("eta_seconds", F.when(F.col("order_number").isNotNull(), eta))
