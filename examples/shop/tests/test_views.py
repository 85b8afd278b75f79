"""What the views count, on a handful of order lines."""

import dovetail as dv
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from views import arrivals, order_lines, sales

LINES = [
    '{"order_number": 1, "ordered_at": "2026-03-01T09:15:00Z", "required_date": "2026-03-08", "country": "US",'
    ' "shipped_date": "2026-03-09", "status": "Shipped", "postal_code": "94217 ", "product_code": "S18_3232",'
    ' "quantity": 2, "price": 169.34, "buy_price": 77.90}',
    '{"order_number": 2, "ordered_at": "2026-03-01T09:45:00Z", "required_date": "2026-03-08", "country": "US",'
    ' "shipped_date": null, "status": " CANCELLED ", "postal_code": "94217", "product_code": "S18_3232",'
    ' "quantity": 3, "price": 150.00, "buy_price": 77.90}',
    '{"order_number": 3, "ordered_at": "2026-03-01T10:00:00Z", "required_date": "2026-03-08", "country": "IE",'
    ' "shipped_date": "2026-03-01", "status": "Shipped", "postal_code": "", "product_code": "S10_1678",'
    ' "quantity": 1, "price": 95.70, "buy_price": 100.00}',
]


@pytest.fixture
def lines(spark: SparkSession) -> DataFrame:
    """The order lines above, decoded as the source declares them."""
    values = spark.createDataFrame([(value,) for value in LINES], "value string")
    return values.select(F.from_json("value", order_lines.schema).alias("line")).select("line.*")


def grouped(view: dv.View, lines: DataFrame, *measures: str) -> DataFrame:
    """The view's keys and these measures (those of a single state), as one batch computes them."""
    states = [F.expr(view.measures[name].states[0].prepared).alias(name) for name in measures]
    return view(lines).groupBy(*view.keys).agg(*states)


def test_sales_adds_up_by_postal_code_and_product(spark: SparkSession, lines: DataFrame) -> None:
    answer = grouped(sales, lines, "lines", "cancelled", "revenue", "profit", "biggest")

    expected = spark.sql("""
        SELECT * FROM VALUES
            ('94217', 'S18_3232', 2L, 1L, CAST(788.68 AS decimal(31,2)), CAST(399.18 AS decimal(32,2)), 3),
            (NULL,    'S10_1678', 1L, 0L, CAST( 95.70 AS decimal(31,2)), CAST( -4.30 AS decimal(32,2)), 1)
        AS t(postal_code, product_code, lines, cancelled, revenue, profit, biggest)
    """)
    assert_df_equality(answer, expected, ignore_nullable=True, ignore_row_order=True)


def test_arrivals_counts_by_country_and_status(spark: SparkSession, lines: DataFrame) -> None:
    answer = grouped(arrivals, lines, "lines", "pieces", "shipped_late", "cheapest", "dearest")

    expected = spark.sql("""
        SELECT * FROM VALUES
            ('US', 'Shipped',   1L, 2L, 1L, CAST(169.34 AS decimal(10,2)), CAST(169.34 AS decimal(10,2))),
            ('US', 'Cancelled', 1L, 3L, 0L, CAST(150.00 AS decimal(10,2)), CAST(150.00 AS decimal(10,2))),
            ('IE', 'Shipped',   1L, 1L, 0L, CAST( 95.70 AS decimal(10,2)), CAST( 95.70 AS decimal(10,2)))
        AS t(country, status, lines, pieces, shipped_late, cheapest, dearest)
    """)
    assert_df_equality(answer, expected, ignore_nullable=True, ignore_row_order=True)
