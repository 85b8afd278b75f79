"""What the steps do, on the few rows that could go wrong. A record that went wrong becomes a row here first."""

from decimal import Decimal

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, Row, SparkSession

from transforms import CLEANING, MONEY

LINE = "quantityOrdered int, priceEach decimal(10,2), buyPrice decimal(10,2), orderAmount decimal(12,2)"


def done(steps: list, lines: DataFrame) -> DataFrame:
    for step in steps:
        lines = lines.transform(step)
    return lines


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("Shipped", "Shipped"),
        (" SHIPPED ", "Shipped"),
        ("in  process", "In Process"),
        ("Canceled", "Cancelled"),
        ("CANCELLED\t", "Cancelled"),
        (" ", None),
        (None, None),
    ],
)
def test_status_has_one_spelling(spark: SparkSession, written: str | None, standard: str | None) -> None:
    lines = spark.createDataFrame([(None, None, written)], "postalCode string, productCode string, status string")

    assert done(CLEANING, lines).select("status").collect() == [Row(status=standard)]


def test_keys_lose_their_blanks_but_no_leading_zero_and_comments_stay(spark: SparkSession) -> None:
    columns = "postalCode string, productCode string, status string, comments string"
    lines = spark.createDataFrame([(" 02247", "S18_3232\n", "Shipped", " kept "), ("", "", "", "")], columns)

    expected = [("02247", "S18_3232", "Shipped", " kept "), (None, None, None, "")]
    assert_df_equality(done(CLEANING, lines), spark.createDataFrame(expected, columns), ignore_nullable=True)


def test_an_amount_that_was_sent_is_kept_and_one_that_was_not_is_quantity_times_price(spark: SparkSession) -> None:
    lines = spark.createDataFrame(
        [
            (3, Decimal("0.10"), Decimal("0.05"), None),
            (3, Decimal("0.10"), Decimal("0.05"), Decimal("0.25")),
            (49, None, None, None),
        ],
        LINE,
    )

    amounts = done(MONEY, lines).select("orderAmount")

    expected = [(Decimal("0.30"),), (Decimal("0.25"),), (None,)]
    assert_df_equality(amounts, spark.createDataFrame(expected, "orderAmount decimal(21,2)"))


def test_margin_is_negative_below_cost_and_null_without_a_price(spark: SparkSession) -> None:
    lines = spark.createDataFrame(
        [
            (10, Decimal("95.70"), Decimal("48.81"), Decimal("957.00")),
            (2, Decimal("9.00"), Decimal("9.30"), None),
            (5, Decimal("9.00"), None, None),
        ],
        LINE,
    )

    margins = done(MONEY, lines).select("margin")

    expected = [(Decimal("468.90"),), (Decimal("-0.60"),), (None,)]
    assert_df_equality(margins, spark.createDataFrame(expected, "margin decimal(22,2)"))
