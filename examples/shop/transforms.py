"""The shop's transforms: small, pure, tested functions, shared by every view and by both layers.

A transform takes a DataFrame and gives a DataFrame, row by row: no grouping, no clock, no reading. The column
functions at the end are for reuse in any project. Money is `decimal`, never `double`, so sums are exact.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def with_tidy_text(lines: DataFrame) -> DataFrame:
    """Text without blanks around it, and null where nothing was written."""
    columns = ["customer", "postal_code", "city", "country", "product_code", "product_line"]
    return lines.withColumns({name: empty_to_null(trimmed(F.col(name))) for name in columns})


def with_standard_status(lines: DataFrame) -> DataFrame:
    """`status` in one spelling: `' SHIPPED'` and `'shipped'` are `'Shipped'`, and `'Canceled'` is `'Cancelled'`."""
    status = F.initcap(empty_to_null(trimmed(F.col("status"))))
    return lines.withColumn("status", F.when(status == "Canceled", "Cancelled").otherwise(status))


def with_amount(lines: DataFrame) -> DataFrame:
    """`amount`: what the customer pays for the line."""
    return lines.withColumn("amount", F.col("quantity") * F.col("price"))


def with_profit(lines: DataFrame) -> DataFrame:
    """`profit`: what the line earns over its purchase, negative when sold below cost, null when either price is."""
    return lines.withColumn("profit", F.col("quantity") * (F.col("price") - F.col("buy_price")))


def with_shipped_late(lines: DataFrame) -> DataFrame:
    """`shipped_late`: whether the line left after the required date; false while it has not left."""
    return lines.withColumn("shipped_late", F.coalesce(F.col("shipped_date") > F.col("required_date"), F.lit(False)))


def trimmed(text: Column) -> Column:
    """The text without spaces, tabs and line ends around it."""
    return F.regexp_replace(text, r"^\s+|\s+$", "")


def empty_to_null(text: Column) -> Column:
    """The text, or null where it is empty."""
    return F.nullif(text, F.lit(""))
