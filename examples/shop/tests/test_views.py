"""What the views count, on a handful of order lines."""

import json
from itertools import islice

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from generator import Trouble, records
from views import arrivals, order_lines, sales

LINES = [
    '{"order_number": 1, "ordered_at": "2026-03-01T09:15:00Z", "status": "Shipped", "postal_code": "94217 ",'
    ' "product_code": "S18_3232", "quantity": 2, "price": 169.34, "buy_price": 77.90}',
    '{"order_number": 2, "ordered_at": "2026-03-01T09:45:00Z", "status": " CANCELLED", "postal_code": "94217",'
    ' "product_code": "S18_3232", "quantity": 3, "price": 150.00, "buy_price": 77.90}',
    '{"order_number": 3, "ordered_at": "2026-03-01T10:00:00Z", "status": "Shipped", "postal_code": "",'
    ' "product_code": "S10_1678", "quantity": 1, "price": 95.70, "buy_price": 48.81}',
]


def read(spark: SparkSession, values: list[str]) -> DataFrame:
    """Order lines as the source decodes them."""
    schema = ", ".join(f"{name} {kind}" for name, kind in order_lines.columns.items())
    raw = spark.createDataFrame([(value,) for value in values], "value string")
    return raw.select(F.from_json("value", schema).alias("line")).select("line.*")


def test_sales_has_its_keys_and_money_ready(spark: SparkSession) -> None:
    lines = sales(read(spark, LINES)).select("postal_code", "product_code", "status", "amount", "profit")

    expected = spark.sql("""
        VALUES ('94217', 'S18_3232', 'Shipped', 338.68BD, 182.88BD),
               ('94217', 'S18_3232', 'Cancelled', 450.00BD, 216.30BD),
               (NULL, 'S10_1678', 'Shipped', 95.70BD, 46.89BD) AS t(postal_code, product_code, status, amount, profit)
    """).withColumns({"amount": F.col("amount").cast("decimal(21,2)"), "profit": F.col("profit").cast("decimal(22,2)")})
    assert_df_equality(lines, expected, ignore_nullable=True)
