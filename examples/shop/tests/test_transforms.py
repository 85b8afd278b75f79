"""Each transform on the few rows that could go wrong."""

from decimal import Decimal

import pytest
from chispa import assert_df_equality
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from transforms import (
    empty_to_null,
    trimmed,
    with_amount,
    with_profit,
    with_shipped_late,
    with_standard_status,
    with_tidy_text,
)

MONEY = "quantity int, price decimal(10,2), buy_price decimal(10,2)"


def test_amount_is_quantity_times_price_to_the_cent(spark: SparkSession) -> None:
    lines = spark.createDataFrame([(3, Decimal("0.10"), Decimal("0.05")), (49, None, None)], MONEY)

    amounts = with_amount(lines).select("amount")

    assert_df_equality(amounts, spark.createDataFrame([(Decimal("0.30"),), (None,)], "amount decimal(21,2)"))


def test_profit_is_negative_below_cost_and_null_without_a_price(spark: SparkSession) -> None:
    lines = spark.createDataFrame(
        [
            (10, Decimal("95.70"), Decimal("48.81")),
            (2, Decimal("9.00"), Decimal("9.30")),
            (5, Decimal("9.00"), None),
        ],
        MONEY,
    )

    profits = with_profit(lines).select("profit")

    expected = [(Decimal("468.90"),), (Decimal("-0.60"),), (None,)]
    assert_df_equality(profits, spark.createDataFrame(expected, "profit decimal(22,2)"))


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("Shipped", "Shipped"),
        (" SHIPPED ", "Shipped"),
        ("in process", "In Process"),
        ("Canceled", "Cancelled"),
        ("CANCELLED\t", "Cancelled"),
        ("", None),
        (None, None),
    ],
)
def test_status_has_one_spelling(spark: SparkSession, written: str | None, standard: str | None) -> None:
    lines = with_standard_status(spark.createDataFrame([(written,)], "status string"))

    assert lines.collect() == [Row(status=standard)]


def test_shipped_late_means_after_the_required_date(spark: SparkSession) -> None:
    dates = "required_date string, shipped_date string"
    lines = spark.createDataFrame(
        [
            ("2026-03-10", "2026-03-09"),
            ("2026-03-10", "2026-03-10"),
            ("2026-03-10", "2026-03-11"),
            ("2026-03-10", None),
        ],
        dates,
    ).select(F.to_date("required_date").alias("required_date"), F.to_date("shipped_date").alias("shipped_date"))

    late = with_shipped_late(lines).select("shipped_late")

    assert_df_equality(
        late,
        spark.createDataFrame([(False,), (False,), (True,), (False,)], "shipped_late boolean"),
        ignore_nullable=True,
    )


def test_text_is_tidied_in_every_text_column_and_nowhere_else(spark: SparkSession) -> None:
    columns = "customer string, postal_code string, city string, country string, product_code string, "
    columns += "product_line string, comment string"
    lines = spark.createDataFrame([(" Land of Toys ", "", " ", "US", "S18_3232\n", None, " kept ")], columns)

    tidy = with_tidy_text(lines)

    expected = [("Land of Toys", None, None, "US", "S18_3232", None, " kept ")]
    assert_df_equality(tidy, spark.createDataFrame(expected, columns))


def test_trimmed_and_empty_to_null_work_on_any_column(spark: SparkSession) -> None:
    texts = spark.createDataFrame([("  a b\t",), ("",), (None,)], "text string")

    done = texts.select(trimmed(F.col("text")).alias("trimmed"), empty_to_null(F.col("text")).alias("nulled"))

    expected = [("a b", "  a b\t"), ("", None), (None, None)]
    assert_df_equality(done, spark.createDataFrame(expected, "trimmed string, nulled string"))
