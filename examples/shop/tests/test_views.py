"""What the views count, on a handful of order lines."""

import dovetail as dv
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from views import buyers, fact_orders, sales

LINES = [
    '{"orderNumber": 1, "customerNumber": 7, "orderDate": "2026-03-01T09:15:00Z", "requiredDate": "2026-03-08",'
    ' "shippedDate": "2026-03-09", "status": "Shipped", "postalCode": "02247 ", "productCode": "S18_3232",'
    ' "quantityOrdered": 2, "priceEach": 169.34, "buyPrice": 77.90, "MSRP": 170.00, "orderAmount": 338.68}',
    '{"orderNumber": 2, "customerNumber": 7, "orderDate": "2026-03-01T09:45:00Z", "requiredDate": "2026-03-08",'
    ' "shippedDate": null, "status": " CANCELLED ", "postalCode": "02247", "productCode": "S18_3232",'
    ' "quantityOrdered": 3, "priceEach": 150.00, "buyPrice": 77.90, "MSRP": 170.00}',
    '{"orderNumber": 3, "customerNumber": 8, "orderDate": "2026-03-01T10:00:00Z", "requiredDate": "2026-03-08",'
    ' "shippedDate": "2026-03-01", "status": "Shipped", "postalCode": "", "productCode": "S10_1678",'
    ' "quantityOrdered": 1, "priceEach": 95.70, "buyPrice": 100.00, "MSRP": 99.00, "orderAmount": 95.70}',
    '{"orderNumber": 3, "customerNumber": 8, "orderDate": "2026-03-01T10:00:00Z", "requiredDate": "2026-03-08",'
    ' "shippedDate": "2026-03-01", "status": "Shipped", "postalCode": "", "productCode": "S18_9999",'
    ' "quantityOrdered": 1, "priceEach": 10.00, "buyPrice": 5.00, "MSRP": 11.00, "orderAmount": 10.00}',
]


@pytest.fixture
def lines(spark: SparkSession) -> DataFrame:
    """The order lines above, decoded as the source declares them."""
    values = spark.createDataFrame([(value,) for value in LINES], "value string")
    return values.select(F.from_json("value", fact_orders.schema).alias("line")).select("line.*")


def grouped(view: dv.View, lines: DataFrame, *measures: str) -> DataFrame:
    """The view's keys and these measures (those of a single state), as one batch computes them."""
    states = [F.expr(view.measures[name].states[0].prepared).alias(name) for name in measures]
    return view(lines).groupBy(*view.keys).agg(*states)


def test_sales_adds_up_by_postal_code_and_product(spark: SparkSession, lines: DataFrame) -> None:
    answer = grouped(sales, lines, "lines", "cancelled", "shipped_late", "revenue", "margin", "largest")

    expected = spark.sql("""
        SELECT postalCode, productCode, lines, cancelled, late AS shipped_late,
               CAST(revenue AS decimal(31,2)) AS revenue, CAST(margin AS decimal(32,2)) AS margin, largest
        FROM VALUES
            ('02247', 'S18_3232', 2L, 1L, 1L, 788.68, 399.18, array(3, 2)),
            (NULL,    'S10_1678', 1L, 0L, 0L,  95.70,  -4.30, array(1)),
            (NULL,    'S18_9999', 1L, 0L, 0L,  10.00,   5.00, array(1))
        AS t(postalCode, productCode, lines, cancelled, late, revenue, margin, largest)
    """)
    assert_df_equality(answer, expected, ignore_nullable=True, ignore_row_order=True)


def test_a_buyer_came_back_with_a_second_order_not_with_a_second_line(spark: SparkSession, lines: DataFrame) -> None:
    answer = grouped(buyers, lines, "orders", "revenue")

    expected = spark.sql("""
        SELECT customerNumber, orders, CAST(revenue AS decimal(31,2)) AS revenue
        FROM VALUES (7, array(1L, 2L), 788.68), (8, array(3L), 105.70) AS t(customerNumber, orders, revenue)
    """)
    assert_df_equality(answer, expected, ignore_nullable=True, ignore_row_order=True)
