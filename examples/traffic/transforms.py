"""Cleaning of incident reports: each function is pure, row by row, and was written after its test."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def convert_dates(reports: DataFrame) -> DataFrame:
    """`published_date` and `status_date_time` from text to timestamps, null where no spelling fits."""
    return reports.withColumns(
        {name: as_timestamp(F.col(name)) for name in ("published_date", "status_date_time")},
    )


def with_reported_at(reports: DataFrame) -> DataFrame:
    """`reported_at`: when the report was published or, where that cannot be read, when its status was last set."""
    return reports.withColumn("reported_at", F.coalesce("published_date", "status_date_time"))


def with_minutes_open(reports: DataFrame) -> DataFrame:
    """`minutes_open`: whole minutes from publication to the last status, null where either is."""
    minutes = F.timestamp_diff("MINUTE", F.col("published_date"), F.col("status_date_time"))
    return reports.withColumn("minutes_open", minutes)


def as_timestamp(text: Column) -> Column:
    """The moment a text names, in UTC where it names no zone, the month before the day; null for any other text."""
    spellings = [
        "yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX",  # 2026-03-01T08:15:00Z, 2026-03-01T08:15:00.250+02:00
        "yyyy-MM-dd HH:mm:ss",  # 2026-03-01 08:15:00
        "MM/dd/yyyy hh:mm:ss a xx",  # 03/01/2026 08:15:00 PM +0000
        "M/d/yyyy H:mm",  # 3/1/2026 8:15
        "d MMM yyyy HH:mm",  # 1 Mar 2026 08:15
        "yyyy-MM-dd",  # 2026-03-01
    ]
    # `try_`: a cast or `to_timestamp` would raise on the first text that does not fit.
    return F.coalesce(*(F.try_to_timestamp(F.trim(text), F.lit(spelling)) for spelling in spellings))
