"""The depot's transforms."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def with_tidy_lane(scans: DataFrame) -> DataFrame:
    """`lane` in capitals without blanks around it; null where nothing was written."""
    return scans.withColumn("lane", F.nullif(F.upper(F.trim("lane")), F.lit("")))


def with_postage(scans: DataFrame) -> DataFrame:
    """`postage`: 1.25 a kilogram."""
    return scans.withColumn("postage", F.col("weight") * F.lit("1.25").cast("decimal(3,2)"))


def per_tag(scans: DataFrame) -> DataFrame:
    """A row per tag; a scan without tags gives none."""
    return scans.withColumn("tag", F.explode("tags")).drop("tags")
